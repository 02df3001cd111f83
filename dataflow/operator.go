package dataflow

import "errors"

// ErrFull is what Emitter.Emit returns when the output of one epoch has no room
// for the batch. None of its rows has been taken; the operator passes the error
// on, or offers fewer rows after the epoch has been cut.
var ErrFull = errors.New("the output of the epoch is full")

// Operator transforms batches.
//
// Process may be called at the same time for batches of different sources, never for
// two of the same source (see Batch.Source; behind an exchange all batches are of one).
// So whatever Process writes to is kept per source. All other methods, of this and of
// the other interfaces of an operator, are called alone: no other call to the operator
// goes on meanwhile, and what the calls before it have done is seen.
//
// Process may shrink b.Selected, fill columns of its own, and emit b itself or
// another batch; nothing of b is kept after it returns. Each row it takes out of
// a source batch is accounted for by exactly one of Filtered, Late, Dead or Used
// of the emitter: this is the conservation law of rows.
type Operator interface {
	Process(input int, b *Batch, out Emitter) error
}

// Emitter takes what an operator gives away. The batches passed stay valid until
// the call to Process or OnWatermark that made them has returned.
type Emitter interface {
	// Emit hands the selected rows to the operators downstream, all or none:
	// after ErrFull none of them counts.
	Emit(b *Batch) error
	// Filtered counts rows that a filter did not keep.
	Filtered(rows int)
	// Used counts source rows that took effect.
	Used(rows int)
	// LateWindows counts windows missed by source rows that took effect in others.
	LateWindows(windows int64)
	// Late sends a row of a source batch to the late log.
	Late(b *Batch, row int, start, end Time)
	// Dead sends a row to the dead-letter log, from a source batch or, where
	// b.Source is -1, from a batch of grouped rows.
	Dead(b *Batch, row int, reason string)
	// Full tells that the epoch should be cut before more is emitted.
	Full() bool
}

// WatermarkHandler is an Operator that acts when event time moves.
type WatermarkHandler interface {
	// OnWatermark emits what w has made final, in order, and returns done = false
	// as long as it holds more of it: the job may then cut an epoch, and calls
	// again with the same or a later watermark before it feeds another batch.
	// The state after each return covers exactly what has been emitted.
	OnWatermark(w Time, out Emitter) (done bool, err error)
}

// ChangeHandler is an Operator that gives out what may still change.
type ChangeHandler interface {
	// OnChanges emits the present rows of what has changed since it was called before,
	// and returns done = false as long as it holds more of them: the job may then cut an
	// epoch, and calls again before it feeds another batch or moves the watermark.
	OnChanges(out Emitter) (done bool, err error)
}

// Holder is an Operator whose rows may be behind the watermark that it has acted on.
type Holder interface {
	// Behind is the watermark that holds for its rows once it has acted on w. It does not
	// fall as w rises.
	Behind(w Time) Time
}

// Stateful is an Operator with state that outlives an epoch.
type Stateful interface {
	// Snapshot writes the entries changed since the last Snapshot, or all that
	// live if w.Full, each key at most once, and forgets what has changed.
	Snapshot(w *StateWriter) error
	// Restore applies one entry. Entries come in the order they were written.
	Restore(e StateEntry) error
	// StateBytes is the memory held, ChangedBytes about what the next Snapshot
	// that is not full will write.
	StateBytes() int64
	ChangedBytes() int64
}

// Sink takes what leaves a graph. It belongs to the job, and is called by one goroutine
// at a time.
type Sink interface {
	// Rows takes the output rows, b.Values of b.Selected, all or, with ErrFull,
	// none.
	Rows(b *Batch) error
	// The others are as in Emitter. Dead is told the name of the operator, too.
	Filtered(rows int)
	Used(rows int)
	LateWindows(windows int64)
	Late(b *Batch, row int, start, end Time)
	Dead(b *Batch, row int, operator, reason string)
	Full() bool
}

// capabilities are the optional interfaces of an operator. They are looked for
// here and nowhere else.
type capabilities struct {
	timers WatermarkHandler
	holder Holder
	state  Stateful
	change ChangeHandler
}

func capabilitiesOf(op Operator) capabilities {
	var c capabilities
	c.timers, _ = op.(WatermarkHandler)
	c.holder, _ = op.(Holder)
	c.state, _ = op.(Stateful)
	c.change, _ = op.(ChangeHandler)
	return c
}
