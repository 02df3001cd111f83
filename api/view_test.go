package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestView(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	s.want(201, "", "POST", "/queries", `{"name":"q","source":{"topic":"t"}}`, "Content-Type: application/json")
	s.queries.change("q", func(q *fakeQuery) {
		q.rows = append(q.rows, []byte(`{"flight":"a b/&","window_start":-10}`), []byte(`{"flight":"a b/&","window_start":20}`))
	})
	s.want(200, `{"ok":true,"row":{"flight":"a b/&","window_start":20}}`, "GET", "/queries/q/view?key=a%20b%2F%26", "")
	s.want(200, `{"ok":true,"row":{"flight":"a b/&","window_start":-10}}`, "GET", "/queries/q/view?key=a+b/%26&window_start=-10", "")
	s.wantError(404, "not_found", "GET", "/queries/q/view?key=b", "")
	s.wantError(404, "not_found", "GET", "/queries/q/view?key=", "")
	s.wantError(404, "unknown_query", "GET", "/queries/no/view?key=b", "")
	s.wantError(422, "not_grouped", "GET", "/queries/q/view", "")
	for query, parameter := range map[string]string{
		"key=a&key=b": "key", "key=a&window_start=x": "window_start", "key=a&window_start=": "window_start",
		"key=a&window_start=%2B5": "window_start", "key=a&window_start=5&window_start=5": "window_start", "key=%zz": "key",
	} {
		if m := s.wantError(400, "invalid_parameter", "GET", "/queries/q/view?"+query, ""); m["parameter"] != parameter {
			t.Errorf("%s: %v", query, m)
		}
	}
	for _, query := range []string{"ke=a", "key...=a"} {
		if m := s.wantError(400, "unknown_parameter", "GET", "/queries/q/view?"+query, ""); strings.Contains(m["message"].(string), `mean "key..."`) {
			t.Errorf("%s: %v", query, m)
		}
	}
	if a := s.do("HEAD", "/queries/q/view?key=a+b/%26", http.NoBody); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
	// A status looks at the records of the sources; who asks for rows does not pay for that.
	s.want(200, "", "GET", "/queries/q/results", "")
	asked := func() int { s.queries.mu.Lock(); defer s.queries.mu.Unlock(); return s.queries.statuses }
	if n := asked(); n != 0 {
		t.Errorf("%d times for the status", n)
	}
	s.want(200, "", "GET", "/queries/q", "")
	if n := asked(); n != 1 {
		t.Errorf("the status was asked for %d times", n)
	}
}

// A parameter that may be repeated keeps its values in order.
func TestRepeatedParameter(t *testing.T) {
	t.Parallel()
	p, err := parseParams([]byte("key=b&window_start=1&key=&k%65y=a%26+c"), []string{"key" + repeated, "window_start"})
	if want := "b||a& c"; err != nil || strings.Join(p.list, "|") != want {
		t.Errorf("got %q, %v", p.list, err)
	}
	if start, err := p.time("window_start"); err != nil || start == nil || *start != 1 {
		t.Errorf("window_start %v, %v", start, err)
	}
}

// Who writes to namespaces otherwise keeps to the rules of the calls.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.DocumentBytes = 1000 })
	n := NewNamespaces(s.server.documents, s.server.cluster, Limits{RecordBytes: 5, DocumentBytes: 1000})
	s.want(200, "", "POST", "/kv/app/a/b", "hello")
	shard, prefix := n.Space("app")
	if doc, ok := s.server.documents.Doc(shard, prefix+"a/b"); !ok || string(doc.Value) != "hello" {
		t.Errorf("the key of the call is not at %d, %q", shard, prefix)
	}
	var before int
	s.documents.set(func(f *fakeDocuments) { before = f.confirms })
	if err := n.Fresh(t.Context(), "app"); err != nil {
		t.Error(err)
	}
	s.documents.set(func(f *fakeDocuments) {
		if f.confirms != before+1 {
			t.Errorf("%d confirmations", f.confirms-before)
		}
	})
	if value, version, ok := n.Value("app", "a/b"); !ok || string(value) != "hello" || version == 0 {
		t.Errorf("the key holds %q at version %d", value, version)
	}
	if value, version, ok := n.Value("app", "a"); ok || value != nil || version != 0 {
		t.Errorf("a key that is not there holds %q at version %d", value, version)
	}
	if err := n.Check("a/b", []byte("12345")); err != nil {
		t.Error(err)
	}
	for key, code := range map[string]string{"": "invalid_key", "a/../b": "invalid_key", "a\nb": "invalid_key", strings.Repeat("k", 1025): "invalid_key", "k": "value_too_large"} {
		if f := classify(n.Check(key, []byte("123456"))); f.Code != code {
			t.Errorf("%q: %v", clip(key), f)
		}
	}
	if err := n.Room(shard); err != nil {
		t.Error(err)
	}
}

// A token for some topics does not let a query write to other namespaces.
func TestSpecNamesNamespaces(t *testing.T) {
	t.Parallel()
	got := specTopics([]byte(`{"source":{"topic":"in"},"sink":{"kv":"out","key":"k"},"lookup":{"kv":"side"}}`))
	if len(got) != 3 {
		t.Errorf("%v", got)
	}
}
