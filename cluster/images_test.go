package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/testenv"
	"leat/log"
)

// fullForImages is a file system that has no room for images while it is told so.
type fullForImages struct {
	*metered
	full chan struct{} // closed = there is room
	hits chan struct{} // an image that found none
}

func (f *fullForImages) Create(name string) (log.File, error) {
	if strings.HasPrefix(filepath.Base(name), imagePrefix) {
		select {
		case <-f.full:
		default:
			select {
			case f.hits <- struct{}{}:
			default:
			}
			return nil, fmt.Errorf("create %s: %w", name, syscall.ENOSPC)
		}
	}
	return f.metered.Create(name)
}

// TestNodeMakesImages: a node whose state log grows makes an image of the state, also after
// one that found no room, a checkpoint names it, and the next start, after the process was
// killed, has every document and applies what came after the image.
func TestNodeMakesImages(t *testing.T) {
	t.Parallel()
	disk := &fullForImages{metered: &metered{FS: log.OS()}, full: make(chan struct{}), hits: make(chan struct{}, 1)}
	c := Config{Dir: t.TempDir(), FS: disk, CheckpointEvery: 10 * time.Millisecond}
	r := start(t, c)
	ctx := within(t, 120*time.Second)
	value := make([]byte, 1000)
	put := func(i int) {
		t.Helper()
		if _, err := r.Transact(ctx, bus.Txn{Shard: firstDataShard, Puts: []bus.Doc{{Key: fmt.Sprintf("key-%05d", i), Value: value}}}); err != nil {
			t.Fatal(err)
		}
	}
	const docs = 2 * imageLeast / 1000
	for i := range docs {
		put(i)
	}
	<-disk.hits
	close(disk.full)
	m := r.shards[firstDataShard].machine
	testenv.Eventually(t, "an image is made and named", func() bool { return m.imageNamed() && m.named > 0 })
	put(docs)
	testenv.Eventually(t, "what came after it is in a checkpoint", func() bool {
		s := m.standing()
		return s.Checkpointed == s.Applied
	})
	disk.dead.Store(true)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	disk.dead.Store(false)
	again := start(t, c)
	if got := again.Docs(firstDataShard, "key-"); len(got) != docs+1 {
		t.Errorf("%d of %d documents after a start", len(got), docs+1)
	}
	if replayed := again.shards[firstDataShard].machine.logged.Load(); replayed > imageLeast {
		t.Errorf("the start applied %d bytes of the state log", replayed)
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
}

// failsImages is a disk that is broken for images.
type failsImages struct{ log.FS }

func (f failsImages) Create(name string) (log.File, error) {
	if strings.HasPrefix(filepath.Base(name), imagePrefix) {
		return nil, syscall.EIO
	}
	return f.FS.Create(name)
}

// TestNodeEndsWhereAnImageFails: a disk that fails for another reason than its room ends the
// node, as it does for a checkpoint.
func TestNodeEndsWhereAnImageFails(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir(), FS: failsImages{log.OS()}, CheckpointEvery: 10 * time.Millisecond})
	r.shards[firstDataShard].machine.logged.Add(imageLeast) // due with the next entry
	if _, err := r.Transact(within(t, 60*time.Second), bus.Txn{Shard: firstDataShard, Puts: []bus.Doc{{Key: "k"}}}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the node ends", func() bool { return r.Ready() != nil })
	if err := r.stop(); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
}

// TestRoomForImage: no image is begun that would leave the node too little of the disk.
func TestRoomForImage(t *testing.T) {
	t.Parallel()
	n := &Node{core: &core{}}
	m := newCompared(t).machine
	m.image.bytes = 100 << 20
	for _, c := range []struct {
		free int64
		room bool
	}{{100<<20 + spaceLeast, false}, {101<<20 + spaceLeast, true}} {
		if n.space.look(c.free, 1<<40); n.roomForImage(m) != c.room {
			t.Errorf("%d bytes free: %v", c.free, !c.room)
		}
	}
}
