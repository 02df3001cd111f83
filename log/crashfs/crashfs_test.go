package crashfs_test

import (
	"errors"
	"io"
	"testing"

	"leat/log"
	"leat/log/crashfs"
)

func write(t *testing.T, d *crashfs.Disk, name, data string) log.File {
	t.Helper()
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(data), 0); err != nil {
		t.Fatal(err)
	}
	return f
}

// read returns what a file holds, false if there is none.
func read(t *testing.T, d *crashfs.Disk, name string) (string, bool) {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		return "", false
	}
	b := make([]byte, 100)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(b[:n]), true
}

// outcomes collects what power cuts leave of a file.
func outcomes(t *testing.T, d *crashfs.Disk, name string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for range 1000 {
		s, ok := read(t, d.Crash(), name)
		if !ok {
			s = "no file"
		}
		seen[s] = true
	}
	return seen
}

func TestCrash(t *testing.T) {
	t.Parallel()
	d := crashfs.New(1)
	f := write(t, d, "/f", "one")
	if seen := outcomes(t, d, "/f"); !seen["no file"] || !seen["one"] || !seen[""] || !seen["o"] {
		t.Errorf("with nothing synced a power cut leaves %v", seen)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if seen := outcomes(t, d, "/f"); !seen["no file"] || !seen["one"] || len(seen) != 2 {
		t.Errorf("with the name not synced a power cut leaves %v", seen)
	}
	if err := d.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("two"), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("six"), 6); err != nil {
		t.Fatal(err)
	}
	seen := outcomes(t, d, "/f")
	if seen["no file"] || !seen["one"] || !seen["onetwo"] || !seen["onetwosix"] || !seen["one\x00\x00\x00six"] {
		t.Errorf("with half of it synced a power cut leaves %v", seen)
	}
	if err := f.Truncate(1); err != nil {
		t.Fatal(err)
	}
	if err := d.Rename("/f", "/g"); err != nil {
		t.Fatal(err)
	}
	if seen := outcomes(t, d, "/g"); !seen["o"] || !seen["no file"] || !seen["one"] {
		t.Errorf("with a rename not synced a power cut leaves %v", seen)
	}
	if s, _ := read(t, d, "/g"); s != "o" {
		t.Errorf("the running disk holds %q", s)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	d := crashfs.New(1)
	f := write(t, d, "/f", "lost")
	if err := d.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	d.FailSync(1)
	if err := f.Sync(); !errors.Is(err, crashfs.ErrInjected) {
		t.Errorf("sync: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("the next sync: %v", err)
	}
	if seen := outcomes(t, d, "/f"); len(seen) != 1 || !seen[""] {
		t.Errorf("after a failed sync a power cut leaves %v", seen)
	}
	d.FailWrite(2)
	for i, want := range []error{nil, crashfs.ErrInjected, nil} {
		if _, err := f.WriteAt([]byte("ab"), 0); !errors.Is(err, want) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	d.Limit(3)
	if n, err := f.WriteAt([]byte("abcd"), 0); n != 3 || err == nil {
		t.Errorf("wrote %d bytes where 3 fit: %v", n, err)
	}
	d.Limit(-1)
	d.IgnoreSyncs()
	write(t, d, "/g", "x")
	if err := d.SyncDir("/"); err != nil {
		t.Error(err)
	}
	if seen := outcomes(t, d, "/g"); !seen["no file"] {
		t.Errorf("with syncs ignored a power cut leaves %v", seen)
	}
}

// TestSeed has two disks of one seed leave the same.
func TestSeed(t *testing.T) {
	t.Parallel()
	a, b := crashfs.New(7), crashfs.New(7)
	for _, d := range []*crashfs.Disk{a, b} {
		write(t, d, "/f", "some bytes that may be torn")
		write(t, d, "/g", "and some more")
	}
	for range 50 {
		a2, b2 := a.Crash(), b.Crash()
		for _, name := range []string{"/f", "/g"} {
			x, okX := read(t, a2, name)
			y, okY := read(t, b2, name)
			if x != y || okX != okY {
				t.Fatalf("one seed left %q and %q", x, y)
			}
		}
	}
}
