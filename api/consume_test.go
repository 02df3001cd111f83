package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestConsumeOffsets(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	const path = "/broker/consume/t/g/0"
	s.want(200, `{"messages":[],"count":0,"next_offset":0,"committed_offset":null,"truncated":false}`, "GET", path, "")
	var lines strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&lines, "r%d\n", i)
	}
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=0", lines.String())
	s.want(200, `{"messages":[{"offset":7,"partition":0,"value":"r7"},{"offset":8,"partition":0,"value":"r8"}],"count":2,"next_offset":9,"committed_offset":null,"truncated":false}`,
		"GET", path+"?offset=7&limit=2", "")
	for query, want := range map[string][2]float64{
		"": {100, 100}, "?limit=5000": {1000, 1000}, "?limit=1000&offset=1000": {500, 1500}, "?offset=1500": {0, 1500}, "?offset=99999": {0, 99999},
	} {
		m := s.do("GET", path+query, http.NoBody).json(t)
		if m["count"] != want[0] || m["next_offset"] != want[1] || m["truncated"] != false || m["skipped"] != nil {
			t.Errorf("%q: count %v next %v truncated %v skipped %v", query, m["count"], m["next_offset"], m["truncated"], m["skipped"])
		}
	}
	s.want(200, `{"ok":true,"committed_offset":41}`, "POST", "/broker/commit", `{"topic":"t","group":"g","partition":0,"offset":41}`)
	s.want(200, `{"ok":true,"committed_offset":41}`, "POST", "/broker/commit", `{"topic":"t","group":"g","partition":0,"offset":3}`)
	s.want(200, `{"messages":[{"offset":42,"partition":0,"value":"r42"}],"count":1,"next_offset":43,"committed_offset":41,"truncated":false}`,
		"GET", path+"?limit=1", "")
	l, _ := s.topics.log("t", 0)
	l.Trim(50)
	s.want(200, `{"messages":[{"offset":50,"partition":0,"value":"r50"}],"count":1,"next_offset":51,"committed_offset":41,"truncated":false,"skipped":8}`,
		"GET", path+"?limit=1", "")
	s.want(200, `{"messages":[{"offset":50,"partition":0,"value":"r50"}],"count":1,"next_offset":51,"committed_offset":null,"truncated":false}`,
		"GET", "/broker/consume/t/other/0?limit=1", "")
	s.want(200, `{"ok":true,"committed_offset":99999}`, "POST", "/broker/commit", `{"topic":"t","group":"g","partition":0,"offset":99999}`)
	s.want(200, `{"messages":[],"count":0,"next_offset":100000,"committed_offset":99999,"truncated":false}`, "GET", path, "")
}

func TestConsumeAnySize(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.ResponseBytes = 3 << 20 })
	const most = 1<<20 - 2
	sizes := []int{most, 0, 700_000, most, most, 17}
	for i, n := range sizes {
		s.want(200, "", "POST", "/broker/topics/t/produce?partition=1", strings.Repeat(string(rune(0xe0+i)), n/2)+"\xff\x00")

	}
	offset, answers := 0, 0
	for offset < len(sizes) {
		m := s.do("GET", fmt.Sprintf("/broker/consume/t/g/1?encoding=b64&offset=%d", offset), http.NoBody).json(t)
		messages := m["messages"].([]any)
		if len(messages) == 0 || m["count"] != float64(len(messages)) {
			t.Fatalf("at %d: %v messages, count %v", offset, len(messages), m["count"])
		}
		for _, raw := range messages {
			message := raw.(map[string]any)
			value, err := base64.StdEncoding.DecodeString(message["value_b64"].(string))
			want := strings.Repeat(string(rune(0xe0+offset)), sizes[offset]/2) + "\xff\x00"
			if err != nil || message["offset"] != float64(offset) || string(value) != want {
				t.Fatalf("record %d is not what was produced: %v", offset, err)
			}
			offset++
		}
		if truncated := offset < len(sizes); m["truncated"] != truncated || m["next_offset"] != float64(offset) {
			t.Errorf("up to %d: truncated %v next %v", offset, m["truncated"], m["next_offset"])
		}
		answers++
	}
	if answers < 2 {
		t.Error("the size of an answer is not bounded")
	}
	a := s.do("GET", "/broker/consume/t/g/1?offset=1&limit=1", http.NoBody)
	if want := `"value":"` + "\uFFFD" + `\u0000"`; !json.Valid([]byte(a.body)) || !strings.Contains(a.body, want) {
		t.Errorf("bytes that are not UTF-8 as text: %q", a.body)
	}
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.LongPoll = time.Hour })
	started := time.Now()
	s.want(200, `{"messages":[],"count":0,"next_offset":0,"committed_offset":null,"truncated":false}`, "GET", "/broker/consume/t/g/0?wait_ms=30", "")
	if waited := time.Since(started); waited < 30*time.Millisecond {
		t.Errorf("waited %v only", waited)
	}
	got := make(chan answer, 1)
	go func() { got <- s.do("GET", "/broker/consume/t/g/0?wait_ms=3600000&offset=1", http.NoBody) }()
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=0", "first")
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=0", "second")
	if a := <-got; !strings.Contains(a.body, `"messages":[{"offset":1,"partition":0,"value":"second"}]`) {
		t.Errorf("got %s", a.body)
	}
}

func TestCommitRefusals(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	for body, code := range map[string]string{
		`{"group":"g","partition":0,"offset":0}`:                                        "missing_topic",
		`{"topic":"t","partition":0,"offset":0}`:                                        "missing_group",
		`{"topic":"t","group":"g","offset":0}`:                                          "missing_partition",
		`{"topic":"t","group":"g","partition":0}`:                                       "missing_offset",
		`{"topic":"t","group":"g","partition":4,"offset":0}`:                            "invalid_member",
		`{"topic":"t","group":"g","partition":-1,"offset":0}`:                           "invalid_member",
		`{"topic":"t","group":"g","partition":0,"offset":-1}`:                           "invalid_member",
		`{"topic":"t","group":"g","partition":0,"offset":9223372036854775807}`:          "invalid_member",
		`{"topic":"t","group":"../g","partition":0,"offset":0}`:                         "invalid_group",
		`{"topic":"../t","group":"g","partition":0,"offset":0}`:                         "invalid_topic",
		`{"topic":"t","group":"g","partition":0,"offset":1e0}`:                          "invalid_member",
		`{"topic":"t","group":"g","partition":0,"offset":0,"offset":1}`:                 "duplicate_member",
		`{"topic":"t","group":"g","partition":0,"offset":0,"off\u0073et":1}`:            "duplicate_member",
		`{"topic":"t","group":"g","partition":0,"ofset":0}`:                             "unknown_member",
		`{"topic":"t","group":"g","partition":0,"offset":0}{}`:                          "invalid_json",
		`{"topic":"t","group":"\ud800","partition":0,"offset":0}`:                       "invalid_group",
		`{"topic":"t","group":"g","partition":0,"offset":18446744073709551616}`:         "invalid_member",
		`{"topic":"t","group":"g","partition":0,"offset":1e400}`:                        "invalid_member",
		`{"topic":"t","group":"g","partition":0,"offset":0,`:                            "invalid_json",
		`{"topic":"t","group":"g","partition":0,"offset":` + strings.Repeat("[", 10000): "invalid_member",
	} {
		s.wantError(400, code, "POST", "/broker/commit", body)
	}
	s.wantError(404, "unknown_topic", "POST", "/broker/commit", `{"topic":"no","group":"g","partition":0,"offset":0}`)
	m := s.wantError(400, "unknown_member", "POST", "/broker/commit", "{\"topic\":\"t\",\n \"ofset\":1}")
	if m["pointer"] != "/ofset" || m["line"] != 2.0 || m["column"] != 2.0 || m["message"] != `unknown member "ofset", did you mean "offset"?` {
		t.Errorf("got %v", m)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	const path = "/broker/topics/t/groups"
	s.want(200, `{"ok":true,"topic":"t","groups":[],"count":0,"next_after":null}`, "GET", path, "")
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=1", "a\nb\nc\n")
	commit := func(group string, partition, offset int) {
		s.want(200, "", "POST", "/broker/commit", fmt.Sprintf(`{"topic":"t","group":%q,"partition":%d,"offset":%d}`, group, partition, offset))
	}
	commit("billing", 1, 0)
	commit("audit", 0, 99)
	m := s.do("GET", path+"?limit=1", http.NoBody).json(t)
	groups := m["groups"].([]any)
	if m["count"] != 1.0 || m["next_after"] != "audit" || len(groups) != 1 {
		t.Fatalf("%v", m)
	}
	m = s.do("GET", path+"?after=audit", http.NoBody).json(t)
	group := m["groups"].([]any)[0].(map[string]any)
	for p, want := range []map[string]any{
		{"partition": 0.0, "committed_offset": nil, "next_offset": 0.0, "lag": 0.0},
		{"partition": 1.0, "committed_offset": 0.0, "next_offset": 3.0, "lag": 2.0},
	} {
		if got := group["partitions"].([]any)[p]; !reflect.DeepEqual(got, want) {
			t.Errorf("partition %d: %v, want %v", p, got, want)
		}
	}
	if m["next_after"] != nil || group["group"] != "billing" {
		t.Errorf("%v", m)
	}
	for i := range 250 {
		commit(fmt.Sprintf("g%03d", i), 0, 1)
	}
	m = s.do("GET", path+"?limit=100000&after=billing", http.NoBody).json(t)
	if m["count"] != float64(maxGroups) || m["next_after"] != "g099" {
		t.Errorf("count %v, next after %v", m["count"], m["next_after"])
	}
	s.wantError(404, "unknown_topic", "GET", "/broker/topics/nope/groups", "")
	s.wantError(400, "invalid_parameter", "GET", path+"?limit=0", "")
}
