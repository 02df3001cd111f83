package fakebus

import (
	"bytes"
	"context"
	"hash/fnv"
	"slices"
	"sync"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// Sinks is the bus as queries.SinkTopics. All methods may be called at any time.
type Sinks struct {
	bus   *Bus
	mu    sync.Mutex
	seen  map[keyedAppend]seenAppend
	judge func(call int) Outcome
	calls int
}

type keyedAppend struct {
	topic     string
	partition int32
	key       string
}

type seenAppend struct {
	body []byte
	base log.Offset
}

// Sinks makes a view of the bus that knows the idempotency keys used through it.
func (b *Bus) Sinks() *Sinks { return &Sinks{bus: b, seen: map[keyedAppend]seenAppend{}} }

// Interfere has judge decide what happens to each append, numbered from 0. Delays
// are taken for losses.
func (s *Sinks) Interfere(judge func(call int) Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge, s.calls = judge, 0
}

// CreateTopic is queries.SinkTopics.
func (s *Sinks) CreateTopic(_ context.Context, name string, partitions int32) (bus.Topic, error) {
	if err := s.bus.CreateTopic(name, partitions); err != nil {
		return bus.Topic{}, err
	}
	topic, _ := s.bus.Topic(name)
	return topic, nil
}

// KeyPartition is queries.SinkTopics.
func (s *Sinks) KeyPartition(key []byte, partitions int32) int32 {
	h := fnv.New32a()
	_, _ = h.Write(key)
	return int32(h.Sum32() % uint32(partitions))
}

// Append is queries.SinkTopics.
func (s *Sinks) Append(ctx context.Context, a bus.Append) (bus.Appended, error) {
	if err := ctx.Err(); err != nil {
		return bus.Appended{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	outcome := Pass
	if s.judge != nil {
		outcome = s.judge(s.calls)
	}
	s.calls++
	switch outcome {
	case LostUnknown, DelayedUnknown:
		return bus.Appended{}, errUnknown
	case Refused:
		return bus.Appended{}, fault.New(fault.Unavailable, "no_quorum", "no quorum")
	case KillBefore, KillDelayed:
		return bus.Appended{}, ErrKilled
	}
	id := keyedAppend{a.Topic, a.Partition, a.IdempotencyKey}
	before, duplicate := s.seen[id]
	if duplicate && !bytes.Equal(before.body, a.Block.Bytes) {
		return bus.Appended{}, fault.New(fault.Unprocessable, "idempotency_conflict", "key %q was used for another body", id.key)
	}
	if !duplicate {
		s.bus.mu.Lock()
		base, err := s.bus.append(a)
		s.bus.mu.Unlock()
		if err != nil {
			return bus.Appended{}, err
		}
		before = seenAppend{body: slices.Clone(a.Block.Bytes), base: base}
		s.seen[id] = before
	}
	switch outcome {
	case AppliedUnknown:
		return bus.Appended{}, errUnknown
	case KillAfter:
		return bus.Appended{}, ErrKilled
	}
	return bus.Appended{Partition: a.Partition, Base: before.base, Count: a.Block.Count, Duplicate: duplicate}, nil
}
