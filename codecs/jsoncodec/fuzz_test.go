package jsoncodec

import (
	"bytes"
	"encoding/json"
	"testing"

	"leat/codecs/codecstest"
)

// FuzzDecode decodes two records in turn, so that what is learnt from one is tried on
// the other, and compares with encoding/json and with jsontext.
func FuzzDecode(f *testing.F) {
	for _, pair := range [][2]string{
		{`{"a":1,"b":"x","c":[1,{"d":2.5}]}`, `{"a": 2, "b": "y", "c": []}`},
		{`{"a":{"b":{"c":1}},"a":{"b":null}}`, `{"a":{"b":[1,2,3]},"b":{"a":true}}`},
		{`{"odd name":"\u00e9\ud83d\ude00\n","\u0061":-0,"b":1e400}`, ` {"b":-9223372036854775808,"a":9223372036854775808} `},
		{`{"a":[{"b":1},{"b":2}],"a":[{"b":3}],"b":"\ud800"}`, "{\"a\":\"\xff\"}"},
		{`{"a_rather_long_member_name_of_more_than_48_bytes_":1,"b":2}`, `{"a_name_of_20_bytes__":1,"b":2.25e-3}`},
		{`[]`, `{"a":01}`},
	} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		paths := codecstest.Paths(t, "a", "b", "a.b", "a.b.c", "a[0]", "a[1].b", "c[1].d", `["odd name"]`, "", "a", "b.a")
		checkAgainstOracle(t, New(paths), paths, [][]byte{first, second, first, first, second})
		for _, b := range [][]byte{first, second} {
			checkValid(t, b)
		}
	})
}

func checkValid(t *testing.T, b []byte) {
	t.Helper()
	err := Valid(b)
	if want := acceptable(b); (err == nil) != want {
		t.Fatalf("%q: Valid says %v, want acceptance %v", b, err, want)
	}
	checkReference(t, b, err == nil)
	if err != nil {
		if e := err.(*SyntaxError); e.Offset < 0 || e.Offset > len(b) || e.Line < 1 || e.Column < 1 || e.Reason == "" {
			t.Fatalf("%q: %+v", b, e)
		}
		return
	}
	var want bytes.Buffer
	if err := json.Compact(&want, b); err != nil {
		t.Fatal(err)
	}
	if got := Compact(nil, b); !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("%q: compact %q, want %q", b, got, want.Bytes())
	}
	if err := ValidUnique(b); (err == nil) != !hasRepeatedMember(b) {
		t.Fatalf("%q: ValidUnique says %v", b, err)
	}
}

// hasRepeatedMember walks the tokens of valid text.
func hasRepeatedMember(b []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(b))
	type level struct {
		names  map[string]bool // nil in an array
		isName bool
	}
	levels := []level{{}}
	for {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		top := &levels[len(levels)-1]
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if top.names != nil {
			if name, ok := token.(string); ok && top.isName {
				if top.names[name] {
					return true
				}
				top.names[name] = true
			}
			top.isName = !top.isName
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}, isName: true})
		case json.Delim('['):
			levels = append(levels, level{})
		}
	}
}

// FuzzCompact: text that is not JSON does no harm.
func FuzzCompact(f *testing.F) {
	f.Add([]byte(`{ "a\\" : [ 1 , "\"" ] }`))
	f.Add([]byte(`"\`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := Compact([]byte("x"), b); len(got) > len(b)+1 || got[0] != 'x' {
			t.Fatalf("%q became %q", b, got)
		}
	})
}
