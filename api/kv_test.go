package api

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"

	"leat/internal/fault"
	"leat/internal/testenv"
)

func sealed(cas string, change int) string {
	return fmt.Sprintf(`{"ok":true,%s,"sealed":true,"durable":true,"mode":"sealed","synced":true,"batch_id":%d}`, cas, change)
}

func TestDocument(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.wantError(404, "not_found", "GET", "/kv/app/a", "")
	s.want(200, sealed(`"cas":1`, 1), "POST", "/kv/app/a", "hello\x00\xff")
	s.want(200, `{"value":"aGVsbG8A/w==","cas":1}`, "GET", "/kv/app/a", "")
	a := s.do("GET", "/kv/app/a", http.NoBody)
	if a.header.Get("ETag") != `"1"` {
		t.Errorf("ETag is %q", a.header.Get("ETag"))
	}
	s.want(200, `{"cas":1,"size":7,"ttl_ms":null,"created_ms":1700000000000,"updated_ms":1700000000000}`, "GET", "/kv/app/a/meta", "")
	s.want(200, sealed(`"cas":2`, 2), "POST", "/kv/app/a", "")
	s.want(200, `{"value":"","cas":2}`, "GET", "/kv/app/a", "")
	s.want(200, sealed(`"deleted":true`, 3), "DELETE", "/kv/app/a", "")
	s.want(200, sealed(`"deleted":false`, 3), "DELETE", "/kv/app/a", "")
	m := s.wantError(404, "not_found", "GET", "/kv/app/a", "")
	if _, ok := m["expired"]; ok {
		t.Error("a deleted key is said to have expired")
	}
	s.want(200, sealed(`"cas":4`, 4), "POST", "/kv/app/a", "again")
	s.wantError(404, "not_found", "GET", "/kv/other/a", "")
	a = s.do("HEAD", "/kv/app/a", http.NoBody)
	if a.status != 200 || a.header.Get("ETag") != `"4"` {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}

func TestDocumentCAS(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(200, sealed(`"cas":1`, 1), "POST", "/kv/app/a?cas=0", "x")
	if m := s.wantError(409, "cas_mismatch", "POST", "/kv/app/a?cas=0", "y"); m["cas"] != 1.0 {
		t.Errorf("got %v", m)
	}
	s.want(200, sealed(`"cas":2`, 2), "POST", "/kv/app/a?cas=1", "y")
	if m := s.wantError(409, "cas_mismatch", "DELETE", "/kv/app/a?cas=1", ""); m["cas"] != 2.0 {
		t.Errorf("got %v", m)
	}
	s.want(200, sealed(`"deleted":true`, 3), "DELETE", "/kv/app/a?cas=2", "")
	if m := s.wantError(409, "cas_mismatch", "POST", "/kv/app/a?cas=2", "y"); m["cas"] != 0.0 {
		t.Errorf("got %v", m)
	}
	s.want(200, sealed(`"deleted":false`, 3), "DELETE", "/kv/app/a?cas=0", "")
	for _, cas := range []string{"-1", "1e3", "x", "", "18446744073709551616"} {
		s.wantError(400, "invalid_parameter", "POST", "/kv/app/a?cas="+cas, "y")
	}
}

func TestDocumentConditions(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.wantError(412, "precondition_failed", "POST", "/kv/app/a", "x", `If-Match: *`)
	s.want(200, sealed(`"cas":1`, 1), "POST", "/kv/app/a", "x", `If-None-Match: *`)
	if m := s.wantError(412, "precondition_failed", "POST", "/kv/app/a", "x", `If-None-Match: *`); m["cas"] != 1.0 {
		t.Errorf("got %v", m)
	}
	s.wantError(412, "precondition_failed", "POST", "/kv/app/a", "x", `If-Match: "7", "8"`)
	s.wantError(412, "precondition_failed", "POST", "/kv/app/a", "x", `If-Match: W/"1"`)
	s.want(200, sealed(`"cas":2`, 2), "POST", "/kv/app/a", "x", `If-Match: "9", "1"`)
	s.wantError(412, "precondition_failed", "DELETE", "/kv/app/a", "", `If-None-Match: W/"2"`)
	s.wantError(409, "cas_mismatch", "DELETE", "/kv/app/a?cas=1", "", `If-Match: "2"`)
	s.want(200, sealed(`"deleted":true`, 3), "DELETE", "/kv/app/a?cas=2", "", `If-Match: *`)
	s.want(200, "", "POST", "/kv/app/a", "x")
	s.want(304, "", "GET", "/kv/app/a", "", `If-None-Match: "4"`)
	s.want(200, "", "GET", "/kv/app/a", "", `If-None-Match: "3"`)
	s.wantError(412, "precondition_failed", "GET", "/kv/app/a", "", `If-Match: "3"`)
	for _, tag := range []string{"4", `"4`, `"4" "5"`, "W/4"} {
		s.wantError(400, "invalid_parameter", "POST", "/kv/app/a", "x", "If-Match: "+tag)
	}
}

// A condition is looked at again when somebody else is faster.
func TestDocumentConditionRace(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(200, "", "POST", "/kv/app/a", "x")
	races := 0
	s.documents.set(func(f *fakeDocuments) {
		f.before = func() {
			if races++; races > 1 {
				return
			}
			f.set(func(f *fakeDocuments) {
				d := f.docs["kv/app\x00a"]
				f.version++
				d.Version = f.version
				f.docs[d.Key] = d
			})
		}
	})
	s.want(200, sealed(`"cas":3`, 3), "POST", "/kv/app/a", "y", "If-Match: *")
	if races != 2 {
		t.Errorf("%d transactions", races)
	}
	races = 0
	s.wantError(412, "precondition_failed", "POST", "/kv/app/a", "z", `If-Match: "3"`)
}

func TestDocumentTTL(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(200, "", "POST", "/kv/app/a?ttl_ms=1000", "x")
	s.documents.pass(400)
	s.want(200, `{"cas":1,"size":1,"ttl_ms":600,"created_ms":1700000000000,"updated_ms":1700000000000}`, "GET", "/kv/app/a/meta", "")
	s.documents.pass(600)
	for _, path := range []string{"/kv/app/a", "/kv/app/a/meta"} {
		if m := s.wantError(404, "not_found", "GET", path, ""); m["expired"] != true {
			t.Errorf("got %v", m)
		}
	}
	s.want(200, "", "POST", "/kv/app/a?ttl_ms=5", "x")
	s.want(200, "", "POST", "/kv/app/a", "x") // keeps it for ever
	s.documents.pass(10)
	s.want(200, "", "GET", "/kv/app/a", "")
	for _, ttl := range []string{"0", "-1", "99999999999999"} {
		s.wantError(400, "invalid_parameter", "POST", "/kv/app/a?ttl_ms="+ttl, "x")
	}
}

func TestDocumentKeys(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	cases := []struct{ path, key string }{
		{"a/b/c", "a/b/c"},
		{"a%2Fb", "a/b"},
		{"x%2Fmeta", "x/meta"},
		{"meta", "meta"},
		{"%25", "%"},
		{"%252F", "%2F"},
		{"a+b", "a+b"},
		{"%E2%82%AC%20%3F", "€ ?"},
		{"a//b", "a//b"},
		{"...", "..."},
		{"*", "*"},
		{strings.Repeat("k", 1024), strings.Repeat("k", 1024)},
	}
	for i, k := range cases {
		s.want(200, sealed(fmt.Sprintf(`"cas":%d`, i+1), i+1), "POST", "/kv/app/"+k.path, "v")
		if _, ok := s.documents.Doc(2, "kv/app\x00"+k.key); !ok {
			t.Errorf("%q is not stored as %q", k.path, k.key)
		}
		s.want(200, fmt.Sprintf(`{"value":"dg==","cas":%d}`, i+1), "GET", "/kv/app/"+k.path, "")
		s.want(200, "", "GET", "/kv/app/"+k.path+"/meta", "")
	}
	// What ends in a literal /meta is another call, which reads only.
	s.wantError(405, "method_not_allowed", "POST", "/kv/app/a/meta", "v")
	s.wantError(405, "method_not_allowed", "DELETE", "/kv/app/a/meta", "")
	s.wantError(404, "not_found", "GET", "/kv/app/x/meta", "")
	for _, key := range []string{
		"", "%2e%2e%2fx", "..%2fx", "a/%2e%2e/b", ".", "a%00b", "a%0Ab", "%7F", "%ff", strings.Repeat("k", 1025),
	} {
		s.wantError(400, "invalid_key", "POST", "/kv/app/"+key, "v")
		s.wantError(400, "invalid_key", "GET", "/kv/app/"+key, "")
	}
	for _, path := range []string{"/kv/app/%zz", "/kv/%zz/k", "/kv/app/%2"} {
		if got := s.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, space := range []string{"%2e%2e", "a%2Fb", "-a", "a%00", strings.Repeat("n", 250)} {
		s.wantError(400, "invalid_namespace", "POST", "/kv/"+space+"/k", "v")
		s.wantError(400, "invalid_namespace", "GET", "/kv/"+space, "")
	}
}

func TestDocumentLimits(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.RecordBytes, c.Limits.DocumentBytes = 10, 1000 })
	s.want(200, "", "POST", "/kv/app/a", "0123456789")
	s.wantError(413, "value_too_large", "POST", "/kv/app/a", "0123456789a")
	s.documents.set(func(f *fakeDocuments) { f.bytes = 1000 })
	s.wantError(429, "quota_exceeded", "POST", "/kv/app/b", "x")
	s.want(200, "", "GET", "/kv/app/a", "")
	s.want(200, "", "DELETE", "/kv/app/a", "")
}

// A read confirms that the node is up to date, unless it may be stale.
func TestDocumentReadsAreLinearizable(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(200, "", "POST", "/kv/app/a", "x")
	s.documents.set(func(f *fakeDocuments) {
		f.unsure = fault.New(fault.Unavailable, "no_quorum", "Too few nodes answer")
	})
	for _, path := range []string{"/kv/app/a", "/kv/app/a/meta", "/kv/app"} {
		s.wantError(503, "no_quorum", "GET", path, "")
		s.want(200, "", "GET", path+"?stale=1", "")
	}
	s.wantError(503, "no_quorum", "POST", "/kv/app/a", "x", `If-Match: "1"`)
	s.documents.set(func(f *fakeDocuments) {
		if f.confirms != 4 {
			t.Errorf("%d confirmations", f.confirms)
		}
	})
}

// Pages put together are the sorted keys with the prefix, whatever the keys are.
func TestDocumentList(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	random := rand.New(rand.NewPCG(seed, 1))
	s := serve(t, nil)
	want := map[string]bool{}
	for range 60 {
		key := ""
		for range 1 + random.IntN(4) {
			key += []string{"a", "b", "/", "é", "~ &"}[random.IntN(5)]
		}
		s.want(200, "", "POST", "/kv/app/"+url.PathEscape(key), "v")
		want[key] = true
	}
	s.want(200, "", "POST", "/kv/apple/a", "v")
	for _, prefix := range []string{"", "a", "b/", "c"} {
		var keys, got []string
		for key := range want {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		sort.Strings(keys)
		after := ""
		for {
			a := s.do("GET", "/kv/app?limit=3&prefix="+prefix+"&after="+url.QueryEscape(after), http.NoBody)
			m := a.json(t)
			if a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			for _, k := range m["keys"].([]any) {
				got = append(got, k.(map[string]any)["key"].(string))
			}
			next, more := m["next_after"].(string)
			if !more {
				break
			}
			after = next
		}
		if strings.Join(got, " ") != strings.Join(keys, " ") {
			t.Errorf("prefix %q: got %q, want %q", prefix, got, keys)
		}
	}
	s.want(200, `{"ok":true,"keys":[],"count":0,"next_after":null,"version":61}`, "GET", "/kv/empty", "")
	s.want(200, `{"ok":true,"keys":[{"key":"a","cas":61,"size":1,"ttl_ms":null,"created_ms":1700000000000,"updated_ms":1700000000000}],"count":1,"next_after":null,"version":61}`,
		"GET", "/kv/apple", "")
	s.wantError(400, "invalid_parameter", "GET", "/kv/app?limit=0", "")
}

// A token for some namespaces reaches no other.
func TestDocumentScopes(t *testing.T) {
	t.Parallel()
	tokens, _, err := ParseTokens("reader@kv=app:other@consume")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(c *Config) { c.Tokens = tokens })
	s.want(200, "", "POST", "/kv/app1/a", "x", "Authorization: Bearer reader")
	s.want(200, "", "GET", "/kv/app1", "", "Authorization: Bearer reader")
	for _, call := range []string{"GET /kv/x", "GET /kv/x?watch=1", "GET /kv/x/a", "GET /kv/x/a/meta", "POST /kv/x/a", "DELETE /kv/x/a"} {
		method, path, _ := strings.Cut(call, " ")
		if m := s.wantError(403, "forbidden", method, path, "", "Authorization: Bearer reader"); m["scope"] != "kv" {
			t.Errorf("%s: %v", call, m)
		}
		s.wantError(403, "forbidden", method, path, "", "Authorization: Bearer other")
		s.wantError(401, "unauthorized", method, path, "")
	}
}
