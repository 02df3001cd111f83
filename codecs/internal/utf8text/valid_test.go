package utf8text

import (
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// TestValid compares with the standard library, at all places in a buffer.
func TestValid(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	parts := []string{"a", "plain text", "é", "€uro", "😀", "\xff", "\xc3", "\xed\xa0\x80", "0123456789abcdef"}
	for range 50000 {
		var b []byte
		for range r.IntN(6) {
			b = append(b, parts[r.IntN(len(parts))]...)
		}
		from := r.IntN(len(b) + 1)
		end := from + r.IntN(len(b)-from+1)
		want := utf8.Valid(b[from:end])
		if got := Valid(b, from, end); got != want {
			t.Fatalf("% x from %d to %d is %v, want %v", b, from, end, got, want)
		}
		ascii := true
		for _, c := range b[from:end] {
			ascii = ascii && c < 0x80
		}
		if short := Short(b, end, end-from); short && !ascii || !short && ascii && end-from <= 8 && end >= 8 {
			t.Fatalf("% x from %d to %d is short: %v", b, from, end, short)
		}
	}
}
