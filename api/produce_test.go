package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

const made = `{"ok":true,"topic":"t","partitions":4}`

// withTopic serves a topic t of four partitions.
func withTopic(t *testing.T, alter func(*Config)) *testServer {
	s := serve(t, alter)
	s.want(200, made, "POST", "/broker/topics", `{"name":"t","partitions":4}`)
	return s
}

func TestProduceAnswers(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	s.want(200, `{"ok":true,"offset":0,"partition":2,"batch_id":3,"sealed":true,"durable":true,"mode":"sealed","synced":true}`,
		"POST", "/broker/topics/t/produce?partition=2", "hello")
	s.want(200, `{"ok":true,"offset":1,"partition":2,"batch_id":4,"sealed":true,"durable":true,"mode":"sealed","synced":true,"duplicate":false}`,
		"POST", "/broker/topics/t/produce?partition=2&idempotency_key=k", "again")
	again := `{"ok":true,"offset":1,"partition":2,"sealed":true,"durable":true,"synced":null,"duplicate":true}`
	s.want(200, again, "POST", "/broker/topics/t/produce?partition=2&idempotency_key=k", "again")
	s.want(200, again, "POST", "/broker/topics/t/produce?partition=2", "again", "Idempotency-Key: k")
	s.wantError(422, "idempotency_conflict", "POST", "/broker/topics/t/produce?partition=2&idempotency_key=k", "other")
	m := s.wantError(400, "invalid_parameter", "POST", "/broker/topics/t/produce?idempotency_key=k", "again", "Idempotency-Key: j")
	if m["parameter"] != "idempotency_key" {
		t.Errorf("the wrong parameter is named: %v", m)
	}
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=3", "") // an empty record is a record
	s.want(200, `{"messages":[{"offset":0,"partition":3,"value":""}],"count":1,"next_offset":1,"committed_offset":null,"truncated":false}`,
		"GET", "/broker/consume/t/g/3", "")
	s.want(200, `{"ok":true,"first_offset":1,"count":3,"partition":3,"batch_id":6,"sealed":true,"durable":true,"mode":"sealed","synced":true}`,
		"POST", "/broker/topics/t/produce-ndjson?partition=3", "{\"a\":1}\r\n\n\"text\\n\"\nrest")
	s.want(200, `{"messages":[{"offset":1,"partition":3,"value":"{\"a\":1}"},{"offset":2,"partition":3,"value":"text\n"},{"offset":3,"partition":3,"value":"rest"}],"count":3,"next_offset":4,"committed_offset":null,"truncated":false}`,
		"GET", "/broker/consume/t/g/3?offset=1", "")
	s.wantError(400, "empty_body", "POST", "/broker/topics/t/produce-ndjson", "\n\r\n")
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=1&encoding=b64", "AP8K\r\n\n=\nAA==\nAA\nAP8=")
	s.want(200, `{"messages":[{"offset":0,"partition":1,"value_b64":"AP8K"},{"offset":1,"partition":1,"value_b64":""},{"offset":2,"partition":1,"value_b64":"AA=="},`+
		`{"offset":3,"partition":1,"value_b64":"AA=="},{"offset":4,"partition":1,"value_b64":"AP8="}],"count":5,"next_offset":5,"committed_offset":null,"truncated":false}`,
		"GET", "/broker/consume/t/g/1?encoding=b64", "")
	for _, bad := range []string{"AA==\n\nA", "AA\n\n{}", "AA\n\nAA=", "AA\n\nAB", "AA\n\n===="} {
		if m := s.wantError(400, "invalid_parameter", "POST", "/broker/topics/t/produce-ndjson?encoding=b64", bad); m["line"] != 3.0 || m["parameter"] != "encoding" {
			t.Errorf("%q: %v", bad, m)
		}
	}
	s.wantError(404, "unknown_topic", "POST", "/broker/topics/no/produce", "x")
}

func TestProduceTiming(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	m := s.do("POST", "/broker/topics/t/produce?timing=1", strings.NewReader("x")).json(t)
	timing, _ := m["timing"].(map[string]any)
	for _, name := range []string{"queue_us", "parse_us", "commit_us", "total_us"} {
		if n, ok := timing[name].(float64); !ok || n < 0 {
			t.Errorf("timing has no %s: %v", name, m)
		}
	}
}

func TestProduceKeys(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=0&key=a%2Fb+c", "v")
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=0&key=", "v")
	s.want(200, `{"messages":[{"offset":0,"partition":0,"value":"v","key":"a/b c"},{"offset":1,"partition":0,"value":"v","key":""}],"count":2,"next_offset":2,"committed_offset":null,"truncated":false}`,
		"GET", "/broker/consume/t/g/0", "")
	s.want(200, `{"messages":[{"offset":0,"partition":0,"value_b64":"dg==","key_b64":"YS9iIGM="}],"count":1,"next_offset":1,"committed_offset":null,"truncated":false}`,
		"GET", "/broker/consume/t/g/0?limit=1&encoding=b64", "")
}

// What is passed on must not be a view of the library's reused buffers.
func TestCopiesAtTheEdge(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []bus.Append
	s := serve(t, func(c *Config) { c.Dev = true })
	s.topics.failAppends(func(_ context.Context, a bus.Append) error {
		mu.Lock()
		defer mu.Unlock()
		a.Block.Bytes = nil // owned until the call returns only
		seen = append(seen, a)
		return nil
	})
	for i := range 50 { // the topics are made on the way
		s.want(200, "", "POST", fmt.Sprintf("/broker/topics/topic%02d/produce?key=key%02d&idempotency_key=idem%02d", i, i, i), "v", "Authorization: Bearer dev")
	}
	topics := s.topics.ListTopics()
	for i, a := range seen {
		want := fmt.Sprintf("topic%02d key%02d idem%02d", i, i, i)
		if got := fmt.Sprintf("%s %s %s", a.Topic, a.Key, a.IdempotencyKey); got != want || topics[i].Name != a.Topic {
			t.Fatalf("append %d changed after the call: %s, the topic is %s", i, got, topics[i].Name)
		}
	}
}

func TestProduceTimeout(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.CallTimeout = 50 * time.Millisecond })
	s.topics.failAppends(func(ctx context.Context, _ bus.Append) error {
		<-ctx.Done()
		return fault.New(fault.Timeout, "unknown_outcome", "The outcome is unknown: %w", ctx.Err())
	})
	s.want(200, `{"ok":true,"offset":null,"partition":1,"batch_id":0,"sealed":false,"durable":false,"mode":"sealed","synced":false}`,
		"POST", "/broker/topics/t/produce?partition=1&timeout_ms=5", "x")
	s.want(200, `{"ok":true,"first_offset":null,"count":2,"partition":null,"batch_id":0,"sealed":false,"durable":false,"mode":"sealed","synced":false}`,
		"POST", "/broker/topics/t/produce-ndjson?timeout_ms=5", "x\ny")
	m := s.wantError(503, "unknown_outcome", "POST", "/broker/topics/t/produce", "x")
	if m["retryable"] != true {
		t.Errorf("not retryable: %v", m)
	}
	s.topics.failAppends(func(context.Context, bus.Append) error {
		return fault.New(fault.Unavailable, "no_quorum", "No quorum")
	})
	m = s.wantError(503, "no_quorum", "POST", "/broker/topics/t/produce?timeout_ms=60000", "x")
	if m["retryable"] != true {
		t.Errorf("not retryable: %v", m)
	}
	s.topics.failAppends(func(ctx context.Context, _ bus.Append) error { <-ctx.Done(); return ctx.Err() })
	s.wantError(503, "unknown_outcome", "POST", "/broker/topics/t/produce", "x") // a bare context error
	s.topics.failAppends(func(context.Context, bus.Append) error { return fmt.Errorf("secret: %d", 42) })
	if m := s.wantError(500, "internal", "POST", "/broker/topics/t/produce", "x"); strings.Contains(m["message"].(string), "secret") {
		t.Errorf("the text of an unclassified error got out: %v", m)
	}
	s.topics.failAppends(func(context.Context, bus.Append) error { panic("boom") })
	s.wantError(500, "internal", "POST", "/broker/topics/t/produce", "x")
}

func TestDevCreatesTopicsOnProduceOnly(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Dev = true })
	const token = "Authorization: Bearer dev"
	s.wantError(404, "unknown_topic", "GET", "/broker/consume/auto/g/0", "", token)
	s.wantError(404, "unknown_topic", "GET", "/broker/topics/auto", "", token)
	s.wantError(401, "unauthorized", "POST", "/broker/topics/auto/produce", "x")
	s.want(200, "", "POST", "/broker/topics/auto/produce", "x", token)
	s.want(200, `{"ok":true,"topics":[{"topic":"auto","partitions":8,"created_ms":1700000000000}]}`, "GET", "/broker/topics", "", token)
}

func TestSplitLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil}, {"\n\r\n\n", nil}, {"a", []string{"a"}}, {"a\r\nb\n", []string{"a", "b"}},
		{"a\rb\r\r\n", []string{"a\rb\r"}}, {" \n", []string{" "}},
		{`"x"`, []string{"x"}}, {` "x" `, []string{"x"}}, {`"\u00e9\ud83d\ude00\/"`, []string{"é😀/"}},
		{`"\ud800"`, []string{`"\ud800"`}}, {`"\ude00\ud83d"`, []string{`"\ude00\ud83d"`}}, {`"a" "b"`, []string{`"a" "b"`}},
		{`"a`, []string{`"a`}}, {"\"\xff\"", []string{"\"\xff\""}}, {"\"\t\"", []string{"\"\t\""}}, {`""`, []string{""}},
		{`"\x"`, []string{`"\x"`}}, {`"\u12"`, []string{`"\u12"`}}, {"not json {", []string{"not json {"}},
	} {
		var block log.Block
		if n, _ := splitLines(&block, nil, []byte(c.in), 100); n != 0 {
			t.Errorf("%q: line %d is too long", c.in, n)
		}
		if got := values(t, block); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
	var block log.Block
	if n, tooLong := splitLines(&block, []byte("kk"), []byte("12\n\n1234\n"), 5); n != 3 || !tooLong {
		t.Errorf("line %d is too long, want 3", n)
	}
}

func values(t testing.TB, block log.Block) (out []string) {
	t.Helper()
	if err := block.Check(); err != nil {
		t.Fatal(err)
	}
	cursor := block.Records(0, 0)
	for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
		out = append(out, string(r.Value))
	}
	return out
}

func TestRecordLimits(t *testing.T) {
	t.Parallel()
	s := withTopic(t, func(c *Config) { c.Limits.RecordBytes, c.Limits.BodyBytes = 100, 1000 })
	s.want(200, "", "POST", "/broker/topics/t/produce", strings.Repeat("x", 100))
	s.wantError(413, "record_too_large", "POST", "/broker/topics/t/produce", strings.Repeat("x", 101))
	s.wantError(413, "record_too_large", "POST", "/broker/topics/t/produce?key=k", strings.Repeat("x", 100))
	m := s.wantError(413, "record_too_large", "POST", "/broker/topics/t/produce-ndjson", "a\n"+strings.Repeat("x", 101)+"\nb")
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?encoding=b64&partition=0", base64.StdEncoding.EncodeToString(make([]byte, 100)))
	s.wantError(413, "record_too_large", "POST", "/broker/topics/t/produce-ndjson?encoding=b64", base64.StdEncoding.EncodeToString(make([]byte, 101)))
	if m["line"] != 2.0 || m["limit_bytes"] != 100.0 {
		t.Errorf("line and limit are not named: %v", m)
	}
	s.wantError(413, "body_too_large", "POST", "/broker/topics/t/produce-ndjson", strings.Repeat("a\n", 501))
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson", strings.Repeat("a\n", 500))
	a := s.do("GET", "/broker/topics/t", http.NoBody).json(t)
	total := 0.0
	for _, p := range a["detail"].([]any) {
		total += p.(map[string]any)["next_offset"].(float64)
	}
	if total != 502 {
		t.Errorf("%v records, want 502: a refused body was applied in part", total)
	}
}

func FuzzSplitLines(f *testing.F) {
	for _, seed := range []string{"", "a\r\n\n\"b\"", "\"\\ud83d\\ude00\"\n", "\xff\n \"x\" \r", "\"\\ud800\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var block log.Block
		if n, _ := splitLines(&block, nil, bytes.Clone(body), 1<<20); n != 0 {
			t.Fatalf("line %d is too long", n)
		}
		var want []string
		for _, l := range strings.Split(string(body), "\n") {
			if l = strings.TrimSuffix(l, "\r"); l == "" {
				continue
			}
			want = append(want, jsonText(l))
		}
		if got := values(t, block); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q: got %q, want %q", body, got, want)
		}
	})
}

// What was only queued is never called durable, and says nothing of where it lies.
func TestProduceModes(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	const unsure = `,"batch_id":0,"sealed":false,"durable":false,"mode":"rocket","synced":false}`
	const base = "/broker/topics/t/produce"
	for _, query := range []string{"mode=rocket", "acks=async", "mode=rocket&acks=async", "mode=rocket&idempotency_key=k"} {
		s.want(200, `{"ok":true,"offset":null,"partition":2`+unsure, "POST", base+"?partition=2&"+query, "x")
		s.want(200, `{"ok":true,"first_offset":null,"count":2,"partition":2`+unsure, "POST", base+"-ndjson?partition=2&"+query, "x\ny\n")
	}
	s.want(200, `{"ok":true,"offset":null,"partition":0`+unsure[:len(unsure)-1]+`,"timing":{"queue_us":0,"parse_us":0,"commit_us":0,"total_us":0}}`,
		"POST", base+"?mode=rocket&timing=1", "x")
	for _, query := range []string{"mode=sealed", "acks=majority", "acks=all", "mode=sealed&acks=all"} {
		if a := s.do("POST", base+"?partition=1&"+query, strings.NewReader("x")); !strings.Contains(a.body, `"sealed":true,"durable":true,"mode":"sealed","synced":true`) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	for _, query := range []string{"mode=fast", "mode=", "acks=1", "acks=none", "mode=sealed&acks=async", "mode=rocket&acks=all", "mode=rocket&acks=majority"} {
		if m := s.wantError(400, "invalid_parameter", "POST", base+"?"+query, "x"); m["parameter"] != "acks" && m["parameter"] != "mode" {
			t.Errorf("%s: %v", query, m)
		}
	}
	s.topics.failAppends(func(context.Context, bus.Append) error {
		return fault.New(fault.Unavailable, "no_quorum", "The shard takes no writes")
	})
	s.wantError(503, "no_quorum", "POST", base+"?mode=rocket", "x")
}
