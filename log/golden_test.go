package log_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"leat/log"
	"leat/log/crashfs"
)

// golden makes the log of the worked example in docs/formats/segment.md.
func golden(t *testing.T) *crashfs.Disk {
	disk := crashfs.New(1)
	p := mustOpen(t, disk, log.Options{SegmentBytes: 100, IndexBytes: 1})
	var first, second, third log.Block
	first.Add([]byte("k"), []byte("hello"))
	first.Add(nil, []byte("world"))
	second.Add([]byte{}, nil)
	third.Add(nil, []byte("next segment"))
	mustAppend(t, p, log.Batch{Mark: 7, TimeMs: 1700000000000, Blocks: []log.Block{first, second}})
	mustAppend(t, p, log.Batch{Mark: 9, TimeMs: 1700000000001, Blocks: []log.Block{third}})
	mustClose(t, p)
	return disk
}

// TestGolden compares the bytes of a log with those that every release since the
// first one has to read and write. LEAT_UPDATE_GOLDEN=1 writes the files anew, for
// a new version of the format.
func TestGolden(t *testing.T) {
	t.Parallel()
	disk := golden(t)
	doc, err := os.ReadFile("../docs/formats/segment.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range listing(t, disk, "") {
		got := content(t, disk, name)
		file := "testdata/golden/" + name[len(dir)+1:]
		if os.Getenv("LEAT_UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(file, got, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is now\n%s", name, hex.Dump(got))
		}
		if !strings.Contains(string(doc), hex.Dump(want)) {
			t.Errorf("docs/formats/segment.md lacks %s:\n%s", name, hex.Dump(want))
		}
	}
}

// TestGoldenOpens reads the golden files.
func TestGoldenOpens(t *testing.T) {
	t.Parallel()
	files := crashfs.New(1)
	entries, err := os.ReadDir("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile("testdata/golden/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, files, dir+"/"+e.Name(), b)
	}
	p := mustOpen(t, files, log.Options{})
	var values []string
	for at := p.First(); at < p.Next(); {
		frames, err := p.Read(at, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := frames.Records(at)
		for r, ok := c.Next(); ok; r, ok = c.Next() {
			values = append(values, string(r.Value))
		}
		at = frames.Next()
	}
	if got := strings.Join(values, "|"); got != "hello|world||next segment" || p.LastMark() != 9 {
		t.Fatalf("read %q, mark %d", got, p.LastMark())
	}
}
