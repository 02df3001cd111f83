package protocodec

import (
	"bytes"
	"math"
	"runtime"
	"testing"
	"time"

	"leat/codecs"
	"leat/codecs/internal/varint"
)

// nestedIn is a message with so many others inside each other, in turn in fields of the tags.
func nestedIn(levels int, tags ...byte) []byte {
	var b []byte
	for k := range levels {
		b = append(append([]byte{tags[k%len(tags)]}, varint.Append(nil, uint64(len(b)))...), b...)
	}
	return b
}

// TestHostileRecords: each is refused, within 50 ms and in memory of twice its size, for
// whatever paths. The fastest of a few tries counts: the machine may be busy. It runs alone.
func TestHostileRecords(t *testing.T) {
	m := parse(t, `syntax = "proto2"; message M { optional M m = 1; repeated int64 l = 2; map<string, M> map = 3; optional string s = 4; optional group G = 5 { optional M in = 1; } }`)
	for name, record := range map[string][]byte{
		"10,001 messages":                             nestedIn(10_001, 0x0A),
		"10,001 entries of maps":                      nestedIn(10_002, 0x12, 0x1A),
		"10,001 groups":                               bytes.Repeat([]byte{0x2B}, 10_001),
		"10,001 groups without a field":               bytes.Repeat([]byte{0x7B}, 10_001),
		"a length of 2^62":                            append([]byte{0x22}, varint.Append(nil, 1<<62)...),
		"a packed list of 2^40":                       append([]byte{0x12}, varint.Append(nil, 1<<40)...),
		"a million messages, the last of them broken": append(bytes.Repeat([]byte{0x0A, 0}, 1_000_000), 0x0A),
		"a million entries, the last of them broken":  append(bytes.Repeat([]byte{0x1A, 0}, 1_000_000), 0x1A),
	} {
		for _, paths := range [][]string{nil, {"s"}, {"m.m.m.s", "l[3]", "map.x.s"}} {
			took, taken := time.Duration(math.MaxInt64), uint64(math.MaxUint64)
			d := NewDecoder(m, parsePaths(t, paths...))
			var into codecs.Columns
			for range 5 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				bad := d.Decode([][]byte{record}, &into)
				took = min(took, time.Since(start))
				runtime.ReadMemStats(&after)
				taken = min(taken, after.TotalAlloc-before.TotalAlloc)
				if len(bad) != 1 {
					t.Fatalf("%s is accepted for %q", name, paths)
				}
			}
			const words = 4096 // the reason
			if taken > 2*uint64(len(record))+words {
				t.Errorf("%s of %d bytes takes %d bytes for %q", name, len(record), taken, paths)
			}
			if took > 50*time.Millisecond {
				t.Errorf("%s takes %v for %q", name, took, paths)
			}
		}
	}
}
