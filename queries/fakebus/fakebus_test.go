package fakebus

import (
	"context"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

func txn(version uint64, value string) bus.Txn {
	var block log.Block
	block.Add(nil, []byte(value))
	return bus.Txn{
		Shard: DataShard, Fence: &bus.Fence{Key: "d", Version: version},
		Puts:    []bus.Doc{{Key: "d", Value: []byte(value)}},
		Appends: []bus.Append{{Topic: "$t", Block: block}},
	}
}

// TestOutcomes: what the caller is told, and what has happened in the end.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome Outcome
		kind    fault.Kind
		applied bool
	}{
		{LostUnknown, fault.Timeout, false}, {AppliedUnknown, fault.Timeout, true}, {DelayedUnknown, fault.Timeout, true},
		{Refused, fault.Unavailable, false}, {KillBefore, fault.Internal, false}, {KillAfter, fault.Internal, true},
		{KillDelayed, fault.Internal, true},
	} {
		b := New()
		if _, err := b.CreateInternal(context.Background(), "$t", DataShard); err != nil {
			t.Fatal(err)
		}
		b.Interfere(func(call int, _ bus.Txn) Outcome {
			if call == 1 {
				return c.outcome
			}
			return Pass
		})
		first, err := b.Transact(t.Context(), txn(0, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Transact(t.Context(), txn(first.Versions[0], "b")); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("outcome %d: %v", c.outcome, err)
		}
		if _, err := b.Transact(t.Context(), txn(99, "c")); fault.KindOf(err) != fault.Conflict {
			t.Errorf("outcome %d: a wrong fence gives %v", c.outcome, err)
		}
		doc, _ := b.Doc(DataShard, "d")
		p, err := b.Partition("$t", 0)
		if err != nil {
			t.Fatal(err)
		}
		if applied := string(doc.Value) == "b"; applied != c.applied || (p.Next == 2) != c.applied {
			t.Errorf("outcome %d: applied %v, next offset %d", c.outcome, applied, p.Next)
		}
	}
}

// TestDelayedBefore: a delayed transaction may also come right before the next one.
func TestDelayedBefore(t *testing.T) {
	t.Parallel()
	b := New()
	if _, err := b.CreateInternal(context.Background(), "$t", DataShard); err != nil {
		t.Fatal(err)
	}
	b.Interfere(func(call int, _ bus.Txn) Outcome {
		if call == 0 {
			return DelayedUnknown
		}
		return Pass
	})
	if _, err := b.Transact(t.Context(), txn(0, "a")); fault.KindOf(err) != fault.Timeout {
		t.Errorf("got %v", err)
	}
	if _, err := b.Transact(t.Context(), txn(0, "b")); fault.KindOf(err) != fault.Conflict {
		t.Errorf("got %v", err)
	}
}
