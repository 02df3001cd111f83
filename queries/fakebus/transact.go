package fakebus

import (
	"context"
	"errors"
	"slices"

	"leat/internal/bus"
	"leat/internal/fault"
)

// Outcome is what happens to a transaction.
type Outcome uint8

// The outcomes. After the unknown ones the caller gets a Timeout; after the kills
// ErrKilled, which a job takes for its own end.
const (
	Pass           Outcome = iota
	LostUnknown            // never applied
	AppliedUnknown         // applied
	DelayedUnknown         // applied, or refused, right before or right after the next transaction
	Refused                // Unavailable: not applied
	KillBefore             // not applied
	KillAfter              // applied
	KillDelayed            // applied later, as DelayedUnknown
)

// ErrKilled stands for the end of the process.
var ErrKilled = errors.New("killed")

var errUnknown = fault.New(fault.Timeout, "unknown_outcome", "the outcome is unknown")

// Transact is queries.Documents.
func (b *Bus) Transact(ctx context.Context, t bus.Txn) (bus.TxnResult, error) {
	if err := ctx.Err(); err != nil {
		return bus.TxnResult{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	outcome := Pass
	if b.judge != nil {
		outcome = b.judge(b.calls, t)
	}
	b.calls++
	b.biggest = max(b.biggest, sizeOf(t))
	switch outcome {
	case LostUnknown:
		return bus.TxnResult{}, errUnknown
	case Refused:
		return bus.TxnResult{}, fault.New(fault.Unavailable, "no_quorum", "no quorum")
	case KillBefore:
		return bus.TxnResult{}, ErrKilled
	case DelayedUnknown, KillDelayed:
		b.delayed = append(b.delayed, clone(t))
		if outcome == KillDelayed {
			return bus.TxnResult{}, ErrKilled
		}
		return bus.TxnResult{}, errUnknown
	}
	if b.calls%2 == 0 {
		b.applyDelayed()
	}
	result, err := b.apply(t)
	b.applyDelayed()
	switch {
	case err != nil:
		return bus.TxnResult{}, err
	case outcome == AppliedUnknown:
		return bus.TxnResult{}, errUnknown
	case outcome == KillAfter:
		return bus.TxnResult{}, ErrKilled
	}
	return result, nil
}

func (b *Bus) applyDelayed() {
	for _, t := range b.delayed {
		_, _ = b.apply(t) // nobody waits for the answer
	}
	b.delayed = nil
}

func sizeOf(t bus.Txn) int {
	size := 0
	for _, a := range t.Appends {
		size += len(a.Block.Bytes)
	}
	for _, d := range t.Puts {
		size += len(d.Key) + len(d.Value)
	}
	return size
}

// clone detaches a transaction from the caller's buffers.
func clone(t bus.Txn) bus.Txn {
	t.Appends = slices.Clone(t.Appends)
	for i := range t.Appends {
		t.Appends[i].Block.Bytes = slices.Clone(t.Appends[i].Block.Bytes)
	}
	return t
}

func (b *Bus) apply(t bus.Txn) (bus.TxnResult, error) {
	if f := t.Fence; f != nil && b.docs[docKey{t.Shard, f.Key}].Version != f.Version {
		return bus.TxnResult{}, fault.New(fault.Conflict, "fenced", "document %q has changed", f.Key)
	}
	for _, a := range t.Appends {
		if topic := b.topics[a.Topic]; topic == nil || topic.shard != t.Shard {
			return bus.TxnResult{}, unknownTopic(a.Topic)
		}
	}
	var result bus.TxnResult
	for _, a := range t.Appends {
		base, err := b.append(a)
		if err != nil {
			return bus.TxnResult{}, err
		}
		result.Bases = append(result.Bases, base)
	}
	for _, d := range t.Puts {
		b.version++
		b.docs[docKey{t.Shard, d.Key}] = bus.Doc{Key: d.Key, Value: slices.Clone(d.Value), Version: b.version, TTLMs: d.TTLMs}
		result.Versions = append(result.Versions, b.version)
	}
	for _, key := range t.Deletes {
		delete(b.docs, docKey{t.Shard, key})
	}
	for _, trim := range t.Trims {
		if topic := b.topics[trim.Topic]; topic != nil {
			topic.parts[trim.Partition].Trim(trim.Before)
		}
	}
	if b.applied != nil {
		b.applied(t)
	}
	if ch := b.changed[t.Shard]; ch != nil && len(t.Puts)+len(t.Deletes) > 0 {
		close(ch)
		delete(b.changed, t.Shard)
	}
	return result, nil
}
