package log_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"leat/internal/fault"
	"leat/log"
)

const dir = "/data/7"

// seeds returns the seeds of a random test: the one in LEAT_SEED, or n fixed
// ones and a new one.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	if s := os.Getenv("LEAT_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	all := []uint64{rand.Uint64()}
	for i := range n {
		all = append(all, uint64(i))
	}
	return all
}

// rerun says how to run a failed random test again.
func rerun(t *testing.T, seed uint64) string {
	return fmt.Sprintf("rerun: LEAT_SEED=%d go test ./log -run '^%s$'", seed, strings.Split(t.Name(), "/")[0])
}

// batch is an appended batch as the tests remember it.
type batch struct {
	base   log.Offset
	mark   log.Mark
	timeMs int64
	keys   [][]byte
	values [][]byte
}

func (b batch) end() log.Offset { return b.base + log.Offset(len(b.values)) }

// history is what a log is compared with.
type history struct {
	batches []batch
	next    log.Offset
	mark    log.Mark
	timeMs  int64
}

// grow makes a random batch that follows what is there.
func (h *history) grow(rng *rand.Rand) log.Batch {
	h.mark += log.Mark(rng.IntN(3))
	h.timeMs += int64(rng.IntN(20) - 5)
	b := batch{base: h.next, mark: h.mark, timeMs: h.timeMs}
	blocks := make([]log.Block, 1+rng.IntN(3))
	for n := 1 + rng.IntN(6); n > 0; n-- {
		var key []byte
		if rng.IntN(2) == 0 {
			key = randomBytes(rng, rng.IntN(4))
		}
		value := randomBytes(rng, rng.IntN(40))
		if rng.IntN(50) == 0 {
			value = randomBytes(rng, 1000)
		}
		blocks[len(b.values)%len(blocks)].Add(key, value)
		b.keys, b.values = append(b.keys, key), append(b.values, value)
	}
	// The records lie block after block.
	var keys, values [][]byte
	for i := range blocks {
		for j := i; j < len(b.values); j += len(blocks) {
			keys, values = append(keys, b.keys[j]), append(values, b.values[j])
		}
	}
	b.keys, b.values = keys, values
	h.batches = append(h.batches, b)
	h.next = b.end()
	return log.Batch{Mark: b.mark, TimeMs: b.timeMs, Blocks: blocks}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// cutAfter forgets the batches above a mark.
func (h *history) cutAfter(m log.Mark) {
	h.keep(func(b batch) bool { return b.mark <= m })
}

// cutAt forgets the batches that end above an offset.
func (h *history) cutAt(next log.Offset) {
	h.keep(func(b batch) bool { return b.end() <= next })
}

func (h *history) keep(ok func(batch) bool) {
	n := 0
	for n < len(h.batches) && ok(h.batches[n]) {
		n++
	}
	h.batches = slices.Clip(h.batches[:n])
	h.next, h.mark = 0, 0
	if n > 0 {
		h.next, h.mark = h.batches[n-1].end(), h.batches[n-1].mark
	}
}

// at returns the batch that holds an offset.
func (h *history) at(offset log.Offset) batch {
	for _, b := range h.batches {
		if offset < b.end() {
			return b
		}
	}
	return batch{}
}

// compare reads the records from an offset to the end or to the first error,
// and returns that error, or one that is not a fault for a record that is not
// as appended.
func (h *history) compare(p *log.Partition, from log.Offset, maxBytes int) error {
	var buf []byte
	for at := from; at < p.Next(); {
		frames, err := p.Read(at, maxBytes, buf)
		if err != nil {
			return err
		}
		if frames.Empty() || frames.Next() <= at {
			return fmt.Errorf("read of %d ended at %d", at, frames.Next())
		}
		if err := h.compareFrames(frames, at); err != nil {
			return err
		}
		at, buf = frames.Next(), frames.Bytes()
	}
	return nil
}

func (h *history) compareFrames(frames log.Frames, from log.Offset) error {
	c := frames.Records(from)
	at := from
	for r, ok := c.Next(); ok; r, ok = c.Next() {
		b := h.at(at)
		i := int(at - b.base)
		if i < 0 || i >= len(b.values) {
			return fmt.Errorf("offset %d was never appended", at)
		}
		if r.Offset != at || r.TimeMs != b.timeMs || !bytes.Equal(r.Value, b.values[i]) ||
			!bytes.Equal(r.Key, b.keys[i]) || (r.Key == nil) != (b.keys[i] == nil) {
			return fmt.Errorf("record %d is %v, appended was %q %q at %d ms", at, r, b.keys[i], b.values[i], b.timeMs)
		}
		at++
	}
	if c.Err() != nil {
		return fmt.Errorf("verified frames do not decode: %v", c.Err())
	}
	if at != frames.Next() {
		return fmt.Errorf("frames up to %d hold records up to %d", frames.Next(), at)
	}
	return nil
}

// isCorrupt tells whether err is the fault for damage, and says where.
func isCorrupt(err error) bool {
	f := fault.As(err)
	return f != nil && f.Kind == fault.Corrupt && f.Detail["file"] != nil && f.Detail["byte_offset"] != nil
}

func mustOpen(t testing.TB, files log.FS, o log.Options) *log.Partition {
	t.Helper()
	o.FS = files
	p, err := log.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustAppend(t testing.TB, p *log.Partition, b log.Batch) log.Offset {
	t.Helper()
	offset, err := p.Append(b)
	if err != nil {
		t.Fatal(err)
	}
	return offset
}

func mustSync(t testing.TB, p *log.Partition) *log.SyncPoint {
	t.Helper()
	point, err := p.Sync()
	if err != nil {
		t.Fatal(err)
	}
	return &point
}

func mustClose(t testing.TB, p *log.Partition) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// listing returns the names in the partition's directory with a suffix.
func listing(t testing.TB, files log.FS, suffix string) []string {
	t.Helper()
	names, err := files.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range names {
		if strings.HasSuffix(name, suffix) {
			found = append(found, filepath.Join(dir, name))
		}
	}
	return found
}

// content returns the bytes of a file.
func content(t testing.TB, files log.FS, name string) []byte {
	t.Helper()
	f, err := files.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b
}

// overwrite puts a file with these bytes in place of what is there.
func overwrite(t testing.TB, files log.FS, name string, b []byte) {
	t.Helper()
	if err := files.MkdirAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	f, err := files.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 0 {
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// resum makes the checksums of a segment with one sound frame hold again.
func resum(data []byte) {
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(data[52:], crc32.Checksum(data[:52], table))
	end := 56 + 40 + binary.LittleEndian.Uint32(data[56+8:])
	binary.LittleEndian.PutUint32(data[56:], crc32.Checksum(data[60:end], table))
}
