package cluster

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"leat/cluster/state"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// keySender sends records with idempotency keys to a node whose clock it moves.
type keySender struct {
	*running
	t      *testing.T
	shard  *shard
	topic  uint64
	passed atomic.Int64 // added to the time
	value  log.Block
}

func newKeySender(t *testing.T) *keySender {
	t.Helper()
	k, began := &keySender{t: t, value: block("x")}, time.Now()
	k.running = start(t, Config{Dir: t.TempDir(), FS: &metered{FS: log.OS()}, Clock: func() time.Time {
		return began.Add(time.Duration(k.passed.Load()))
	}})
	if _, err := k.CreateTopic(within(t, 60*time.Second), "orders", 20); err != nil {
		t.Fatal(err)
	}
	k.shard, k.topic = k.shards[firstDataShard], k.Node.topic("orders").ID
	return k
}

// fill has so many new keys come to a partition, in one entry.
func (k *keySender) fill(partition int32, from, n int) {
	k.t.Helper()
	proposal := binary.LittleEndian.AppendUint64([]byte{proposalVersion}, uint64(k.shard.clock.nowMs()))
	for i := from; i < from+n; i++ {
		c := appendCommand{
			id: state.PartitionID{Topic: k.topic, Partition: partition}, block: k.value,
			keyed: true, key: state.HashKey(fmt.Sprint("k", i)), body: state.BodyHash(k.value.Bytes),
		}
		proposal = c.encode(proposal)
	}
	if _, _, err := k.shard.propose(within(k.t, 60*time.Second), proposal); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keySender) send(partition int32, key string) (bus.Appended, error) {
	return k.Append(within(k.t, 60*time.Second), bus.Append{Topic: "orders", Partition: partition, Block: k.value, IdempotencyKey: key})
}

func (k *keySender) refuses(partition int32, key string) {
	k.t.Helper()
	_, err := k.send(partition, key)
	kind(k.t, err, fault.Exhausted, "quota_exceeded")
}

func (k *keySender) takes(partition int32, key string) {
	k.t.Helper()
	if a, err := k.send(partition, key); err != nil || a.Duplicate {
		k.t.Fatalf("%+v, %v", a, err)
	}
}

// keysWithRoom is how many young keys a partition takes, and one more.
const keysWithRoom = state.KeyWindow - state.KeyWindow/8 + 1

// TestYoungKeysAreNotForgotten: a key is remembered for keyAge at least. Where that leaves
// no room a new key is refused, known keys are not; time makes room.
func TestYoungKeysAreNotForgotten(t *testing.T) {
	t.Parallel()
	k := newKeySender(t)
	k.fill(0, 0, keysWithRoom)
	if a, err := k.send(0, "k0"); err != nil || !a.Duplicate || a.Base != 0 {
		t.Fatalf("a key that is known: %+v, %v", a, err)
	}
	k.refuses(0, "new")
	k.takes(1, "new")
	k.passed.Add(int64(keyAge - time.Second))
	k.refuses(0, "new")
	k.passed.Add(int64(2 * time.Second))
	k.takes(0, "new")
	// The first keys are old and the next ones are young.
	k.fill(0, keysWithRoom, keysWithRoom)
	k.refuses(0, "newer")
	// The promise outlives the records.
	for _, before := range []log.Offset{1000, 2*keysWithRoom + 1} {
		if _, _, err := k.DeleteBefore(within(t, 60*time.Second), "orders", 0, before); err != nil {
			t.Fatal(err)
		}
		k.refuses(0, "newer")
	}
	k.passed.Add(int64(keyAge + time.Second))
	k.takes(0, "newer")
}

// TestYoungKeysOfOthers: one partition more with keys may halve the windows of all others,
// and has to wait until that costs no young key.
func TestYoungKeysOfOthers(t *testing.T) {
	t.Parallel()
	k := newKeySender(t)
	k.fill(0, 0, keysWithRoom-1)
	for p := range int32(15) {
		k.takes(p+1, "the first one")
	}
	k.refuses(16, "one partition more")
	k.takes(1, "the second one")
	k.passed.Add(int64(keyAge + time.Second))
	k.takes(16, "one partition more")
}
