package torture

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"leat/internal/testenv"
)

const smallDisk = 64 << 20

// mountSmall makes a small disk of its own and returns where it is.
func mountSmall(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may mount a small disk to fill: sudo go test ./internal/torture")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: no %s on this machine, so no small disk to fill: apt-get install -y e2fsprogs mount", tool)
		}
	}
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(smallDisk), f.Close(), os.Mkdir(at, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, at).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this machine does not mount loop devices (a container without the right?): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return at
}

// free is the room that is left on a disk.
func free(t *testing.T, at string) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(at, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

// fill leaves only so much room on a disk; the function it returns gives it back.
func fill(t *testing.T, at, name string, leave int64) func() {
	t.Helper()
	name = filepath.Join(at, name)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := free(t, at) - leave; n > 0 {
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, n); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// diskFull tells whether a write is refused for want of room.
func (w *world) diskFull(t *testing.T, c *client) bool {
	t.Helper()
	a := c.call(t.Context(), http.MethodPost, "/kv/torture/probe", nil, "probe")
	if a.status == http.StatusInsufficientStorage {
		if !strings.Contains(string(a.body), `"error":"disk_full"`) {
			t.Errorf("507 comes with %s", a.body)
		}
		return true
	}
	if a.status != http.StatusOK {
		t.Fatalf("a write on a disk that fills: %v, status %d: %s", a.err, a.status, a.body)
	}
	return false
}

// TestDiskFull: somebody else fills the disk. Writes are refused with 507, reads
// go on, a process that is killed comes back on the full disk, and with the room
// the writes come back.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := mountSmall(t)
	w, dir := newWorld(), filepath.Join(disk, "data")
	n := start(t, dir)
	c := dial(t, n.url)
	w.prepare(t, c)
	stop := w.load(t, n.url, rand.New(rand.NewPCG(5, 6)))
	defer stop()
	w.going(t, 300)
	empty := fill(t, disk, "most", 12<<20)
	c = dial(t, n.url)
	testenv.Succeeds(t, "writes are refused", func() error { return not(w.diskFull(t, c), "they are taken") })
	stop()
	w.settle(t, c, true, false) // reads go on
	rest := fill(t, disk, "rest", 512<<10)
	n.Kill()
	n = start(t, dir)
	c = dial(t, n.url)
	testenv.Succeeds(t, "writes are refused after a start", func() error { return not(w.diskFull(t, c), "they are taken") })
	w.settle(t, c, true, false)
	rest()
	empty()
	testenv.Succeeds(t, "writes are taken again", func() error { return not(!w.diskFull(t, c), "507") })
	w.mustAppend(t, c, w.plain)
	w.settle(t, c, true, true)
	if exit, _ := n.Terminate(t); exit != 0 {
		t.Errorf("exit %d, the log:\n%s", exit, n.Logs)
	}
}

func not(ok bool, otherwise string) error {
	if ok {
		return nil
	}
	return errors.New(otherwise)
}

// TestDiskFilledByRecords: the records themselves fill the disk. Nothing that was
// acknowledged is lost, what is deleted on the full disk stays deleted, and it gives
// room for new records.
func TestDiskFilledByRecords(t *testing.T) {
	t.Parallel()
	disk := mountSmall(t)
	w, dir := newWorld(), filepath.Join(disk, "data")
	n := start(t, dir)
	w.prepare(t, dial(t, n.url))
	w.pour(t, n)
	c := dial(t, n.url)
	if !w.diskFull(t, c) {
		t.Error("a small write is taken where large ones are not")
	}
	w.settle(t, c, true, false)
	n.Kill()
	n = start(t, dir)
	c = dial(t, n.url)
	w.settle(t, c, true, false)
	o := trimmed{call: w.watch.now(), before: w.bulk.next}
	var err error
	o.deleted, o.outcome, err = c.deleteBefore(t.Context(), w.bulk.place, o.before)
	if o.ret = w.watch.now(); err != nil || o.outcome != done {
		t.Fatalf("on a full disk nothing can be deleted: %v, the log:\n%s", err, n.Logs)
	}
	w.bulk.trimmed(o)
	w.settle(t, c, true, false)
	testenv.Succeeds(t, "writes are taken again", func() error { return not(!w.diskFull(t, c), "507") })
	w.mustAppend(t, c, w.bulk)
	n.Kill()
	n = start(t, dir)
	w.settle(t, dial(t, n.url), true, true)
	if exit, _ := n.Terminate(t); exit != 0 {
		t.Errorf("exit %d, the log:\n%s", exit, n.Logs)
	}
}

// pour appends large batches until there is no more room.
func (w *world) pour(t *testing.T, n *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	var wg sync.WaitGroup
	for worker := range 3 {
		c := dial(t, n.url)
		r := rand.New(rand.NewPCG(7, uint64(worker)))
		wg.Go(func() {
			for {
				ids := w.ids(1 + r.IntN(40))
				w.bulk.send(ids, false)
				switch w.append(ctx, c, w.bulk, ids, 1000+r.IntN(maxPayload-1000), "") {
				case full:
					return
				case unknown:
					t.Errorf("a write on a disk that fills is not answered; the log:\n%s", n.Logs)
					return
				}
			}
		})
	}
	wg.Wait()
}
