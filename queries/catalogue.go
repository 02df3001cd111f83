package queries

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"leat/internal/bus"
	"leat/internal/fault"
)

// The catalogue lies in the metadata shard, in documents:
//
//	query/{name}        a query: entry
//	query-cleanup/{id}  a deleted query whose logs have not all been deleted: leavings
//	query-sequence      the last id given out; every change of the catalogue writes it
//	                    and is fenced by it, so that changes exclude each other

const (
	entryPrefix    = "query/"
	leavingsPrefix = "query-cleanup/"
	sequenceKey    = "query-sequence"
)

// entry is one query of the catalogue. Paused may change, and a restart of the query
// gives it another ID, Shard and Formats; nothing else ever does.
type entry struct {
	Name      string          `json:"name"`
	ID        string          `json:"id"` // never reused
	Spec      json.RawMessage `json:"spec"`
	CreatedMs int64           `json:"created_ms"`
	Shard     uint64          `json:"shard"` // of its logs and checkpoint
	Paused    bool            `json:"paused,omitempty"`
	// Formats are the Plan.Pins of the time when the query was created or restarted.
	Formats []string `json:"formats,omitempty"`
}

// leavings are what a deleted query has left behind.
type leavings struct {
	ID    string `json:"id"`
	Shard uint64 `json:"shard"`
	// KVShard is that of the namespace the query wrote to, 0 if it wrote to none.
	KVShard uint64 `json:"kv_shard,omitempty"`
}

func errUnknownQuery(name string) error {
	return fault.New(fault.NotFound, "unknown_query", "there is no query %q", name)
}

func errAnotherSpec(name string, differences []string) error {
	return fault.New(fault.Conflict, "query_exists",
		"there is a query %q with another spec: they differ at %s; to replace it, delete it first",
		name, strings.Join(differences, ", ")).With("differences", differences)
}

func decodeDoc[T any](d bus.Doc) (T, error) {
	var v T
	if err := json.Unmarshal(d.Value, &v); err != nil {
		return v, fault.New(fault.Corrupt, "corrupt_record", "document %q: %w", d.Key, err)
	}
	return v, nil
}

// lookup finds a query by name.
func (m *Manager) lookup(name string) (entry, error) {
	doc, found := m.docs.Doc(bus.MetaShard, entryPrefix+name)
	if !found {
		return entry{}, errUnknownQuery(name)
	}
	return decodeDoc[entry](doc)
}

// change makes one change of the catalogue. prepare sees the catalogue as it is and
// adds to the transaction; done ends the change without one.
func (m *Manager) change(ctx context.Context, prepare func(t *bus.Txn, lastID uint64) (done bool, err error)) error {
	const tries = 16
	for n := 1; ; n++ {
		if err := m.topics.Barrier(ctx); err != nil {
			return fmt.Errorf("wait for the log to catch up: %w", err)
		}
		sequence, _ := m.docs.Doc(bus.MetaShard, sequenceKey)
		var last uint64
		if sequence.Version != 0 {
			var err error
			if last, err = strconv.ParseUint(string(sequence.Value), 10, 64); err != nil {
				return fault.New(fault.Corrupt, "corrupt_record", "document %q: %w", sequenceKey, err)
			}
		}
		t := bus.Txn{Shard: bus.MetaShard, Fence: &bus.Fence{Key: sequenceKey, Version: sequence.Version}}
		if done, err := prepare(&t, last); err != nil || done {
			return err
		}
		_, err := m.docs.Transact(ctx, t)
		if fault.KindOf(err) != fault.Conflict || n == tries {
			return err
		}
	}
}

// putSequence adds what every change writes.
func putSequence(t *bus.Txn, last uint64) {
	t.Puts = append(t.Puts, bus.Doc{Key: sequenceKey, Value: strconv.AppendUint(nil, last, 10)})
}

// Create adds a query to the catalogue, from where it is started. existing tells
// that the same spec was there already, but for white space and the order of members
// that does not matter. body is copied.
//
// Errors are faults: those of Problems, Conflict "query_exists" where the name has
// another spec, with the pointers to the "differences", and those of the log.
func (m *Manager) Create(ctx context.Context, body []byte) (name string, warnings Warnings, existing bool, err error) {
	spec, plan, warnings, problems := m.names(nil).Compile(ctx, body)
	if len(problems) > 0 {
		return "", nil, false, problems.Fault()
	}
	var text bytes.Buffer
	if err := json.Compact(&text, body); err != nil {
		return "", nil, false, fault.New(fault.Invalid, codeInvalid, "the spec is not JSON: %w", err)
	}
	err = m.change(ctx, func(t *bus.Txn, last uint64) (bool, error) {
		there, err := m.lookup(spec.Name)
		if err == nil {
			existing = true
			if differences := specDifferences(there.Spec, text.Bytes()); differences != nil {
				existing, err = false, errAnotherSpec(spec.Name, differences)
			}
			return true, err
		}
		if fault.KindOf(err) != fault.NotFound {
			return true, err
		}
		pins, err := plan.Pins(ctx)
		if err != nil {
			return true, err
		}
		id := strconv.FormatUint(last+1, 10)
		err = putEntry(t, entry{
			Name: spec.Name, ID: id, Spec: text.Bytes(),
			CreatedMs: m.clock.Now().UnixMilli(), Shard: m.docs.DataShard(id), Formats: pins,
		})
		if err != nil {
			return true, err
		}
		putSequence(t, last+1)
		return false, nil
	})
	if err != nil {
		return "", nil, false, fmt.Errorf("create query %q: %w", spec.Name, err)
	}
	return spec.Name, warnings, existing, nil
}

// Delete takes a query out of the catalogue. Its job is stopped and its logs are
// deleted after that, also if this process ends in between.
func (m *Manager) Delete(ctx context.Context, name string) error {
	err := m.change(ctx, func(t *bus.Txn, last uint64) (bool, error) {
		e, err := m.lookup(name)
		if err != nil {
			return true, err
		}
		if err := m.putLeavings(t, e); err != nil {
			return true, err
		}
		t.Deletes = []string{entryPrefix + name}
		putSequence(t, last)
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("delete query %q: %w", name, err)
	}
	return nil
}

// clean deletes what a deleted query has left behind, if it is this node that ran it: so
// its job has been stopped, and makes nothing anew of what is deleted. It may be repeated
// from any point.
func (m *Manager) clean(ctx context.Context, doc bus.Doc) error {
	left, err := decodeDoc[leavings](doc)
	if err != nil {
		return err
	}
	m.views.forget(left.ID)
	if !m.leads(left.Shard) {
		return nil
	}
	for _, name := range internalTopics(left.ID) {
		err := m.topics.DeleteTopic(ctx, name)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return fmt.Errorf("delete the log %q: %w", name, err)
		}
	}
	txns := []bus.Txn{{Shard: left.Shard, Deletes: append(sinkKeys(left.ID), checkpointKey(left.ID), verdictKey(left.ID))}}
	if left.KVShard != 0 {
		txns = append(txns, bus.Txn{Shard: left.KVShard, Deletes: sinkKeys(left.ID)})
	}
	for _, t := range append(txns, bus.Txn{Shard: bus.MetaShard, Deletes: []string{doc.Key}}) {
		if _, err := m.docs.Transact(ctx, t); err != nil {
			return fmt.Errorf("clean up after query %s: %w", left.ID, err)
		}
	}
	return nil
}
