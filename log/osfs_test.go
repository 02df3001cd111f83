package log_test

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"leat/log"
	"leat/log/crashfs"
)

// TestFileSystems holds the two file systems to one behaviour.
func TestFileSystems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files log.FS
		root  string
	}{
		"os":      {log.OS(), t.TempDir()},
		"crashfs": {crashfs.New(1).FS(), "/tmp"},
	} {
		t.Run(name, func(t *testing.T) { checkFileSystem(t, c.files, c.root+"/a/b") })
	}
}

func checkFileSystem(t *testing.T, files log.FS, dir string) {
	if _, err := files.List(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list of a missing directory: %v", err)
	}
	if _, err := files.Create(dir + "/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create in a missing directory: %v", err)
	}
	must(t, files.MkdirAll(dir))
	must(t, files.MkdirAll(dir))
	for _, err := range []error{files.Remove(dir + "/x"), files.Rename(dir+"/x", dir+"/y"), files.SyncDir(dir + "/x")} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing file: %v", err)
		}
	}
	if _, err := files.Open(dir + "/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of a missing file: %v", err)
	}
	overwrite(t, files, dir+"/x", []byte("0123456789"))
	f, err := files.Open(dir + "/x")
	must(t, err)
	must(t, f.Truncate(4))
	must(t, f.Truncate(6))
	if _, err := f.WriteAt([]byte("z"), 8); err != nil {
		t.Error(err)
	}
	must(t, f.Sync())
	must(t, files.Rename(dir+"/x", dir+"/y"))
	if got := string(content(t, files, dir+"/y")); got != "0123\x00\x00\x00\x00z" {
		t.Errorf("the file holds %q", got)
	}
	overwrite(t, files, dir+"/w", nil)
	must(t, files.SyncDir(dir))
	if names, err := files.List(dir); err != nil || !slices.Equal(names, []string{"w", "y"}) {
		t.Errorf("the directory holds %v, %v", names, err)
	}
	if files.Remove(dir) == nil {
		t.Error("a directory was removed with what it holds")
	}
	must(t, files.Remove(dir+"/y"))
	if size, err := f.Size(); err != nil || size != 9 {
		t.Errorf("the open file without a name has %d bytes, %v", size, err)
	}
	must(t, f.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
