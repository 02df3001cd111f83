package raftlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/testenv"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/config"
	sm "github.com/lni/dragonboat/v4/statemachine"
)

// counter is a state machine in memory: the number of its updates and the sum
// of their values.
type counter struct{ n, sum uint64 }

func (c *counter) Update(e sm.Entry) (sm.Result, error) {
	c.n++
	c.sum += binary.LittleEndian.Uint64(e.Cmd)
	return sm.Result{Value: c.n}, nil
}

func (c *counter) Lookup(any) (any, error) { return *c, nil }

func (c *counter) SaveSnapshot(w io.Writer, _ sm.ISnapshotFileCollection, _ <-chan struct{}) error {
	return binary.Write(w, binary.LittleEndian, []uint64{c.n, c.sum})
}

func (c *counter) RecoverFromSnapshot(r io.Reader, _ []sm.SnapshotFile, _ <-chan struct{}) error {
	var p [2]uint64
	err := binary.Read(r, binary.LittleEndian, &p)
	c.n, c.sum = p[0], p[1]
	return err
}

func (c *counter) Close() error { return nil }

func startHost(t *testing.T, dir, addr string, f *Factory) *dragonboat.NodeHost {
	t.Helper()
	expert := config.GetDefaultExpertConfig()
	expert.LogDBFactory = f
	host, err := dragonboat.NewNodeHost(config.NodeHostConfig{
		NodeHostDir: filepath.Join(dir, "host"), RTTMillisecond: 5, RaftAddress: addr, Expert: expert,
	})
	if err != nil {
		t.Fatal(err)
	}
	err = host.StartReplica(map[uint64]string{1: addr}, false,
		func(uint64, uint64) sm.IStateMachine { return &counter{} },
		config.Config{
			ReplicaID: 1, ShardID: 1, ElectionRTT: 10, HeartbeatRTT: 1, CheckQuorum: true,
			SnapshotEntries: 100, CompactionOverhead: 20, WaitReady: true,
		})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// TestNodeHost runs a real node host on the log: proposals, snapshots and
// compaction, and restarts that replay.
func TestNodeHost(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var told atomic.Uint64
	f := NewFactory(filepath.Join(dir, "raft"), Options{
		SegmentBytes: 16 << 10, OnDurable: func(_, index uint64) { told.Store(index) },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	want := counter{}
	for run := range 3 {
		host := startHost(t, dir, addr, f)
		var got any
		testenv.Eventually(t, "leader", func() bool {
			got, err = host.SyncRead(ctx, 1, nil)
			return err == nil
		})
		if got != want {
			t.Fatalf("run %d replayed %+v; want %+v", run, got, want)
		}
		session := host.GetNoOPSession(1)
		for range 150 {
			cmd := make([]byte, 100)
			binary.LittleEndian.PutUint64(cmd, want.n*7)
			want.n, want.sum = want.n+1, want.sum+want.n*7
			if r, err := host.SyncPropose(ctx, session, cmd); err != nil || r.Value != want.n {
				t.Fatalf("proposal %d: %v %v", want.n, r, err)
			}
		}
		if got := f.DB().DurableIndex(1, 1); got < want.n || got != told.Load() {
			t.Errorf("durable index %d, told %d, after %d proposals", got, told.Load(), want.n)
		}
		host.Close()
	}
	if f.DB().mark.first == 1 {
		t.Error("no segment was removed in spite of snapshots")
	}
	if f.Name() != f.DB().Name() || fmt.Sprint(f.DB().BinaryFormat()) != "1" {
		t.Error("dragonboat would take this for another log")
	}
}
