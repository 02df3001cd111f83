package queries

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"leat/dataflow"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// The state log holds what operators have written (see dataflow/state.go), epoch by
// epoch. The last record of an epoch that wrote state has the key FF and the epoch's
// number, a uvarint, as its value; it is appended in the same transaction as the
// checkpoint. Records after the last such mark belong to an epoch that was never
// committed: they are ignored, and the next owner begins with a full snapshot behind
// them.

const epochMark = 0xFF

func addEpochMark(b *log.Block, epoch uint64) {
	b.Add([]byte{epochMark}, binary.AppendUvarint(nil, epoch))
}

// open loads the checkpoint, or makes the first one, and takes the query over: from
// then on every other owner is refused.
func (j *Job) open(ctx context.Context) error {
	if err := j.prepareLogs(ctx); err != nil {
		return err
	}
	for tries := 1; ; tries++ {
		err := j.claim(ctx)
		switch {
		case err == nil && j.saved.Completed:
			return nil
		case err == nil:
			return j.unlessFenced(j.restore(ctx))
		case fault.KindOf(err) != fault.Conflict || tries == maxClaims:
			return err
		}
		// The last transaction of an owner before has arrived in between.
	}
}

const maxClaims = 3

func (j *Job) claim(ctx context.Context) error {
	if err := j.topics.Barrier(ctx); err != nil {
		return fmt.Errorf("wait for the log to catch up: %w", err)
	}
	doc, found := j.docs.Doc(j.shard, checkpointKey(j.id))
	var err error
	if found {
		j.saved, err = decodeCheckpoint(doc)
	} else {
		j.saved, err = j.firstCheckpoint()
	}
	if err != nil || j.saved.Completed {
		return err
	}
	j.version = doc.Version
	if err := j.sameTopics(); err != nil {
		return err
	}
	next := j.saved
	next.Generation++
	next.Owner = j.owner
	return j.write(ctx, next, bus.Txn{})
}

func (j *Job) prepareLogs(ctx context.Context) error {
	for _, name := range internalTopics(j.id) {
		if err := openLog(ctx, j.topics, name, j.shard); err != nil {
			return err
		}
	}
	return nil
}

// openLog makes one of a query's own logs, unless it can be used. That it is in the table
// of topics says little: who put it there may have been stopped before its shard knew.
func openLog(ctx context.Context, topics Topics, name string, shard uint64) error {
	_, err := topics.Partition(name, 0)
	if fault.KindOf(err) == fault.NotFound {
		_, err = topics.CreateInternal(ctx, name, shard)
	}
	if err != nil {
		return fmt.Errorf("create the log %q: %w", name, err)
	}
	return nil
}

func errNoTopic(name string) error {
	return fault.New(fault.NotFound, "unknown_topic", "source topic %q does not exist", name)
}

// sameTopics tells whether the source topics still are those the query has begun to
// read.
func (j *Job) sameTopics() error {
	for i := range j.plan.Sources {
		topic, ok := j.topics.Topic(j.plan.Sources[i].Topic)
		if !ok {
			return errNoTopic(j.plan.Sources[i].Topic)
		}
		if i >= len(j.saved.Sources) {
			continue // nothing has been read yet
		}
		if s := &j.saved.Sources[i]; topic.ID != s.TopicID || int(topic.Partitions) != len(s.Partitions) {
			return fault.New(fault.NotFound, "unknown_topic",
				"source topic %q was deleted; the topic that has its name now is another one", topic.Name)
		}
	}
	return nil
}

// firstCheckpoint fixes where a query begins and, for a bounded run, ends.
func (j *Job) firstCheckpoint() (checkpoint, error) {
	c := checkpoint{Query: j.plan.Name}
	for i := range j.plan.Sources {
		s, err := j.firstStanding(&j.plan.Sources[i])
		if err != nil {
			return c, err
		}
		c.Sources = append(c.Sources, s)
	}
	return c, nil
}

func (j *Job) firstStanding(source *SourcePlan) (s sourceStanding, err error) {
	topic, ok := j.topics.Topic(source.Topic)
	if !ok {
		return s, errNoTopic(source.Topic)
	}
	s = sourceStanding{TopicID: topic.ID, Partitions: make([]standing, topic.Partitions)}
	for i := range s.Partitions {
		p, err := j.topics.Partition(topic.Name, int32(i))
		if err != nil {
			return s, fmt.Errorf("look at %s/%d: %w", topic.Name, i, err)
		}
		start, err := j.startOf(source, p)
		if err != nil {
			return s, err
		}
		s.Partitions[i].Offset = start
		if source.UntilEnd {
			stop := max(start, p.Next)
			s.Partitions[i].Stop = &stop
		}
	}
	return s, nil
}

func (j *Job) startOf(source *SourcePlan, p bus.Partition) (log.Offset, error) {
	switch s := source.Start; s.Kind {
	case StartLatest:
		return p.Next, nil
	case StartTimestamp:
		start, err := j.topics.OffsetAtTime(source.Topic, p.Partition, s.Timestamp)
		if err != nil {
			return 0, fmt.Errorf("find the start in %s/%d: %w", source.Topic, p.Partition, err)
		}
		return start, nil
	case StartOffset:
		if start, ok := s.Offsets[p.Partition]; ok {
			return max(start, p.First), nil
		}
	}
	return p.First, nil
}

// unlessFenced puts the loss of the query before what followed from it: what the state
// log lacks has been trimmed by the owner that has taken over.
func (j *Job) unlessFenced(err error) error {
	if err == nil {
		return nil
	}
	if doc, _ := j.docs.Doc(j.shard, checkpointKey(j.id)); doc.Version != j.version {
		return fault.New(fault.Conflict, "fenced", "query %q is run by another owner: %v", j.plan.Name, err)
	}
	return err
}

// restore builds the operators and lanes as the checkpoint describes them.
func (j *Job) restore(ctx context.Context) error {
	if err := j.build(); err != nil {
		return err
	}
	// Whatever an owner before has sent has been applied or refused by now.
	if err := j.topics.Barrier(ctx); err != nil {
		return fmt.Errorf("wait for the log to catch up: %w", err)
	}
	standing, err := j.topics.Partition(stateTopic(j.id), 0)
	if err != nil {
		return fmt.Errorf("look at the state log: %w", err)
	}
	j.stateNext = standing.Next
	end, err := j.replay(ctx, j.saved.StateFrom, standing.Next)
	if err != nil {
		return err
	}
	if end < standing.Next {
		// What follows end was never committed, and may have been applied.
		if err := j.build(); err != nil {
			return err
		}
		if _, err := j.replay(ctx, j.saved.StateFrom, end); err != nil {
			return err
		}
		j.wantFull = true
	}
	return nil
}

func (j *Job) build() error {
	partitions := make([]int, len(j.saved.Sources))
	for i := range partitions {
		partitions[i] = len(j.saved.Sources[i].Partitions)
	}
	built, err := j.plan.pipeline(partitions, j.values)
	if err != nil {
		return err
	}
	j.pipeline, j.lanes = built, nil
	for side := range j.saved.Sources {
		for i, s := range j.saved.Sources[side].Partitions {
			l := &lane{
				topic: j.plan.Sources[side].Topic, partition: int32(i),
				next: s.Offset, counted: s.Offset, highest: dataflow.MinTime, stop: -1,
				idleMs: j.plan.Sources[side].IdleTimeout, quiet: notQuiet, mark: s.Idle,
			}
			if s.Stop != nil {
				l.stop = *s.Stop
			}
			if s.Highest != nil {
				l.highest = dataflow.Time(*s.Highest)
				j.times[len(j.lanes)].SetHighest(len(j.lanes), l.highest)
			}
			j.lanes = append(j.lanes, l)
		}
	}
	j.passOver()
	j.stateful = j.graph.Stateful()
	j.out = output{rows: j.saved.Rows}
	j.turn = j.newTurn()
	j.advanced, j.changed = dataflow.MinTime, true
	return nil
}

// replay applies the state log from one offset to another and returns the offset
// after the last epoch mark it met. Entries behind that need not fit what is before them:
// a full snapshot that was begun there does not say what is no more. From one that does
// not fit on, only marks are looked for.
func (j *Job) replay(ctx context.Context, from, to log.Offset) (marked log.Offset, err error) {
	topic := stateTopic(j.id)
	marked = from
	var misfit error
	var buf []byte
	for at := from; at < to; {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		frames, err := j.topics.Read(topic, 0, at, j.options.ReadBytes, buf)
		if err != nil {
			return 0, fmt.Errorf("read the state log from offset %d: %w", at, err)
		}
		if frames.Empty() {
			return 0, fault.New(fault.Corrupt, "corrupt_record", "the state log ends at offset %d, before %d", at, to)
		}
		buf = frames.Bytes()
		cursor := frames.Records(at)
		for r, ok := cursor.Next(); ok && r.Offset < to; r, ok = cursor.Next() {
			switch {
			case bytes.Equal(r.Key, []byte{epochMark}) && misfit != nil:
				return 0, misfit // it was committed
			case bytes.Equal(r.Key, []byte{epochMark}):
				marked = r.Offset + 1
			case misfit == nil:
				if err := j.graph.Restore(r.Key, r.Value); err != nil {
					misfit = fault.New(fault.Corrupt, "corrupt_record", "state log, offset %d: %w", r.Offset, err)
				}
			}
		}
		if err := cursor.Err(); err != nil {
			return 0, fmt.Errorf("read the state log: %w", err)
		}
		at = frames.Next()
	}
	return marked, nil
}
