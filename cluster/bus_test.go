package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// kind fails the test unless an error has this kind and code.
func kind(t *testing.T, err error, want fault.Kind, code string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != want || f.Code != code {
		t.Fatalf("got %v, want kind %d %q", err, want, code)
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir()}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 4); err != nil {
		t.Fatal(err)
	}
	keyed := bus.Append{Topic: "orders", Partition: bus.AnyPartition, Block: block("a", "b"), IdempotencyKey: "k1"}
	first, err := r.Append(ctx, keyed)
	if err != nil || first.Duplicate || first.Count != 2 {
		t.Fatalf("first: %+v, %v", first, err)
	}
	other := keyed
	other.Block = block("something else")
	for round := range 3 {
		again, err := r.Append(ctx, keyed)
		if err != nil || !again.Duplicate || again.Base != first.Base || again.Partition != first.Partition || again.Count != 2 {
			t.Fatalf("round %d: %+v, %v; the first was %+v", round, again, err, first)
		}
		_, err = r.Append(ctx, other)
		kind(t, err, fault.Unprocessable, "idempotency_conflict")
		if got := r.values(t, "orders", first.Partition); !slices.Equal(got, []string{"a", "b"}) {
			t.Fatalf("round %d: stored %v", round, got)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r = start(t, c)
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), DataShards: 2}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	made, err := r.CreateTopic(ctx, "orders", 3)
	if err != nil || made.Partitions != 3 {
		t.Fatalf("create: %+v, %v", made, err)
	}
	if again, err := r.CreateTopic(ctx, "orders", 3); err != nil || again != made {
		t.Fatalf("the same again: %+v, %v", again, err)
	}
	_, err = r.CreateTopic(ctx, "orders", 4)
	kind(t, err, fault.Conflict, "topic_exists")
	for p := range int32(3) {
		if _, err := r.Append(ctx, bus.Append{Topic: "orders", Partition: p, Block: block("x")}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.Append(ctx, bus.Append{Topic: "orders", Partition: 3, Block: block("x")})
	kind(t, err, fault.Invalid, "invalid_partition")
	_, err = r.Append(ctx, bus.Append{Topic: "nothing", Block: block("x")})
	kind(t, err, fault.NotFound, "unknown_topic")
	if err := r.DeleteTopic(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	kind(t, r.DeleteTopic(ctx, "orders"), fault.NotFound, "unknown_topic")
	if len(r.ListTopics()) != 0 {
		t.Fatalf("topics: %v", r.ListTopics())
	}
	fresh, err := r.CreateTopic(ctx, "orders", 2)
	if err != nil || fresh.ID == made.ID {
		t.Fatalf("created again: %+v, %v", fresh, err)
	}
	if got := r.values(t, "orders", 0); len(got) != 0 {
		t.Fatalf("a new topic holds %v", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(filepath.Join(c.Dir, "shards", "*", "p", fmt.Sprint(made.ID, "-*")))
	if err != nil || len(dirs) != 0 {
		t.Fatalf("the deleted topic's files are still there: %v, %v", dirs, err)
	}
}

// Appends without a key take the partitions in turn, one at a time where each is
// waited for, and a round at a time where they come together; none is left out.
func TestTurns(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir(), DataShards: 2})
	ctx := within(t, 60*time.Second)
	const partitions, clients, each = 4, 16, 50
	if _, err := r.CreateTopic(ctx, "turns", partitions); err != nil {
		t.Fatal(err)
	}
	anywhere := bus.Append{Topic: "turns", Partition: bus.AnyPartition, Block: block("a")}
	last := int32(-1)
	for i := range 4 * partitions {
		done, err := r.Append(ctx, anywhere)
		if err != nil || last >= 0 && done.Partition != (last+1)%partitions {
			t.Fatalf("append %d went to %d after %d: %v", i, done.Partition, last, err)
		}
		last = done.Partition
	}
	var load sync.WaitGroup
	for range clients {
		load.Go(func() {
			for range each {
				if _, err := r.Append(ctx, anywhere); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	load.Wait()
	total := log.Offset(0)
	for p := range int32(partitions) {
		got, err := r.Partition("turns", p)
		if err != nil || got.Next <= 4 {
			t.Errorf("partition %d ends at %d: %v", p, got.Next, err)
		}
		total += got.Next
	}
	if total != clients*each+4*partitions {
		t.Errorf("%d records in all", total)
	}
}

// A crash between the topic table and the data shards is made good, in both
// directions.
func TestTopicChangesAreFinished(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir()}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	gone, err := r.CreateTopic(ctx, "gone", 1)
	if err != nil {
		t.Fatal(err)
	}
	meta := r.shards[bus.MetaShard]
	if _, _, _, err := meta.call(ctx, 64, func(b []byte) []byte { return encodeDeleteTopic(b, "gone") }); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"early", "late"} {
		_, _, _, err := meta.call(ctx, 64, func(b []byte) []byte { return encodeCreateTopic(b, name, false, r.data) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Append(ctx, bus.Append{Topic: "early", Block: block("x")}); err != nil {
		t.Fatalf("append before the restart: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, c)
	if _, err := r.Partition("late", 0); err != nil {
		t.Fatalf("a topic half made is not finished: %v", err)
	}
	if slices.Contains(r.shards[r.data[0]].machine.topicIDs(), gone.ID) {
		t.Fatal("a topic half deleted is still there")
	}
}

// TestTopicChangeInTheWay: who changes topics while another change waits for a shard
// without a leader waits no longer than it may.
func TestTopicChangeInTheWay(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "there", 1); err != nil {
		t.Fatal(err)
	}
	if err := r.topicOps.lock(ctx); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	changes := map[string]func() error{
		"create": func() error { _, err := r.CreateTopic(short, "new", 1); return err },
		"intern": func() error { _, err := r.CreateInternal(short, "$new", r.DataShard("")); return err },
		"delete": func() error { return r.DeleteTopic(short, "there") },
		"open":   func() error { return r.openAgain(short, "there") },
		"tidy":   func() error { return r.reconcile(short) },
	}
	failed := make(chan error)
	for _, change := range changes {
		go func() { failed <- change() }()
	}
	cancel()
	for range changes {
		kind(t, <-failed, fault.Unavailable, "no_quorum")
	}
	r.topicOps.unlock()
	if _, err := r.CreateTopic(ctx, "new", 1); err != nil {
		t.Error(err)
	}
}

func TestGroupCommits(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 1); err != nil {
		t.Fatal(err)
	}
	g := bus.GroupOffset{Group: "g", Topic: "orders"}
	if _, ok := r.Committed(g); ok {
		t.Fatal("a group that never committed has an offset")
	}
	for _, step := range []struct{ commit, want log.Offset }{{0, 0}, {7, 7}, {3, 7}, {99, 99}} {
		if got, err := r.CommitGroup(ctx, g, step.commit); err != nil || got != step.want {
			t.Fatalf("commit %d: %d, %v; want %d", step.commit, got, err, step.want)
		}
		if got, ok := r.Committed(g); !ok || got != step.want {
			t.Fatalf("committed %d, want %d", got, step.want)
		}
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir(), MaxPartitions: 5, MaxGroups: 2})
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 4); err != nil {
		t.Fatal(err)
	}
	_, err := r.CreateTopic(ctx, "more", 2)
	kind(t, err, fault.Exhausted, "quota_exceeded")
	if _, err := r.CreateTopic(ctx, "orders", 4); err != nil {
		t.Fatalf("the same topic again: %v", err)
	}
	for i, want := range []bool{true, true, false} {
		g := bus.GroupOffset{Group: fmt.Sprint("g", i), Topic: "orders"}
		if _, err := r.CommitGroup(ctx, g, 1); (err == nil) != want {
			t.Fatalf("group %d: %v", i, err)
		}
	}
	if _, err := r.CommitGroup(ctx, bus.GroupOffset{Group: "g1", Topic: "orders"}, 2); err != nil {
		t.Fatalf("a group that is known: %v", err)
	}
	if names := r.Groups("orders", "", 5); !slices.Equal(names, []string{"g0", "g1"}) || len(r.Groups("orders", "g0", 5)) != 1 || r.Groups("nothing", "", 5) != nil {
		t.Errorf("groups %v", names)
	}
}

func TestTransactionsAreFencedAndWhole(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 60*time.Second)
	shard := r.DataShard("q")
	if _, err := r.CreateInternal(ctx, "$results/1", shard); err != nil {
		t.Fatal(err)
	}
	changed := r.DocsChanged(shard)
	txn := bus.Txn{
		Shard:   shard,
		Fence:   &bus.Fence{Key: "checkpoint", Version: 0},
		Appends: []bus.Append{{Topic: "$results/1", Block: block("r0", "r1")}, {Topic: "$results/1", Block: block("r2")}},
		Puts:    []bus.Doc{{Key: "checkpoint", Value: []byte("epoch 1")}},
	}
	done, err := r.Transact(ctx, txn)
	if err != nil || !slices.Equal(done.Bases, []log.Offset{0, 2}) || len(done.Versions) != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	<-changed
	_, err = r.Transact(ctx, txn)
	kind(t, err, fault.Conflict, "fenced")
	txn.Fence.Version = done.Versions[0]
	txn.Trims = []bus.Trim{{Topic: "$results/1", Before: 2}}
	if _, err := r.Transact(ctx, txn); err != nil {
		t.Fatal(err)
	}
	if got := r.values(t, "$results/1", 0); !slices.Equal(got, []string{"r2", "r0", "r1", "r2"}) {
		t.Fatalf("results %v", got)
	}
	_, err = r.Read("$results/1", 0, 1, 100, nil)
	kind(t, err, fault.OutOfRange, "offset_out_of_range")
	txn.Fence, txn.Appends = nil, []bus.Append{{Topic: "$results/1", Block: block("x")}, {Topic: "$missing", Block: block("x")}}
	_, err = r.Transact(ctx, txn)
	kind(t, err, fault.NotFound, "unknown_topic")
	if p, err := r.Partition("$results/1", 0); err != nil || p.Next != 6 {
		t.Fatalf("a refused transaction left %+v, %v", p, err)
	}
	if len(r.ListTopics()) != 0 {
		t.Fatal("internal topics are listed")
	}
}

// The raft log stays short, and a node whose log was compacted starts again.
func TestRaftLogIsCompacted(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), RaftLogBytes: 1 << 20, CheckpointEvery: 10 * time.Millisecond}
	r := start(t, c)
	ctx := within(t, 120*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 1); err != nil {
		t.Fatal(err)
	}
	var big log.Block
	big.Add(nil, make([]byte, 1<<20))
	const writes = 300
	for range writes {
		if _, err := r.Append(ctx, bus.Append{Topic: "orders", Block: big}); err != nil {
			t.Fatal(err)
		}
	}
	if size := r.raftLog.sizeBytes(); size >= writes<<20 {
		t.Fatalf("the raft log holds %d bytes of %d written", size, writes<<20)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, c)
	if p, err := r.Partition("orders", 0); err != nil || p.Next != writes {
		t.Fatalf("after the restart: %+v, %v", p, err)
	}
}

func TestDataDirectoryIsLocked(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir()}
	start(t, c)
	_, err := Open(c)
	kind(t, err, fault.Conflict, "data_dir_in_use")
}

// A data directory may come back on a machine of another name.
func TestDataDirectoryMoves(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir()}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 1); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(c.Dir, "identity.json")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(c.Dir, "nodehost", id.Hostname), filepath.Join(c.Dir, "nodehost", "elsewhere")); err != nil {
		t.Fatal(err)
	}
	id.Hostname = "elsewhere"
	if err := id.write(c.withDefaults(), name); err != nil {
		t.Fatal(err)
	}
	if _, ok := start(t, c).Topic("orders"); !ok {
		t.Fatal("the topic did not come along")
	}
}
