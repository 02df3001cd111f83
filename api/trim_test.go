package api

import (
	"fmt"
	"testing"

	"leat/internal/bus"
)

func TestDeleteBefore(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=1", "a\nb\nc\n")
	const path = "/broker/delete-before"
	s.want(200, `{"ok":true,"deleted_count":2,"freed_bytes":0}`, "POST", path, `{"topic":"t","partition":1,"before_offset":2}`)
	s.want(200, `{"ok":true,"deleted_count":0,"freed_bytes":0}`, "POST", path, `{"topic":"t","partition":1,"before_offset":1}`)
	s.want(200, `{"messages":[{"offset":2,"partition":1,"value":"c"}],"count":1,"next_offset":3,"committed_offset":null,"truncated":false,"skipped":2}`,
		"GET", "/broker/consume/t/g/1?offset=0", "")
	s.want(200, `{"ok":true,"deleted_count":1,"freed_bytes":0}`, "POST", path, `{"topic":"t","partition":1,"before_offset":9000}`)
	s.wantError(400, "missing_topic", "POST", path, `{}`)
	s.wantError(400, "missing_partition", "POST", path, `{"topic":"t"}`)
	s.wantError(400, "missing_offset", "POST", path, `{"topic":"t","partition":0}`)
	s.wantError(400, "invalid_member", "POST", path, `{"topic":"t","partition":4,"before_offset":1}`)
	s.wantError(400, "invalid_member", "POST", path, `{"topic":"t","partition":0,"before_offset":-1}`)
	s.wantError(400, "invalid_topic", "POST", path, `{"topic":"../t","partition":0,"before_offset":1}`)
	s.wantError(404, "unknown_topic", "POST", path, `{"topic":"no","partition":0,"before_offset":1}`)
	s.wantError(400, "unknown_member", "POST", path, `{"topic":"t","partition":0,"before":1}`)
}

func TestRetention(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	const path = "/broker/retention"
	s.want(200, `{"ok":true,"topic":"t","partition":null,"ttl_ms":60000,"max_bytes":0}`, "POST", path, `{"topic":"t","ttl_ms":60000}`)
	s.want(200, `{"ok":true,"topic":"t","partition":2,"ttl_ms":0,"max_bytes":1024}`, "POST", path, `{"topic":"t","partition":2,"max_bytes":1024}`)
	s.want(200, `{"ok":true,"topic":"*","partition":null,"ttl_ms":1,"max_bytes":2}`, "POST", path, `{"topic":"*","ttl_ms":1,"max_bytes":2}`)
	s.want(200, `{"ok":true,"topic":"t","partition":null,"ttl_ms":0,"max_bytes":0}`, "POST", path, `{"topic":"t","ttl_ms":0}`)
	want := fmt.Sprint([]setRetention{
		{"t", -1, bus.Retention{TTLMs: 60000}}, {"t", 2, bus.Retention{MaxBytes: 1024}}, {"*", -1, bus.Retention{TTLMs: 1, MaxBytes: 2}}, {"t", -1, bus.Retention{}},
	})
	if got := fmt.Sprint(s.topics.retention); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	s.wantError(400, "missing_topic", "POST", path, `{"ttl_ms":1}`)
	s.wantError(400, "missing_retention", "POST", path, `{"topic":"t"}`)
	s.wantError(400, "invalid_member", "POST", path, `{"topic":"t","ttl_ms":-1}`)
	s.wantError(400, "invalid_member", "POST", path, `{"topic":"*","partition":0,"ttl_ms":1}`)
	s.wantError(400, "invalid_member", "POST", path, `{"topic":"t","partition":9,"ttl_ms":1}`)
	s.wantError(404, "unknown_topic", "POST", path, `{"topic":"no","ttl_ms":1}`)
}

// Who administers some topics sets no policy for all.
func TestTrimmingScopes(t *testing.T) {
	t.Parallel()
	tokens, _, err := ParseTokens("some@admin=app.:reader@consume=app.")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(c *Config) { c.Tokens = tokens })
	some, reader := "Authorization: Bearer some", "Authorization: Bearer reader"
	s.want(200, "", "POST", "/broker/topics", `{"name":"app.t","partitions":1}`, some)
	s.want(200, "", "POST", "/broker/retention", `{"topic":"app.t","ttl_ms":1}`, some)
	s.want(200, "", "POST", "/broker/delete-before", `{"topic":"app.t","partition":0,"before_offset":0}`, some)
	s.wantError(403, "forbidden", "POST", "/broker/retention", `{"topic":"*","ttl_ms":1}`, some)
	s.wantError(403, "forbidden", "POST", "/broker/retention", `{"topic":"other","ttl_ms":1}`, some)
	s.wantError(403, "forbidden", "POST", "/broker/delete-before", `{"topic":"other","partition":0,"before_offset":0}`, some)
	s.wantError(403, "forbidden", "POST", "/broker/retention", `{"topic":"app.t","ttl_ms":1}`, reader)
	s.wantError(403, "forbidden", "GET", "/broker/stream/other/0", "", reader)
	if response, _ := s.open("/broker/stream/app.t/0", reader); response.StatusCode != 200 {
		t.Errorf("status %d", response.StatusCode)
	}
}
