package filerun

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"leat/internal/fault"
	"leat/log"
)

// endless gives one line for ever, and counts what was read of it.
type endless struct {
	line string
	read int
}

func (e *endless) Read(b []byte) (int, error) {
	n := len(b) / len(e.line) * len(e.line)
	for i := 0; i < n; i += len(e.line) {
		copy(b[i:], e.line)
	}
	e.read += n
	return n, nil
}

// drain reads all that a partition has, and returns the number of records.
func drain(t *testing.T, f *feed, p int32, buf *[]byte) (records int) {
	t.Helper()
	for {
		standing, err := f.standing(p)
		if err != nil {
			t.Fatal(err)
		}
		if standing.First == standing.Next {
			return records
		}
		frames, err := f.read(p, standing.First, *buf)
		if err != nil || frames.Empty() {
			t.Fatalf("read from %d: %v", standing.First, err)
		}
		*buf = frames.Bytes()
		cursor := frames.Records(standing.First)
		for _, ok := cursor.Next(); ok; _, ok = cursor.Next() {
			records++
		}
	}
}

// TestFeedWaits: a file without end is read no further ahead than the bound, and on
// again as fast as the job reads.
func TestFeedWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed("in", 1, 1, 0)
		in := &endless{line: strings.Repeat("x", 200) + "\n"}
		go func() {
			if err := feedAll(f, in); err != nil {
				t.Error(err)
			}
		}()
		records := 0
		var buf []byte
		for range 8 {
			synctest.Wait() // until it waits for room
			f.mu.Lock()
			held := f.held
			f.mu.Unlock()
			if held < heldBytes || held > heldBytes+2*chunkBytes {
				t.Fatalf("%d bytes are held", held)
			}
			if ahead := in.read - records*len(in.line); ahead > heldBytes+2*chunkBytes+2*readBytes {
				t.Fatalf("it has read %d bytes ahead", ahead)
			}
			records += drain(t, f, 0, &buf)
		}
		if records < 8*heldBytes/300 {
			t.Errorf("only %d records", records)
		}
		f.stop()
	})
}

// TestFeedStarves: of two partitions one is not read, and the other goes on.
func TestFeedStarves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed("in", 1, 2, 0)
		go func() {
			if err := feedAll(f, &endless{line: strings.Repeat("x", 200) + "\n"}); err != nil {
				t.Error(err)
			}
		}()
		var buf []byte
		for records := 0; records < 100_000; {
			synctest.Wait()
			n := drain(t, f, 1, &buf)
			if n == 0 {
				t.Fatalf("after %d records there are no more", records)
			}
			records += n
		}
		f.stop()
	})
}

// TestFeedHurries: what has come is there while the file takes its time, and whoever
// waits is told of it, and of the end.
func TestFeedHurries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed("in", 1, 2, 7)
		in, out := io.Pipe()
		go func() {
			if err := feedAll(f, in); err != nil {
				t.Error(err)
			}
		}()
		write := func(text string) {
			if _, err := io.WriteString(out, text); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		told := func(p int32, after log.Offset) bool {
			grown, err := f.wait(p, after)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			select {
			case <-grown:
				return true
			default:
				return false
			}
		}
		write("a\nb\nc\n")
		if !told(0, 1) || told(0, 2) || !told(1, 0) || told(1, 1) {
			t.Error("three lines are not two in one partition and one in the other")
		}
		grown, err := f.wait(1, 1)
		if err != nil {
			t.Fatal(err)
		}
		write("d\n")
		<-grown
		var buf []byte
		if n, m := drain(t, f, 0, &buf), drain(t, f, 1, &buf); n != 2 || m != 2 {
			t.Errorf("%d and %d records", n, m)
		}
		if told(0, 2) {
			t.Error("something has come")
		}
		if grown, err = f.wait(0, 2); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		<-f.ended
		<-grown
		if standing, err := f.standing(0); err != nil || !standing.Sealed || standing.Next != 2 || !told(0, 2) {
			t.Errorf("after the end: %+v, %v", standing, err)
		}
	})
}

// TestFeedRefuses: nothing is read twice, or from the middle of a chunk.
func TestFeedRefuses(t *testing.T) {
	t.Parallel()
	f := newFeed("in", 1, 1, 0)
	if err := feedAll(f, strings.NewReader("a\nb\n")); err != nil {
		t.Fatal(err)
	}
	for _, from := range []log.Offset{1, -1} {
		if _, err := f.read(0, from, nil); fault.KindOf(err) != fault.OutOfRange {
			t.Errorf("from %d: %v", from, err)
		}
	}
	frames, err := f.read(0, 0, nil)
	if err != nil || frames.Next() != 2 {
		t.Fatalf("next %d, %v", frames.Next(), err)
	}
	if _, err := f.read(0, 0, nil); fault.KindOf(err) != fault.OutOfRange {
		t.Errorf("again: %v", err)
	}
	if frames, err := f.read(0, 2, nil); err != nil || !frames.Empty() {
		t.Errorf("at the end: %v", err)
	}
	if _, err := f.standing(1); fault.KindOf(err) != fault.NotFound {
		t.Errorf("another partition: %v", err)
	}
	f.stop()
}

func feedAll(f *feed, in io.Reader) error {
	if err := f.open(in, false); err != nil {
		return err
	}
	return f.run()
}
