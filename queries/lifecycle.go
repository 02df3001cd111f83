package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"leat/internal/bus"
	"leat/internal/fault"
)

// Pause stops the job of a query until Resume, over restarts of the process too.
// Nothing is lost: the query goes on from its last epoch. When it returns without an
// error, the job that ran here has ended. Pausing a paused query changes nothing.
//
// Errors are faults: NotFound "unknown_query" and those of the log.
func (m *Manager) Pause(ctx context.Context, name string) error {
	id, err := m.setPaused(ctx, name, true)
	if err != nil {
		return fmt.Errorf("pause query %q: %w", name, err)
	}
	r := m.run(id)
	if r == nil {
		return nil
	}
	for {
		changed := m.docs.DocsChanged(bus.MetaShard)
		if e, err := m.lookup(name); err != nil || e.ID != id || !e.Paused {
			return nil // somebody else has changed it since
		}
		select {
		case <-r.gone:
			return nil
		case <-changed:
		case <-ctx.Done():
			return fault.New(fault.Timeout, "unknown_outcome", "query %q is paused, and its job has not ended yet", name)
		}
	}
}

// Resume has a paused query go on. A query that is not paused is left as it is.
// Pause and Resume try a failed query again from its last epoch.
func (m *Manager) Resume(ctx context.Context, name string) error {
	if _, err := m.setPaused(ctx, name, false); err != nil {
		return fmt.Errorf("resume query %q: %w", name, err)
	}
	return nil
}

func (m *Manager) setPaused(ctx context.Context, name string, paused bool) (id string, err error) {
	err = m.change(ctx, func(t *bus.Txn, last uint64) (bool, error) {
		e, err := m.lookup(name)
		if err != nil {
			return true, err
		}
		if id = e.ID; e.Paused == paused {
			return true, nil
		}
		e.Paused = paused
		if err := putEntry(t, e); err != nil {
			return true, err
		}
		putSequence(t, last)
		return false, nil
	})
	return id, err
}

// Restart starts a query anew, whatever its state: from the start its spec names,
// with empty state and results that count from 0 again. What it had is deleted as by
// Delete.
func (m *Manager) Restart(ctx context.Context, name string) error {
	err := m.change(ctx, func(t *bus.Txn, last uint64) (bool, error) {
		e, err := m.lookup(name)
		if err != nil {
			return true, err
		}
		if err := m.putLeavings(t, e); err != nil {
			return true, err
		}
		if e.Formats, err = m.freshPins(ctx, e); err != nil {
			return true, err
		}
		e.ID = strconv.FormatUint(last+1, 10)
		e.Shard, e.Paused = m.docs.DataShard(e.ID), false
		if err := putEntry(t, e); err != nil {
			return true, err
		}
		putSequence(t, last+1)
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("restart query %q: %w", name, err)
	}
	return nil
}

// freshPins are the formats of a query as they are by now. A spec that cannot be read any
// more has none: the job says what is wrong.
func (m *Manager) freshPins(ctx context.Context, e entry) ([]string, error) {
	_, plan, _, problems := m.names(nil).Compile(ctx, e.Spec)
	switch err := problems.Fault(); {
	case err == nil:
		return plan.Pins(ctx)
	case err.Kind == fault.Unavailable || err.Kind == fault.Timeout:
		return nil, err
	}
	return nil, nil
}

func putEntry(t *bus.Txn, e entry) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode query: %w", err)
	}
	t.Puts = append(t.Puts, bus.Doc{Key: entryPrefix + e.Name, Value: value})
	return nil
}

// putLeavings has the logs and the checkpoint of e deleted, not what it wrote elsewhere.
func (m *Manager) putLeavings(t *bus.Txn, e entry) error {
	left := leavings{ID: e.ID, Shard: e.Shard}
	if spec, problems := Parse(e.Spec); len(problems) == 0 && spec.Sink != nil && spec.Sink.KV != "" {
		left.KVShard, _ = m.spaces.Space(spec.Sink.KV)
	}
	value, err := json.Marshal(left)
	if err != nil {
		return fmt.Errorf("encode query: %w", err)
	}
	t.Puts = append(t.Puts, bus.Doc{Key: leavingsPrefix + e.ID, Value: value})
	return nil
}
