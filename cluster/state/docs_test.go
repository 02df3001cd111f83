package state

import "testing"

// TestExpiredDocumentsCount: what is remembered of documents that have expired is in the
// memory of the documents until it is forgotten, however short their lives.
func TestExpiredDocumentsCount(t *testing.T) {
	t.Parallel()
	s := New()
	put := func(key string, expires int64) {
		Put{Key: key, Doc: Doc{Value: []byte("value"), Version: s.DocVersion() + 1, ExpiresMs: expires}}.Apply(s)
	}
	want := func(when string, bytes int64) {
		t.Helper()
		if got := s.DocBytes(); got != bytes {
			t.Errorf("%s: %d bytes, not %d", when, got, bytes)
		}
	}
	one := docBytes("a", Doc{Value: []byte("value")})
	put("a", 10)
	put("b", 20)
	want("two", 2*one)
	Clock{TimeMs: 20}.Apply(s)
	want("both expired", 2*expiredBytes("a"))
	put("a", 0)
	want("one is there again", one+expiredBytes("b"))
	Delete{Key: "a", Version: s.DocVersion() + 1}.Apply(s)
	want("and is deleted", expiredBytes("b"))
	Clock{TimeMs: 20 + RememberExpiredMs}.Apply(s)
	want("the other is forgotten", 0)
}
