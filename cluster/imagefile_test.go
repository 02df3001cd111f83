package cluster

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"leat/internal/fault"
	"leat/log/crashfs"
)

// renew makes an image and a checkpoint that names it.
func renew(m *machine) error {
	if err := m.saveImage(atOnce); err != nil {
		return err
	}
	return m.Sync()
}

// imaged is a machine that has an image, a checkpoint, and entries after both; calm is
// what one holds that has applied all entries.
func imaged(t *testing.T, seed uint64, disk *crashfs.Disk) (m *machine, more func(*machine, uint64) error, calm string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 5))
	entries := (&script{rng: rng}).entries(60)
	still, _ := openMachine(t, crashfs.New(seed), "b0")
	m, _ = openMachine(t, disk, "b0")
	if _, err := still.Update(entries); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Update(entries[:20]); err != nil {
		t.Fatal(err)
	}
	if err := renew(m); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Update(entries[20:40]); err != nil {
		t.Fatal(err)
	}
	more = func(m *machine, index uint64) error {
		for i := range entries {
			if entries[i].Index > index {
				_, err := m.Update(entries[i:])
				return err
			}
		}
		return nil
	}
	return m, more, still.contents(t)
}

// TestPowerCutWhileAnImageIsMade: whatever a power cut leaves at any step of making an
// image and the checkpoint that names it, the machine comes back.
func TestPowerCutWhileAnImageIsMade(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		disk := crashfs.New(seed)
		m, more, calm := imaged(t, seed, disk)
		var cuts []*crashfs.Disk
		var steps []string
		step := func(o crashfs.Op) {
			for range 2 {
				cuts, steps = append(cuts, disk.Crash()), append(steps, o.Kind+" "+o.Name)
			}
		}
		disk.Before(step)
		if err := renew(m); err != nil {
			t.Fatal(err)
		}
		disk.Before(nil)
		step(crashfs.Op{Kind: "the end"})
		for i, cut := range cuts {
			again, index := openMachine(t, cut, "b1")
			if err := more(again, index); err != nil {
				t.Fatalf("seed %d: a cut before %s: %v", seed, steps[i], err)
			}
			if got := again.contents(t); got != calm {
				t.Fatalf("seed %d: a cut before %s\n%s\nwant\n%s", seed, steps[i], got, calm)
			}
			// Whatever was left of other images is gone.
			if left := imagesOn(t, cut, again.dir); len(left) != 1 || left[0] != filepath.Base(again.imageName(again.image.index)) {
				t.Fatalf("seed %d: a cut before %s leaves %v", seed, steps[i], left)
			}
		}
		for _, kind := range []string{"write", "sync", "rename", "syncdir", "remove"} {
			if !strings.Contains(strings.Join(steps, "\n"), kind+" ") {
				t.Fatalf("no %s among the steps", kind)
			}
		}
	}
}

func imagesOn(t *testing.T, disk *crashfs.Disk, dir string) (images []string) {
	t.Helper()
	names, err := disk.FS().List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, imagePrefix) {
			images = append(images, name)
		}
	}
	return images
}

// TestKillWhileAnImageIsMade: the same of a process that ends at any write.
func TestKillWhileAnImageIsMade(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		disk := crashfs.New(uint64(n))
		m, more, calm := imaged(t, 1, disk)
		disk.FailWrite(n)
		failure := renew(m)
		disk.FailWrite(0)
		again, index := openMachine(t, disk, "b0")
		if err := more(again, index); err != nil {
			t.Fatalf("write %d fails: %v", n, err)
		}
		if got := again.contents(t); got != calm {
			t.Fatalf("write %d fails: %s\nwant\n%s", n, got, calm)
		}
		if err := renew(again); err != nil {
			t.Fatalf("after write %d has failed: %v", n, err)
		}
		if failure == nil {
			if n < 3 {
				t.Fatal("no write of an image failed")
			}
			return
		}
	}
}

// TestImageHoldsNobodyUp: while an image is written entries are applied, readers read and
// checkpoints are taken; what comes meanwhile is not in it.
func TestImageHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	m, more, calm := imaged(t, 1, disk)
	at, steps := m.applied, 0
	disk.Before(func(o crashfs.Op) {
		if !strings.Contains(o.Name, imagePrefix) {
			return
		}
		if steps++; steps > 1 {
			return
		}
		if err := more(m, m.applied); err != nil {
			t.Error(err)
		}
		if err := m.Sync(); err != nil {
			t.Error(err)
		}
		if got := m.contents(t); got != calm {
			t.Error("the entries that came meanwhile cannot be read")
		}
	})
	if err := m.saveImage(atOnce); err != nil {
		t.Fatal(err)
	}
	disk.Before(nil)
	if steps == 0 || m.image.index != at {
		t.Errorf("the image is of %d, it was begun at %d", m.image.index, at)
	}
	if err := m.Sync(); err != nil {
		t.Fatal(err)
	}
	again, _ := openMachine(t, disk.Crash(), "b1")
	if got := again.contents(t); got != calm || again.image.index != at {
		t.Errorf("after a power cut, with the image of %d:\n%s\nwant\n%s", again.image.index, got, calm)
	}
}

// TestImagesCostLessThanTheLog: however large the state is, images have no more bytes than
// the entries that were applied, twice as many while it grows; a checkpoint stays small;
// a start applies no more of the state log than the image has, and what may be without one.
func TestImagesCostLessThanTheLog(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	m, _ := openMachine(t, disk, "b0")
	c := &comparedMachine{machine: m, t: t}
	rng := rand.New(rand.NewPCG(1, 1))
	for phase, most := range []int64{2, 1, 1} {
		entries, images := int64(0), int64(0)
		for i := range 1500 {
			var txn txnCommand
			for k := range 20 {
				if phase > 0 {
					i, k = rng.IntN(1500), rng.IntN(20)
				}
				txn.puts = append(txn.puts, putCommand{key: fmt.Sprintf("key-%d", 20*i+k), value: make([]byte, 100)})
			}
			entry := entryOf(txn.encode(nil))
			entries += int64(len(entry))
			c.feed(1, entry)
			if m.imageDue() {
				if err := renew(m); err != nil {
					t.Fatal(err)
				}
				images += m.image.bytes
			}
		}
		t.Logf("phase %d: %d bytes of images for %d bytes of entries", phase, images, entries)
		// The first of them may be due to what came before.
		if images-m.image.bytes > most*entries || images == 0 {
			t.Errorf("phase %d: %d bytes of images for %d bytes of entries", phase, images, entries)
		}
	}
	if err := m.Sync(); err != nil {
		t.Fatal(err)
	}
	if data, err := readFile(m.fs, checkpointName(m.dir)); err != nil || len(data) > 200 {
		t.Errorf("a checkpoint of %d bytes: %v", len(data), err)
	}
	again, _ := openMachine(t, disk, "b0")
	if again.logged.Load() > max(imageLeast, m.image.bytes) || again.logged.Load() == 0 {
		t.Errorf("a start applies %d bytes of the state log to an image of %d", again.logged.Load(), m.image.bytes)
	}
	if !again.state.Equal(m.state) {
		t.Error("the state differs after a start")
	}
}

// TestDamagedImageIsRefused: an image of which a byte is another, or which lacks its end,
// or is gone, ends the start with an error.
func TestDamagedImageIsRefused(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	m, _, _ := imaged(t, 1, disk)
	name := m.imageName(m.image.index)
	whole, err := readFile(m.fs, name)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string) {
		t.Helper()
		if _, err := newMachine(2, m.dir, disk.FS(), "b0").Open(nil); fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), name) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1 << (i % 8)
		if err := writeFile(m.fs, name, damaged); err != nil {
			t.Fatal(err)
		}
		refused(fmt.Sprint("byte ", i))
		if err := writeFile(m.fs, name, whole[:i]); err != nil {
			t.Fatal(err)
		}
		refused(fmt.Sprint("cut at ", i))
	}
	if err := m.fs.Remove(name); err != nil {
		t.Fatal(err)
	}
	refused("gone")
}

// TestFormatsOfCheckpoints holds the bytes of docs/formats/proposal.md.
func TestFormatsOfCheckpoints(t *testing.T) {
	t.Parallel()
	const (
		wantImage = "4c454154494d4731" + // magic
			"03000000" + "31bb0da7" + "02" + "07" + "01" + // shard, raft index, what follows in the state log
			"0d000000" + "eebc92d2" + // one piece:
			"00" + "01" + // last topic, last version
			"01" + "01" + // log time
			"09" + "016b" + "0176" + "01" + "01" + "01" + "00" + // the document k
			"00000000" + "00000000" // the end
		wantCheckpoint = "4c454154434b5032" + "02f09b8d" + // magic, checksum
			"07" + "026230" + "07" + "01" + // raft index, boot, the image and what follows it
			"00" + "6d" + "01" + "07" + // how far the state log is synced
			"00" // partitions
	)
	disk := crashfs.New(1)
	m, _ := openMachine(t, disk, "b0")
	c := &comparedMachine{machine: m, t: t, index: 6}
	c.feed(1, entryOf((&txnCommand{puts: []putCommand{{key: "k", value: []byte("v")}}}).encode(nil)))
	if err := renew(m); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{m.imageName(7): wantImage, checkpointName(m.dir): wantCheckpoint} {
		data, err := readFile(m.fs, name)
		if err != nil || hex.EncodeToString(data) != want {
			t.Errorf("%s: %x, want %s, %v", name, data, want, err)
		}
	}
	if err := writeFile(m.fs, checkpointName(m.dir), append([]byte(oldCheckpointMagic), 0, 0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := newMachine(2, m.dir, disk.FS(), "b0").Open(nil); fault.KindOf(err) != fault.Unsupported || !strings.Contains(err.Error(), "format 1") {
		t.Errorf("a checkpoint of format 1: %v", err)
	}
}

// TestImagesBesideUpdates is for the race detector.
func TestImagesBesideUpdates(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(1)
	m, _ := openMachine(t, disk, "b0")
	rng := rand.New(rand.NewPCG(8, 8))
	entries := (&script{rng: rng}).entries(400)
	ended := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := renew(m); err != nil {
				ended <- err
				return
			}
			_ = m.imageDue()
			_ = m.doc("doc0")
		}
	}()
	if err := apply(rng, m, entries, 0); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := renew(m); err != nil {
		t.Fatal(err)
	}
	again, index := openMachine(t, disk.Crash(), "b1")
	if got, want := again.contents(t), m.contents(t); got != want || index != m.applied {
		t.Errorf("after a power cut at %d\n%s\nwant\n%s", index, got, want)
	}
}
