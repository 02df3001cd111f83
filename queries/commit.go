package queries

import (
	"context"
	"fmt"
	"slices"
	"time"

	"leat/codecs"
	"leat/dataflow"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// fullSnapshotFactor is how many times the live state the state log may grow to.
const fullSnapshotFactor = 4

// cut ends the epoch: what it has put out, the change of state and the checkpoint
// become durable together.
//
// State that is too large for one transaction goes ahead of it in transactions of
// its own, under the same fence, while it is encoded: of a snapshot of everything only a
// chunk is in memory. Without the mark at its end it counts for nothing.
func (j *Job) cut(ctx context.Context, completed bool) error {
	marks, err := j.idleMarks(ctx)
	if err != nil {
		return err
	}
	for i, mark := range marks {
		if mark != nil {
			j.lanes[i].mark = mark
		}
	}
	next, err := j.standing()
	if err != nil {
		return err
	}
	next.Completed = completed
	state := dataflow.StateWriter{
		ChunkBytes: j.options.StateChunkBytes,
		Ahead:      func(chunk log.Block) error { return j.writeAhead(ctx, chunk) },
	}
	live := next.StateBytes
	logged := j.saved.StateLogBytes + j.graph.ChangedBytes()
	state.Full = j.wantFull || logged > max(j.options.StateLogBytes, fullSnapshotFactor*live)
	if err := j.graph.Snapshot(&state); err != nil {
		return err
	}
	var txn bus.Txn
	if state.Full {
		next.StateFrom, next.StateLogBytes = j.stateNext, 0
		txn.Trims = []bus.Trim{{Topic: stateTopic(j.id), Before: j.stateNext}}
	}
	next.StateLogBytes += state.Bytes()
	if state.Full || len(state.Chunks) > 0 {
		var last log.Block
		if len(state.Chunks) > 0 {
			last = state.Chunks[0]
		}
		addEpochMark(&last, next.Epoch)
		txn.Appends = append(txn.Appends, bus.Append{Topic: stateTopic(j.id), Block: last})
	}
	for _, own := range []struct {
		topic string
		block log.Block
	}{{resultsTopic(j.id), j.out.results}, {lateTopic(j.id), j.out.late}, {deadTopic(j.id), j.out.dead}} {
		if own.block.Count > 0 {
			txn.Appends = append(txn.Appends, bus.Append{Topic: own.topic, Block: own.block})
		}
	}
	if err := j.write(ctx, next, txn); err != nil {
		return err
	}
	j.passOver()
	j.wantFull = false
	j.out.reset()
	j.lastCut = j.clock.Now()
	return nil
}

// standing is the checkpoint of the next epoch, but for the state log.
func (j *Job) standing() (checkpoint, error) {
	next := j.saved
	next.Epoch++
	next.Rows = j.out.rows
	next.StateBytes = j.graph.StateBytes()
	next.Warnings = j.warnings()
	next.Sources = slices.Clone(j.saved.Sources)
	lanes := j.lanes
	for i := range next.Sources {
		list := slices.Clone(next.Sources[i].Partitions)
		for p, l := range lanes[:len(list)] {
			list[p].Offset, list[p].Idle = l.counted, l.mark
			if t := int64(l.highest); l.highest != dataflow.MinTime {
				list[p].Highest = &t
			}
		}
		next.Sources[i].Partitions, lanes = list, lanes[len(list):]
	}
	if r := next.Rows; r.In != r.Used+r.Filtered+r.Late+r.DeadLettered {
		return next, fault.New(fault.Internal, "internal", "query %q lost count of its rows: %+v", j.plan.Name, r)
	}
	return next, nil
}

// warnings are those of the last epoch and of what has been decoded since, in their order
// as text, as many as a status shows.
func (j *Job) warnings() Warnings {
	all := j.saved.Warnings
	for i, d := range j.prepare {
		if d == nil {
			continue
		}
		for _, m := range d.Misfits() {
			text := cutText(fmt.Sprintf("topic %q: %s", j.lanes[i].topic, m), maxWarningBytes)
			if at, found := slices.BinarySearch(all, text); !found && len(all) < maxWarnings {
				all = slices.Insert(slices.Clone(all), at, text)
			}
		}
	}
	return all
}

// The bounds of the warnings of a status.
const (
	maxWarnings     = codecs.MaxMisfits
	maxWarningBytes = 1 << 10
)

// writeAhead appends a chunk of state.
func (j *Job) writeAhead(ctx context.Context, chunk log.Block) error {
	txn := bus.Txn{
		Shard:   j.shard,
		Fence:   &bus.Fence{Key: checkpointKey(j.id), Version: j.version},
		Appends: []bus.Append{{Topic: stateTopic(j.id), Block: chunk}},
	}
	// Applied twice, also late, a chunk does no harm: within an epoch each key is
	// written once, and after the epoch the fence is closed.
	err := j.retry(ctx, func() error {
		_, err := j.docs.Transact(ctx, txn)
		return err
	})
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// write makes c the checkpoint, together with the rest of txn.
func (j *Job) write(ctx context.Context, c checkpoint, txn bus.Txn) error {
	value, err := c.encode()
	if err != nil {
		return err
	}
	key := checkpointKey(j.id)
	txn.Shard = j.shard
	txn.Fence = &bus.Fence{Key: key, Version: j.version}
	txn.Puts = []bus.Doc{{Key: key, Value: value}}
	var version uint64
	var bases []log.Offset // nil if an unknown outcome turned out well
	unknown := false
	err = j.retry(ctx, func() error {
		if unknown {
			doc, applied, err := j.applied(ctx, c)
			if err != nil || applied {
				version = doc.Version
				return err
			}
		}
		result, err := j.docs.Transact(ctx, txn)
		if err == nil {
			version, bases = result.Versions[0], result.Bases
			return nil
		}
		if fault.KindOf(err) == fault.Conflict && unknown {
			// Refused by what an earlier try of ours has done?
			doc, applied, err2 := j.applied(ctx, c)
			if err2 != nil || applied {
				version = doc.Version
				return err2
			}
		}
		unknown = true
		return err
	})
	if err != nil {
		return fmt.Errorf("commit epoch %d of query %q: %w", c.Epoch, j.plan.Name, err)
	}
	j.saved, j.version = c, version
	return j.followState(txn, bases)
}

// followState sets stateNext to the end of the state log after a transaction.
func (j *Job) followState(txn bus.Txn, bases []log.Offset) error {
	for i, a := range txn.Appends {
		if a.Topic != stateTopic(j.id) {
			continue
		}
		if i < len(bases) {
			j.stateNext = bases[i] + log.Offset(a.Block.Count)
			return nil
		}
		standing, err := j.topics.Partition(a.Topic, 0)
		if err != nil {
			return fmt.Errorf("look at the state log: %w", err)
		}
		j.stateNext = standing.Next
	}
	return nil
}

// applied tells whether c is the checkpoint that is stored.
func (j *Job) applied(ctx context.Context, c checkpoint) (bus.Doc, bool, error) {
	if err := j.topics.Barrier(ctx); err != nil {
		return bus.Doc{}, false, fmt.Errorf("wait for the log to catch up: %w", err)
	}
	doc, found := j.docs.Doc(j.shard, checkpointKey(j.id))
	if !found || doc.Version == j.version {
		return doc, false, nil
	}
	stored, err := decodeCheckpoint(doc)
	if err != nil {
		return doc, false, err
	}
	if stored.Generation != c.Generation || stored.Epoch != c.Epoch || stored.Owner != c.Owner {
		return doc, false, fault.New(fault.Conflict, "fenced", "query %q is run by another owner", j.plan.Name)
	}
	return doc, true, nil
}

// Backoff between tries of a transaction.
const (
	firstBackoff = 10 * time.Millisecond
	maxBackoff   = time.Second
	maxTries     = 10
)

// retry repeats try while it fails for a passing reason.
func (j *Job) retry(ctx context.Context, try func() error) error {
	backoff := firstBackoff
	for n := 1; ; n++ {
		err := try()
		if err == nil || !passing(err) || n == maxTries {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-j.clock.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// passing tells whether what failed may well succeed later.
func passing(err error) bool {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Timeout, fault.NotLeader, fault.Exhausted, fault.DiskFull:
		return true
	}
	return false
}
