package filerun

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"leat/internal/testenv"
)

func zip(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readAll(in io.Reader) ([]string, error) {
	l, err := openRecords(in, false)
	var got []string
	for err == nil {
		var line []byte
		if line, err = l.next(); err == nil {
			got = append(got, string(line))
		}
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return got, err
}

func TestLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                        nil,
		"\n\r\n\n":                nil,
		"a\r\nb\n\nc":             {"a", "b", "c"},
		"\"x\\ny\"\n\"open\n":     {"x\ny", `"open`},
		"  \"spaced\" \n  {} \n":  {"spaced", "  {} "},
		"{\"a\":\"\\u00e9\"}\r\r": {"{\"a\":\"\\u00e9\"}\r"},
		"\"\xff\"\n":              {"\"\xff\""},
		"\"a\" \"b\"\n":           {`"a" "b"`},
		"\x1f\n":                  {"\x1f"},
	} {
		for name, in := range map[string]io.Reader{
			"plain": strings.NewReader(text), "gzip": bytes.NewReader(zip(t, text)), "slow": iotest.OneByteReader(strings.NewReader(text)),
		} {
			if got, err := readAll(in); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s of %q: %q, %v", name, text, got, err)
			}
		}
	}
}

// TestLinesAgainstSplit: lines of all lengths around the size of the buffer.
func TestLinesAgainstSplit(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	var want []string
	for i := range 60 {
		n := r.IntN(300)
		if i%6 == 0 {
			n = readBytes*(1+r.IntN(2)) - 3 + r.IntN(6)
		}
		want = append(want, strings.Repeat(string(rune('a'+i%26)), n+1))
	}
	text := strings.Join(want, "\n")
	for _, in := range []io.Reader{strings.NewReader(text), bytes.NewReader(zip(t, text+"\n")), iotest.HalfReader(strings.NewReader(text))} {
		if got, err := readAll(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d of %d lines: %v", len(got), len(want), err)
		}
	}
}

// TestBrokenLines: what cannot be read is named with its line.
func TestBrokenLines(t *testing.T) {
	t.Parallel()
	whole := zip(t, strings.Repeat("some line\n", 10))
	broken := errors.New("the disk is gone")
	for _, c := range []struct {
		in   io.Reader
		rows int
		want string
	}{
		{bytes.NewReader(whole[:len(whole)-9]), 10, "line 11: unexpected EOF"},
		{bytes.NewReader(whole[:4]), 0, "decompress: unexpected EOF"},
		{io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(broken)), 2, "line 3: the disk is gone"},
		{io.MultiReader(strings.NewReader("a\n"), bytes.NewReader(make([]byte, MaxLineBytes+2*readBytes))), 1, "line 2: it is over 16777216 bytes"},
	} {
		got, err := readAll(c.in)
		if len(got) != c.rows || fmt.Sprint(err) != c.want {
			t.Errorf("%d lines, %v; want %d, %s", len(got), err, c.rows, c.want)
		}
	}
}
