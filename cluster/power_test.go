package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/log"
	"leat/log/crashfs"
)

// ledger is what clients were told.
type ledger struct {
	mu    sync.Mutex
	acked map[string]log.Offset // value → offset in partition 0
}

func (l *ledger) add(value string, at log.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[value] = at
}

func (l *ledger) copy() map[string]log.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	acked := make(map[string]log.Offset, len(l.acked))
	for k, v := range l.acked {
		acked[k] = v
	}
	return acked
}

// lost counts acknowledged records that a node does not have where it said.
func (l *ledger) lost(t *testing.T, r *running, acked map[string]log.Offset) int {
	t.Helper()
	values := r.values(t, "orders", 0)
	lost := 0
	for value, at := range acked {
		if int(at) >= len(values) || values[at] != value {
			lost++
		}
	}
	return lost
}

// cutThePower loads a node on a disk that forgets what was not synced, cuts the
// power in the middle of the load, and reports how many of the records that had
// been acknowledged by then are lost.
func cutThePower(t *testing.T, seed uint64, prepare func(*crashfs.Disk)) (acked, lost int) {
	t.Helper()
	disk := crashfs.New(seed)
	c := Config{Dir: t.TempDir(), FS: disk.FS(), BootID: "first", CheckpointEvery: 20 * time.Millisecond}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 1); err != nil {
		t.Fatal(err)
	}
	prepare(disk)
	book := &ledger{acked: make(map[string]log.Offset)}
	loadCtx, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	var load sync.WaitGroup
	enough := make(chan struct{}, 1)
	for w := range 8 {
		load.Go(func() {
			for i := 0; loadCtx.Err() == nil; i++ {
				v := fmt.Sprintf("%d/%d", w, i)
				a, err := r.Append(loadCtx, bus.Append{Topic: "orders", Block: block(v), IdempotencyKey: v})
				if err != nil {
					return
				}
				book.add(v, a.Base)
				if i == 20+int(seed) {
					select {
					case enough <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	<-enough
	promised := book.copy()
	after := disk.Crash()
	stopLoad()
	load.Wait()
	_ = r.stop() // what it still writes goes to the disk that lost the power
	c.FS, c.BootID = after.FS(), "second"
	again, err := Open(c)
	if err != nil {
		return len(promised), len(promised)
	}
	return len(promised), book.lost(t, serve(t, again), promised)
}

func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		if acked, lost := cutThePower(t, seed, func(*crashfs.Disk) {}); lost > 0 || acked == 0 {
			t.Fatalf("seed %d: %d of %d acknowledged records lost", seed, lost, acked)
		}
	}
}

// The test above is worth something: on a disk whose syncs do nothing it sees
// acknowledged records go.
func TestPowerCutIsNoticedWithoutSync(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		if _, lost := cutThePower(t, seed, (*crashfs.Disk).IgnoreSyncs); lost > 0 {
			return
		}
	}
	t.Fatal("no acknowledged record was lost although nothing was synced")
}

// No answer is given before the sync that covers it: a crash at the moment of
// every answer keeps the record.
func TestSyncPrecedesAcknowledgement(t *testing.T) {
	t.Parallel()
	disk := crashfs.New(7)
	c := Config{Dir: t.TempDir(), FS: disk.FS(), BootID: "first"}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 1); err != nil {
		t.Fatal(err)
	}
	var crashed *crashfs.Disk
	for i := range 10 {
		syncs := 0
		disk.Before(func(op crashfs.Op) {
			if op.Kind == "sync" && strings.HasPrefix(op.Name, filepath.Join(c.Dir, "raft")) {
				syncs++
			}
		})
		if _, err := r.Append(ctx, bus.Append{Topic: "orders", Block: block(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
		crashed = disk.Crash()
		disk.Before(nil)
		if syncs != 1 {
			t.Fatalf("append %d was answered after %d syncs of the raft log, not one", i, syncs)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	c.FS, c.BootID = crashed.FS(), "second"
	if got := start(t, c).values(t, "orders", 0); len(got) != 10 {
		t.Fatalf("%d of 10 acknowledged records are there: %v", len(got), got)
	}
}
