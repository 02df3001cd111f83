package torture

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"leat/internal/testenv"
)

const (
	// compactedBytes is more than a node writes to its raft log before it drops the
	// beginning.
	compactedBytes = 208 << 20
	// streamedBytes is what is left of that for the next snapshots to bring.
	streamedBytes = 40 << 20
	bulkBytes     = 60_000 // a record
)

// TestSnapshots: under load a node is down until the others have dropped what it lacks,
// later it comes back with an empty directory, and while it gets a snapshot the network
// parts it, or it is killed, or who sends is. It catches up all the same; nothing is left
// of what was cut; it has what the others have, and knows the idempotency keys from
// before. LEAT_FAULT_ROUNDS says how often, LEAT_FAULT_SEED repeats the choices.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	rounds := variable(t, "LEAT_FAULT_ROUNDS", 1)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestSnapshots$'", seed, rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 10))
	w := newWorld()
	told := w.summarize(t)
	w.registers.late = lateParted
	n := makeNetwork(t, 3)
	f := n.startFleet(t)
	f.dial(t).must(t, http.MethodPost, "/broker/topics", nil, `{"name":"events","partitions":2}`)
	f.dial(t).must(t, http.MethodPost, "/broker/topics", nil, `{"name":"bulk","partitions":1}`)
	f.level(t, "events", "bulk")
	for w.round = range rounds {
		before := w.answered.Load()
		stop := w.loadCluster(t, f, r)
		w.going(t, before+100)
		keys := w.keyed(t, f, 20)
		victim := (f.leader(t, w.bulk.place) + 1 + r.IntN(2)) % 3
		f.kill(victim)
		if w.round == 0 {
			w.outgrow(t, f, victim)
		} else {
			f.replace(t, victim)
		}
		f.launch(t, victim)
		fault := f.cutSnapshot(t, n, victim, f.leader(t, w.bulk.place), r)
		f.await(t, victim)
		f.states(t, victim, true)
		stop()
		w.decide(t, f, w.round == rounds-1)
		f.tidy(t, victim)
		f.lead(t, w.mixed.place, victim)
		for _, k := range keys {
			if o := w.append(t.Context(), f.dial(t), w.mixed, k.ids, k.size, k.key); o == done && !w.mixed.appends[len(w.mixed.appends)-1].stored.duplicate {
				t.Errorf("key %s is new to node %d, which had a snapshot", k.key, victim)
			}
		}
		w.decide(t, f, false)
		w.trimBulk(t, f)
		told.round(fault)
	}
	f.end(t)
}

// keyed appends records with idempotency keys, each until that is acknowledged.
func (w *world) keyed(t *testing.T, f *fleet, n int) (keys []*retry) {
	t.Helper()
	c := f.dial(t)
	for range n {
		k := &retry{ids: w.ids(2), size: 100}
		k.key = fmt.Sprintf("kept-%d", k.ids[0])
		w.mixed.send(k.ids, true)
		testenv.Succeeds(t, k.key+" is stored", func() error {
			return not(w.append(t.Context(), c, w.mixed, k.ids, k.size, k.key) == done, "not acknowledged")
		})
		keys = append(keys, k)
	}
	return keys
}

// outgrow appends until the others have dropped the beginning of their raft logs.
func (w *world) outgrow(t *testing.T, f *fleet, without int) {
	t.Helper()
	c := f.dialBut(t, without)
	for sent := 0; sent < compactedBytes; sent += 60 * bulkBytes {
		ids := w.ids(60)
		w.bulk.send(ids, true)
		key := fmt.Sprint("bulk-", ids[0])
		testenv.Succeeds(t, "a batch is stored", func() error {
			return not(w.append(t.Context(), c, w.bulk, ids, bulkBytes, key) == done, "not acknowledged")
		})
	}
	testenv.Succeeds(t, "the others drop the beginning of their raft logs", func() error {
		for i := range f.nodes {
			names, err := filepath.Glob(filepath.Join(f.dir, fmt.Sprintf("n%d", i), "raft", "00000000000000000001.wal"))
			if i != without && (err != nil || len(names) > 0) {
				return fmt.Errorf("node %d: %v, %w", i, names, err)
			}
		}
		return nil
	})
}

// trimBulk deletes all but a part of what outgrow has written, and checks what is left.
func (w *world) trimBulk(t *testing.T, f *fleet) {
	t.Helper()
	c := f.dial(t)
	o := trimmed{call: w.watch.now(), before: w.bulk.end() - streamedBytes/bulkBytes}
	testenv.Succeeds(t, "the beginning of bulk is deleted", func() (err error) {
		if o.deleted, o.outcome, err = c.deleteBefore(t.Context(), w.bulk.place, o.before); o.outcome != done {
			return errors.Join(errors.New("not acknowledged"), err)
		}
		return nil
	})
	if o.ret = w.watch.now(); w.bulk.next == 0 { // asked again after no answer it counts less
		w.bulk.trimmed(o)
	}
	f.level(t, "bulk")
	for i := range f.nodes {
		first, next := w.readOn(t, dial(t, f.urls[i]), w.bulk, o.before)
		if first != o.before || next != w.bulk.end() {
			t.Errorf("node %d has bulk from %d to %d, want %d to %d", i, first, next, o.before, w.bulk.end())
		}
	}
}

// receiving are the directories that a node stores snapshots in which are under way.
func (f *fleet) receiving(i int) (found []string) {
	_ = filepath.WalkDir(filepath.Join(f.dir, fmt.Sprintf("n%d", i), "nodehost"), func(name string, _ fs.DirEntry, _ error) error {
		if filepath.Ext(name) == ".receiving" {
			found = append(found, name)
		}
		return nil
	})
	return found
}

// cutSnapshot waits until a node gets a snapshot, and cuts it in one of the ways.
func (f *fleet) cutSnapshot(t *testing.T, n *network, victim, leader int, r *rand.Rand) (fault string) {
	t.Helper()
	testenv.Succeeds(t, fmt.Sprintf("a snapshot comes to node %d", victim), func() error {
		return not(len(f.receiving(victim)) > 0, f.nodes[victim].Logs.String())
	})
	<-time.After(time.Duration(r.Int64N(int64(time.Second))))
	switch r.IntN(3) {
	case 0:
		n.isolate(t, victim)
		<-time.After(time.Second + time.Duration(r.Int64N(int64(4*time.Second))))
		n.heal(t)
		return "R17, R20 the stream of a snapshot is parted"
	case 1:
		f.kill(victim)
		f.launch(t, victim)
		return "R17, R20 SIGKILL of who gets a snapshot"
	}
	f.kill(leader)
	f.launch(t, leader)
	f.await(t, leader)
	return "R17, R20 SIGKILL of who sends a snapshot"
}

// lead has a node lead a partition.
func (f *fleet) lead(t *testing.T, p place, i int) {
	t.Helper()
	testenv.Succeeds(t, fmt.Sprintf("node %d leads %s", i, p), func() error {
		if f.leader(t, p) != i {
			f.move(t, p, i)
			return errors.New("another one does")
		}
		return nil
	})
}

// tidy checks that nothing is left of a snapshot that came to a node.
func (f *fleet) tidy(t *testing.T, i int) {
	t.Helper()
	testenv.Succeeds(t, fmt.Sprintf("node %d is tidy", i), func() error {
		var left []string
		raft := int64(0)
		dir := filepath.Join(f.dir, fmt.Sprintf("n%d", i))
		err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if slices.Contains([]string{".receiving", ".generating"}, filepath.Ext(name)) {
				left = append(left, name)
			}
			if rel, _ := filepath.Rel(filepath.Join(dir, "nodehost"), name); e.Type().IsRegular() && filepath.IsLocal(rel) {
				info, err := e.Info()
				if err != nil {
					return err
				}
				raft += info.Size()
			}
			return nil
		})
		if err != nil || len(left) > 0 || raft > 1<<20 {
			return fmt.Errorf("%d bytes and %v are left, %w", raft, left, err)
		}
		return nil
	})
}
