package jsontext

import (
	"bytes"
	"encoding/json"
	"testing"
)

// plain is the definition that the word-wise search follows.
func plain(c byte) bool { return c >= ' ' && c < 0x80 && c != '"' && c != '\\' }

// Every byte at every place of a word, before every other: the first one that stops
// is found, whatever follows it.
func TestSkipPlainFindsTheFirst(t *testing.T) {
	t.Parallel()
	for size := 1; size <= 17; size++ {
		for at := range size {
			for c := range 256 {
				for _, fill := range []byte{'a', ' ', '!', '[', 0x7F} {
					b := bytes.Repeat([]byte{fill}, size)
					b[at] = byte(c)
					if at+1 < size {
						b[at+1] = '"'
					}
					want := 0
					for want < size && plain(b[want]) {
						want++
					}
					if got := SkipPlain(b, 0); got != want {
						t.Fatalf("% x: %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

// Each text is put at different distances from the start and the end of a word.
func TestSkipString(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body    string
		good    bool
		escaped bool
		offset  int // of the fault, from the start of body
	}{
		{"", true, false, 0},
		{"plain", true, false, 0},
		{"é€😀\x7f", true, false, 0},
		{`\"\\\/\b\f\n\r\t\u00e9`, true, true, 0},
		{`\ud83d\ude00`, true, true, 0},
		{"\x1f", false, false, 0},
		{"\n", false, false, 0},
		{"\xff", false, false, 0},
		{"ab\xe2\x82", false, false, 2},
		{`\x`, false, false, 0},
		{`\ud83d`, false, false, 0},
		{`\u12`, false, false, 0},
		{`a\ud83d\u0041`, false, false, 1},
	} {
		for pad := range 10 {
			before := bytes.Repeat([]byte("p"), pad)
			for after := range 10 {
				text := "\"" + string(before) + c.body + string(bytes.Repeat([]byte("q"), after)) + "\""
				var fault Fault
				end, escaped := SkipString([]byte(text), 1, &fault)
				if c.good && (end != len(text) || escaped != c.escaped) {
					t.Fatalf("%q: %d, %v, %+v", text, end, escaped, fault)
				}
				if !c.good && (end != -1 || fault.Offset != 1+pad+c.offset || fault.Reason == "") {
					t.Fatalf("%q: %d, %+v", text, end, fault)
				}
				if end, _ := SkipString([]byte(text[:len(text)-1]), 1, &fault); end != -1 {
					t.Fatalf("%q without its end: %d", text, end)
				}
			}
		}
	}
}

func TestAppendUnescaped(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `a`, `\n`, `a\"b\\c\/d\b\f\n\r\t`, `\u0041\u00e9\u20ac\ud83d\uDE00x`, `\\u0041`, `é\u0000`} {
		var want string
		if err := json.Unmarshal([]byte(`"`+body+`"`), &want); err != nil {
			t.Fatal(err)
		}
		if got := string(AppendUnescaped([]byte("x"), []byte(body))); got != "x"+want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}
