package log_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"leat/internal/fault"
	"leat/log"
)

func TestBlockRoundTrip(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(t, 20) {
		h := &history{}
		made := h.grow(rand.New(rand.NewPCG(seed, 6)))
		at := 0
		for _, block := range made.Blocks {
			if err := block.Check(); err != nil {
				t.Fatalf("%v\n%s", err, rerun(t, seed))
			}
			c := block.Records(log.Offset(at), 9)
			apart := c
			for r, ok := c.Next(); ok; r, ok = c.Next() {
				b := h.batches[0]
				if int(r.Offset) != at || r.TimeMs != 9 || !bytes.Equal(r.Key, b.keys[at]) ||
					(r.Key == nil) != (b.keys[at] == nil) || !bytes.Equal(r.Value, b.values[at]) {
					t.Fatalf("record %d is %v\n%s", at, r, rerun(t, seed))
				}
				offset, timeMs, value, ok := apart.NextValue()
				if !ok || offset != r.Offset || timeMs != r.TimeMs || !bytes.Equal(value, r.Value) {
					t.Fatalf("record %d apart is %d %d %q %v\n%s", at, offset, timeMs, value, ok, rerun(t, seed))
				}
				at++
			}
			if _, _, _, ok := apart.NextValue(); ok {
				t.Fatalf("a value after the last record\n%s", rerun(t, seed))
			}
		}
		if at != len(h.batches[0].values) {
			t.Fatalf("%d records came back\n%s", at, rerun(t, seed))
		}
	}
}

func TestMalformedBlocks(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]log.Block{
		"negative count":     {Count: -1},
		"nothing":            {Count: 1},
		"left over":          {Bytes: []byte{0, 0}},
		"one too many":       {Count: 1, Bytes: []byte{0, 0, 0, 0}},
		"one too few":        {Count: 2, Bytes: []byte{0, 0}},
		"key too long":       {Count: 1, Bytes: []byte{4, 0, 'a', 'b'}},
		"value too long":     {Count: 1, Bytes: []byte{0, 3, 'a', 'b'}},
		"no value length":    {Count: 1, Bytes: []byte{1}},
		"length not ended":   {Count: 1, Bytes: []byte{0x80}},
		"length not minimal": {Count: 1, Bytes: []byte{0x80, 0x00, 0}},
		"length over 64 bit": {Count: 1, Bytes: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}},
		"key of 2^64-1":      {Count: 1, Bytes: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}},
	} {
		if err := block.Check(); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzBlockCheck holds a block that passes against the one that its records
// make: the encoding is canonical.
func FuzzBlockCheck(f *testing.F) {
	f.Add(1, []byte{0, 0})
	f.Add(2, []byte{1, 1, 'v', 3, 0, 'k', 'k'})
	f.Add(1, []byte{0x80, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, count int, data []byte) {
		block := log.Block{Count: count, Bytes: data}
		if block.Check() != nil {
			return
		}
		var again log.Block
		c := block.Records(0, 0)
		for r, ok := c.Next(); ok; r, ok = c.Next() {
			again.Add(r.Key, r.Value)
		}
		if again.Count != count || !bytes.Equal(again.Bytes, data) {
			t.Fatalf("%d records in %x became %d in %x", count, data, again.Count, again.Bytes)
		}
	})
}
