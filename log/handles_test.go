package log_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"leat/log"
	"leat/log/crashfs"
)

// watchedFS counts the segment files that are open and how often one was opened. It is
// used by one goroutine.
type watchedFS struct {
	log.FS
	open, opened int
	reading      func() // called at every read of a segment that was opened, not created
}

func (w *watchedFS) Open(name string) (log.File, error) {
	f, err := w.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".seg") {
		return f, err
	}
	w.open++
	w.opened++
	return &watchedFile{File: f, fs: w}, nil
}

type watchedFile struct {
	log.File
	fs     *watchedFS
	closed bool
}

func (f *watchedFile) ReadAt(b []byte, at int64) (int, error) {
	if f.fs.reading != nil {
		f.fs.reading()
	}
	if f.closed {
		return 0, errors.New("read of a closed file")
	}
	return f.File.ReadAt(b, at)
}

func (f *watchedFile) Close() error {
	f.fs.open--
	f.closed = true
	return f.File.Close()
}

// manySegments is a log of several sealed segments that keeps two of them open. begins
// has the first offset of each.
func manySegments(t *testing.T) (p *log.Partition, h *history, w *watchedFS, begins []log.Offset) {
	t.Helper()
	w = &watchedFS{FS: crashfs.New(1)}
	o := small()
	o.OpenSegments = 2
	p, h = mustOpen(t, w, o), &history{}
	rng := rand.New(rand.NewPCG(1, 9))
	for known := 0; len(begins) < 6; {
		at := mustAppend(t, p, h.grow(rng))
		if n := len(listing(t, w, ".seg")); n > known {
			known, begins = n, append(begins, at)
		}
	}
	return p, h, w, begins[:5]
}

func (h *history) mustRead(t *testing.T, p *log.Partition, from log.Offset) {
	t.Helper()
	frames, err := p.Read(from, 1, nil)
	if err == nil {
		err = h.compareFrames(frames, from)
	}
	if err != nil {
		t.Fatalf("read from %d: %v", from, err)
	}
}

// TestOpenSegments: no more segments than asked for stay open, however often which of
// them is read, and one that is read again is not opened again.
func TestOpenSegments(t *testing.T) {
	t.Parallel()
	p, h, w, begins := manySegments(t)
	for range 3 {
		for _, from := range begins {
			for range 3 {
				h.mustRead(t, p, from)
			}
			if w.open > 2 {
				t.Fatalf("%d segments are open", w.open)
			}
		}
	}
	if want := 3 * len(begins); w.opened != want {
		t.Errorf("segments were opened %d times, want %d", w.opened, want)
	}
	mustClose(t, p)
	if w.open != 0 {
		t.Errorf("%d segments are open after the end", w.open)
	}
}

// TestSegmentStaysOpenWhileRead: what is being read is not closed, even if others that
// are read meanwhile take its place.
func TestSegmentStaysOpenWhileRead(t *testing.T) {
	t.Parallel()
	p, h, w, begins := manySegments(t)
	for range 2 { // the second time it is in the table
		within := false
		h.mustRead(t, p, begins[0])
		w.reading = func() {
			if within {
				return
			}
			within = true
			for _, from := range begins[1:] {
				h.mustRead(t, p, from)
			}
		}
		h.mustRead(t, p, begins[0])
		w.reading = nil
		if !within {
			t.Fatal("nothing was read meanwhile")
		}
	}
	mustClose(t, p)
	if w.open != 0 {
		t.Errorf("%d segments are open after the end", w.open)
	}
}
