package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/codecs/inline"
)

func withOrders(t *testing.T, alter func(*Config)) *testServer {
	s := withTopic(t, alter)
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=0",
		"{\"name\":\"Alice\",\"region\":\"us\",\"n\":1}\n{\"name\":\"Bob\",\"region\":\"eu\",\"n\":2}\nnot JSON\n{\"name\":\"Alice\",\"region\":\"us\",\"n\":4}\n")
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=1", "{\"who\":\"Alice\",\"vip\":true}\n")
	return s
}

func TestOneShotQuery(t *testing.T) {
	t.Parallel()
	s := withOrders(t, nil)
	const path = "/broker/query"
	s.want(200, `{"ok":true,"rows":[{"n":4}],"aggregates":[{"key":"name=Alice|region=us","count":1}],"source":{"topic":"t","group":null,"partition":0,"next_offset":4,"consumed":4}}`,
		"POST", path, `{"source":{"topic":"t","partition":0},"filter":[{"field":"n","op":"gt","value":2}],"aggregate":{"group_by":["name","region"]},"transform":{"left_fields":["n"],"emit_rows":9},"later":1}`)
	s.want(200, `{"ok":true,"rows":[],"aggregates":[],"source":{"topic":"t","group":"g","partition":0,"next_offset":4,"consumed":4}}`,
		"POST", path, `{"source":{"topic":"t","partition":0,"group":"g"}}`)
	// Nothing is committed by it; a commit is where the next one begins.
	s.want(200, "", "POST", "/broker/commit", `{"topic":"t","group":"g","partition":0,"offset":1}`)
	for range 2 {
		s.want(200, `{"ok":true,"rows":[],"aggregates":[],"source":{"topic":"t","group":"g","partition":0,"next_offset":4,"consumed":2}}`,
			"POST", path, `{"source":{"topic":"t","partition":0,"group":"g"}}`)
	}
	s.want(200, `{"ok":true,"rows":[],"aggregates":[],"source":{"topic":"t","group":"g","partition":0,"next_offset":3,"consumed":2}}`,
		"POST", path, `{"source":{"topic":"t","partition":0,"group":"g","offset":1,"limit":2}}`)
	s.want(200, `{"ok":true,"rows":[],"aggregates":[],"source":{"topic":"t","group":null,"partition":0,"next_offset":90,"consumed":0}}`,
		"POST", path, `{"source":{"topic":"t","partition":0,"offset":90}}`)
	s.want(200, "", "POST", "/broker/delete-before", `{"topic":"t","partition":0,"before_offset":3}`)
	s.want(200, `{"ok":true,"rows":[],"aggregates":[],"source":{"topic":"t","group":"g","partition":0,"next_offset":4,"consumed":1}}`,
		"POST", path, `{"source":{"topic":"t","partition":0,"group":"g"}}`)
}

func TestOneShotJoin(t *testing.T) {
	t.Parallel()
	s := withOrders(t, nil)
	const body = `{"left":{"topic":"t","partition":0},"right":{"topic":"t","partition":1},"on":{"left_key":"name","right_key":"who"},"join":{"type":"left"},"emit":{"left_fields":["n"],"right_fields":["vip"]},"later":{}}`
	s.want(200, `{"ok":true,"rows":[`+
		`{"key":"Alice","left_ts_ms":1700000000000,"right_ts_ms":1700000000000,"left":{"n":1},"right":{"vip":true}},`+
		`{"key":"Alice","left_ts_ms":1700000000000,"right_ts_ms":1700000000000,"left":{"n":4},"right":{"vip":true}},`+
		`{"key":"Bob","left_ts_ms":1700000000000,"right_ts_ms":null,"left":{"n":2},"right":null}],`+
		`"next_offsets":{"left":4,"right":1},"stats":{"left_scanned":4,"right_scanned":1,"rows":3,"watermark_ms":1700000000000,"outer_left":1,"outer_right":0,"dedupe_once":false,"truncated":false}}`,
		"POST", "/broker/join", body)
	s.want(200, `{"ok":true,"rows":[],"next_offsets":{"left":4,"right":0},"stats":{"left_scanned":4,"right_scanned":0,"rows":0,"watermark_ms":null,"outer_left":3,"outer_right":0,"dedupe_once":true,"truncated":false}}`,
		"POST", "/broker/join", `{"left":{"topic":"t","partition":0},"right":{"topic":"t","partition":2},"on":{"left_keys":["name"],"right_keys":["who"]},"dedupe_once":true}`)
}

func TestOneShotErrors(t *testing.T) {
	t.Parallel()
	s := withOrders(t, nil)
	const sides = `"left":{"topic":"t","partition":0},"right":{"topic":"no","partition":0},"on":{"left_key":"a","right_key":"a"}`
	for _, c := range []struct {
		status              int
		code, path, pointer string
		body                string
	}{
		{400, "invalid_query", "query", "", `{`},
		{400, "invalid_query", "query", "", `[]`},
		{400, "invalid_query", "query", "", `{}`},
		{400, "invalid_query", "query", "/source", `{"source":{"topic":"t"},"source":{}}`},
		{400, "missing_topic", "query", "/source", `{"source":{}}`},
		{400, "missing_partition", "query", "/source", `{"source":{"topic":"t"}}`},
		{400, "invalid_partition", "query", "/source/partition", `{"source":{"topic":"t","partition":99999}}`},
		{400, "invalid_topic", "query", "", `{"source":{"topic":"../t","partition":0}}`},
		{400, "invalid_group", "query", "", `{"source":{"topic":"t","partition":0,"group":"a b"}}`},
		{404, "unknown_topic", "query", "", `{"source":{"topic":"no","partition":0}}`},
		{404, "unknown_topic", "join", "", `{` + sides + `}`},
		{400, "invalid_query", "query", "/source/offset", `{"source":{"topic":"t","partition":0,"offset":-1}}`},
		{422, "unsupported", "query", "/source/decode", `{"source":{"topic":"t","partition":0,"decode":{"type":"avro","encoding":"binary","schema_text":"{}"}}}`},
		{422, "unsupported", "join", "/left/decode", `{"left":{"topic":"t","partition":0,"decode":{"type":"proto","encoding":"binary"}},"right":{"topic":"t","partition":0},"on":{"left_key":"a","right_key":"a"}}`},
		{400, "invalid_query", "query", "/filter", `{"source":{"topic":"t","partition":0},"filter":"all(a, all(a, true))"}`},
	} {
		m := s.wantError(c.status, c.code, "POST", "/broker/"+c.path, c.body)
		if pointer, _ := m["pointer"].(string); pointer != c.pointer && !(c.pointer == "" && m["pointer"] == nil) {
			t.Errorf("%s: pointer %v", c.body, m["pointer"])
		}
	}
	s.wantError(413, "body_too_large", "POST", "/broker/query", strings.Repeat(" ", 2<<20))
	deep := `{"source":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`
	s.wantError(400, "invalid_query", "POST", "/broker/query", deep)
}

// A token that may query some topics joins no others.
func TestOneShotScopes(t *testing.T) {
	t.Parallel()
	tokens, _, err := ParseTokens("root:some@query=app.:reader@consume")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(c *Config) { c.Tokens = tokens })
	root, some, reader := "Authorization: Bearer root", "Authorization: Bearer some", "Authorization: Bearer reader"
	for _, topic := range []string{"app.a", "secret"} {
		s.want(200, "", "POST", "/broker/topics", `{"name":"`+topic+`","partitions":1}`, root)
	}
	query := func(topic string) string { return `{"source":{"topic":"` + topic + `","partition":0}}` }
	join := func(left, right string) string {
		return `{"left":{"topic":"` + left + `","partition":0},"right":{"topic":"` + right + `","partition":0},"on":{"left_key":"a","right_key":"a"}}`
	}
	s.want(200, "", "POST", "/broker/query", query("app.a"), some)
	s.want(200, "", "POST", "/broker/join", join("app.a", "app.a"), some)
	s.wantError(403, "forbidden", "POST", "/broker/query", query("secret"), some)
	s.wantError(403, "forbidden", "POST", "/broker/query", query("no-such"), some)
	s.wantError(403, "forbidden", "POST", "/broker/join", join("app.a", "secret"), some)
	s.wantError(403, "forbidden", "POST", "/broker/join", join("secret", "app.a"), some)
	s.wantError(403, "forbidden", "POST", "/broker/query", query("app.a"), reader)
}

// One-shot calls that are too many wait for their turn, and not for ever.
func TestOneShotTurns(t *testing.T) {
	t.Parallel()
	s := withOrders(t, func(c *Config) { c.Limits.Questions, c.Limits.CallTimeout = 1, 300*time.Millisecond })
	entered, release := make(chan struct{}, 9), make(chan struct{})
	s.topics.mu.Lock()
	s.topics.reading = func() { entered <- struct{}{}; <-release }
	s.topics.mu.Unlock()
	const body = `{"source":{"topic":"t","partition":0}}`
	first := make(chan answer, 1)
	go func() { first <- s.do("POST", "/broker/query", strings.NewReader(body)) }()
	<-entered
	if m := s.wantError(503, "overloaded", "POST", "/broker/query", body); m["retryable"] != true {
		t.Errorf("got %v", m)
	}
	s.want(200, "", "GET", "/health", "")
	close(release)
	if a := <-first; a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.want(200, "", "POST", "/broker/query", body)
}

// Records in Avro and Protobuf are read by the schema that the call brings along.
func TestOneShotDecode(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Formats = inline.Formats{} })
	// {"name":"Alice","spent":3} in both formats, and a record that is none of either
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=0&encoding=b64", "CkFsaWNlBg==\n/////w==\nBkJvYgI=")
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=1&encoding=b64", "CgVBbGljZRAD\n/////w==\nCgNCb2IQAQ==")
	const avro = `{"type":"avro","schema_text":"{\"type\":\"record\",\"name\":\"P\",\"fields\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"spent\",\"type\":\"long\"}]}"}`
	const proto = `{"type":"proto","message":"P","schema_text":"syntax = \"proto3\"; message O {} message P { string name = 1; int64 spent = 2; }"}`
	for partition, decode := range []string{avro, proto} {
		s.want(200, fmt.Sprintf(`{"ok":true,"rows":[{"name":"Alice","spent":3}],"aggregates":[{"key":"name=Alice","count":1,"sum":3}],`+
			`"source":{"topic":"t","group":null,"partition":%d,"next_offset":3,"consumed":3}}`, partition), "POST", "/broker/query",
			fmt.Sprintf(`{"source":{"topic":"t","partition":%d,"decode":%s},"filter":[{"field":"spent","op":"gt","value":1}],`+
				`"aggregate":{"group_by":["name"],"aggs":[{"fn":"sum","field":"spent","as":"sum"}]},"transform":{"emit_rows":5}}`, partition, decode))
	}
	m := s.do("POST", "/broker/join", strings.NewReader(`{"left":{"topic":"t","partition":0,"decode":`+avro+`},"right":{"topic":"t","partition":1,"decode":`+proto+`},`+
		`"on":{"left_key":"name","right_key":"name"}}`)).json(t)
	if rows, _ := m["rows"].([]any); len(rows) != 2 {
		t.Errorf("joined: %v", m)
	}
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=2", `{"txnId":"7","extra":1}`)
	s.want(200, `{"ok":true,"rows":[{"txn_id":"7","n":4}],"aggregates":[],"source":{"topic":"t","group":null,"partition":2,"next_offset":1,"consumed":1}}`, "POST", "/broker/query",
		`{"source":{"topic":"t","partition":2,"decode":{"type":"avro","encoding":"json","apply_defaults":true,"field_aliases":{"txn_id":["txnId"]},`+
			`"schema_text":"{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"txn_id\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\",\"default\":4}]}"}},"transform":{"emit_rows":1}}`)
	e := s.wantError(400, "invalid_query", "POST", "/broker/query", `{"source":{"topic":"t","partition":0,"decode":{"type":"proto","schema_text":"message {"}}}`)
	if e["pointer"] != "/source/decode/schema_text" || !strings.Contains(e["message"].(string), "schema.proto:1:9") {
		t.Errorf("a schema that does not compile: %v", e)
	}
	s.wantError(400, "invalid_query", "POST", "/broker/query", `{"source":{"topic":"t","partition":0,"decode":{"type":"avro","schema_text":"`+strings.Repeat(" ", 1<<19)+`{"}}}`)
}
