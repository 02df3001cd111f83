package api

import (
	"net/url"
	"testing"

	"leat/internal/fault"
)

func TestBadParameters(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	for _, c := range [][2]string{
		{"limit=-1", "limit"}, {"limit=1e3", "limit"}, {"limit=0", "limit"}, {"limit=18446744073709551616", "limit"},
		{"limit=", "limit"}, {"limit=%2B5", "limit"}, {"limit=5&limit=5", "limit"}, {"limit=%zz", "limit"}, {"%zz=1", "%zz"},
		{"offset=-1", "offset"}, {"offset=9223372036854775808", "offset"}, {"offset=0x1", "offset"},
		{"encoding=hex", "encoding"}, {"wait_ms=-1", "wait_ms"}, {"wait_ms=1.5", "wait_ms"},
	} {
		m := s.wantError(400, "invalid_parameter", "GET", "/broker/consume/t/g/0?"+c[0], "")
		if m["parameter"] != c[1] {
			t.Errorf("%s: names %v", c[0], m["parameter"])
		}
	}
	for _, path := range []string{"/broker/consume/t/g/99999", "/broker/consume/t/g/-1", "/broker/consume/t/g/4", "/broker/consume/t/g/1e0"} {
		if m := s.wantError(400, "invalid_parameter", "GET", path, ""); m["parameter"] != "partition" {
			t.Errorf("%s: names %v", path, m["parameter"])
		}
	}
	for _, c := range [][2]string{
		{"partition=99999", "partition"}, {"partition=-1", "partition"}, {"partition=4", "partition"}, {"timeout_ms=0", "timeout_ms"},
		{"timeout_ms=x", "timeout_ms"}, {"timing=2", "timing"}, {"mode=fast", "mode"}, {"acks=1", "acks"}, {"idempotency_key=", "idempotency_key"},
	} {
		m := s.wantError(400, "invalid_parameter", "POST", "/broker/topics/t/produce?"+c[0], "x")
		if m["parameter"] != c[1] {
			t.Errorf("%s: names %v", c[0], m["parameter"])
		}
	}
	m := s.wantError(400, "unknown_parameter", "GET", "/broker/consume/t/g/0?ofset=3", "")
	if m["parameter"] != "ofset" || m["message"] != `There is no parameter "ofset", did you mean "offset"?` {
		t.Errorf("got %v", m)
	}
	s.wantError(400, "unknown_parameter", "GET", "/broker/topics?token=secret", "")
	s.want(200, "", "GET", "/health?anything=1", "")
}

func FuzzParams(f *testing.F) {
	for _, seed := range []string{"", "offset=1&limit=2", "a=%41+b&&=", "offset=1&offset=2", "%6ffset=3", "limit=%"} {
		f.Add(seed)
	}
	known := []string{"offset", "limit", "a", ""}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := parseParams([]byte(raw), known)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || fault.As(err).Detail["parameter"] == nil {
				t.Fatalf("%q: %v does not name a parameter", raw, err)
			}
			return
		}
		// url.ParseQuery also refuses ';', which is a byte like any other here.
		want, err := url.ParseQuery(raw)
		for i := range p.count {
			if err == nil && (len(want[p.names[i]]) != 1 || want.Get(p.names[i]) != p.values[i]) {
				t.Fatalf("%q: %q is %q, net/url says %q", raw, p.names[i], p.values[i], want[p.names[i]])
			}
			if n, err := p.integer(p.names[i], 3, 9, 0); err == nil && (n < 3 || n > 9) {
				t.Fatalf("%q: %d is out of range", raw, n)
			}
		}
	})
}
