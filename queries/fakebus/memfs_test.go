package fakebus

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// TestMemoryFile: a file is the bytes written, whatever pieces they lie in.
func TestMemoryFile(t *testing.T) {
	t.Parallel()
	for _, most := range []int64{700, pieceBytes, 5 * pieceBytes / 2} {
		testMemoryFile(t, most)
	}
}

func testMemoryFile(t *testing.T, most int64) {
	t.Helper()
	random, f, want := rand.New(rand.NewPCG(1, 2)), &memoryFile{}, []byte{}
	for range 400 {
		at := random.Int64N(most)
		switch b := bytes.Repeat([]byte{byte(1 + random.IntN(255))}, int(random.Int64N(most*3/5))); random.IntN(4) {
		case 0:
			if err := f.Truncate(at); err != nil {
				t.Fatal(err)
			}
			want = append(want, make([]byte, max(0, int(at)-len(want)))...)[:at:at]
		default:
			if n, err := f.WriteAt(b, at); n != len(b) || err != nil {
				t.Fatal(n, err)
			}
			want = append(want, make([]byte, max(0, int(at)+len(b)-len(want)))...)
			copy(want[at:], b)
		}
		size, err := f.Size()
		if err != nil || size != int64(len(want)) {
			t.Fatalf("%d bytes, want %d: %v", size, len(want), err)
		}
		got, from := make([]byte, random.Int64N(most)), random.Int64N(most)
		n, err := f.ReadAt(got, from)
		rest := want[min(from, size):]
		if ended := len(rest) < len(got); ended != errors.Is(err, io.EOF) || !bytes.Equal(got[:n], rest[:min(len(got), len(rest))]) {
			t.Fatalf("%d bytes read at %d of %d: %v", n, from, size, err)
		}
	}
}
