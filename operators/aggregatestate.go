package operators

import (
	"encoding/binary"
	"errors"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// The state of an Aggregate, as entries of the state log, big endian:
//
//	pane    key    +-----+-------------+--------+-----------+
//	               | 'p' | start       | source | group key |
//	               | u8  | i64 ^ 1<<63 | u32    |           |
//	               +-----+-------------+--------+-----------+
//	        value  accumulators, see appendWords
//	window  key    +-----+-------------+
//	               | 'w' | start       |
//	               | u8  | i64 ^ 1<<63 |
//	               +-----+-------------+
//	        value  group key: the groups up to it have left
//
// A deleted window takes all its panes with it: panes are not deleted one by one.

const (
	paneEntry     = 'p'
	windowEntry   = 'w'
	stateKeyBytes = 2 + 1 + 8 + 4 // with the prefix of dataflow
)

func appendWindowKey(dst []byte, kind byte, start dataflow.Time) []byte {
	return binary.BigEndian.AppendUint64(append(dst, kind), uint64(start)^1<<63)
}

// Snapshot implements dataflow.Stateful.
func (a *Aggregate) Snapshot(w *dataflow.StateWriter) error {
	if w.Full {
		starts := make([]dataflow.Time, 0, len(a.windows))
		for start := range a.windows {
			starts = append(starts, start)
		}
		slices.Sort(starts)
		for _, start := range starts {
			a.writeWindow(w, a.windows[start])
		}
	} else {
		for _, start := range a.dropped {
			w.Delete(0, appendWindowKey(nil, windowEntry, start))
		}
		for _, changed := range a.changed {
			a.writeChanges(w, changed)
		}
	}
	for _, changed := range a.changed {
		changed.changed, changed.progressed = false, false
		for _, p := range changed.bySource {
			if p != nil {
				p.forgetChanges()
			}
		}
	}
	clear(a.changed)
	a.changed, a.dropped, a.written = a.changed[:0], a.dropped[:0], 0
	return nil
}

// writeWindow writes all panes of a window that have not left.
func (a *Aggregate) writeWindow(w *dataflow.StateWriter, from *window) {
	from.persisted = true
	for source, p := range from.bySource {
		if p == nil {
			continue
		}
		for slot := range uint32(p.len()) {
			a.writePane(w, from, source, slot)
		}
	}
}

// writeChanges writes what has changed in a window, nothing for a dropped one.
func (a *Aggregate) writeChanges(w *dataflow.StateWriter, from *window) {
	if from.bySource == nil {
		return
	}
	from.persisted = true
	if from.progressed {
		w.Put(0, appendWindowKey(nil, windowEntry, from.start), from.emitted)
	}
	for source, p := range from.bySource {
		if p == nil {
			continue
		}
		for _, slot := range p.changed {
			a.writePane(w, from, source, slot)
		}
	}
}

func (a *Aggregate) writePane(w *dataflow.StateWriter, of *window, source int, slot uint32) {
	p := of.bySource[source]
	key := p.key(slot)
	if !of.holds(key) {
		return
	}
	a.key = appendWindowKey(a.key[:0], paneEntry, of.start)
	a.key = binary.BigEndian.AppendUint32(a.key, uint32(source))
	a.key = append(a.key, key...)
	a.value = appendWords(a.value[:0], a.list, p, slot)
	w.Put(p.group(slot), a.key, a.value)
}

var errState = errors.New("damaged entry")

// Restore implements dataflow.Stateful.
func (a *Aggregate) Restore(e dataflow.StateEntry) error {
	if len(e.Key) < 9 {
		return errState
	}
	kind, start := e.Key[0], dataflow.Time(binary.BigEndian.Uint64(e.Key[1:])^1<<63)
	rest := e.Key[9:]
	switch {
	case kind == windowEntry && len(rest) == 0 && e.Deleted:
		if w := a.windows[start]; w != nil {
			w.persisted = false // the deletion is already in the log
			a.drop(w)
		}
		return nil
	case kind == windowEntry && len(rest) == 0:
		if w := a.windows[start]; w != nil {
			w.emitted = slices.Clone(e.Value)
		}
		return nil
	case kind == paneEntry && len(rest) >= 4 && !e.Deleted:
		return a.restorePane(start, int(binary.BigEndian.Uint32(rest)), rest[4:], e.Value)
	}
	return errState
}

func (a *Aggregate) restorePane(start dataflow.Time, source int, key, value []byte) error {
	if source >= len(a.last) || !a.isGroupKey(key) {
		return errState
	}
	p, err := a.panesOf(source, start)
	if err != nil {
		return err
	}
	a.windows[start].persisted = true
	slot := p.find(codecs.KeyHash(key), key)
	if err := readWords(value, a.list, p, slot); err != nil {
		return err
	}
	p.compact(a.list)
	return nil
}

// isGroupKey tells whether key is made up of as many values as there are keys.
func (a *Aggregate) isGroupKey(key []byte) bool {
	for range a.keys {
		var err error
		if _, key, err = codecs.DecodeKey(key); err != nil {
			return false
		}
	}
	return len(key) == 0
}

// StateBytes implements dataflow.Stateful.
func (a *Aggregate) StateBytes() int64 {
	var total int64
	for _, w := range a.windows {
		for _, p := range w.bySource {
			if p != nil {
				total += p.bytes()
			}
		}
	}
	return total
}

// ChangedBytes implements dataflow.Stateful.
func (a *Aggregate) ChangedBytes() int64 { return a.written }
