package operators

import (
	"errors"
	"fmt"
	"math"

	"leat/codecs"
	"leat/dataflow"
)

// LookupConfig says what a Lookup does. It belongs to the Lookup made of it.
type LookupConfig struct {
	Key dataflow.Expr // of the rows; what it evaluates to is made text by AppendLookupKey
	// Inner drops the rows whose key is null or has no value. Else their cells are
	// Missing.
	Inner bool
	// Columns are where the cells go: columns of the rows, or behind them.
	Columns []int
	// Tables are what keys are looked up in: one for the batches from behind an
	// exchange, then one for each source partition.
	Tables []LookupTable
}

// LookupTable gives what keys stand for. It is used by one goroutine at a time.
type LookupTable interface {
	// Begin starts a batch. Within it a key stands for the same all the time.
	Begin()
	// Find returns the cells that a key stands for, as many as there are Columns, which
	// stay as they are; nil where it stands for nothing. The error says why there are
	// none though there is a value.
	Find(key []byte) ([]codecs.Value, error)
}

// Lookup puts beside each row what its key stands for in a table. A row without is
// dropped or kept, as the config says; of source batches it counts as filtered then. A
// row whose key cannot be computed, or stands for a value that cannot be read, is a dead
// letter.
//
// What a key stands for may change from batch to batch: of all operators only this one
// gives other rows for the same rows. It has no say in event times.
type Lookup struct {
	LookupConfig
	keys [][]byte // by source + 1: memory for the text of a key
}

// NewLookup makes a Lookup, which keeps no state.
func NewLookup(c LookupConfig) *Lookup {
	return &Lookup{LookupConfig: c, keys: make([][]byte, len(c.Tables))}
}

// Process implements dataflow.Operator.
func (l *Lookup) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	table := l.Tables[b.Source+1]
	for _, c := range l.Columns {
		b.Columns.Widen(c + 1)
	}
	table.Begin()
	kept, dropped := b.Selected[:0], 0
	var dead []rejected
	for _, row := range b.Selected {
		cells, err := l.find(table, b, int(row))
		switch {
		case err != nil:
			dead = append(dead, rejected{int(row), err.Error()})
		case cells == nil && l.Inner:
			dropped++
		default:
			for i, c := range cells {
				b.Columns.Cols[l.Columns[i]].Set(int(row), c)
			}
			kept = append(kept, row)
		}
	}
	b.Selected = kept
	if err := out.Emit(b); err != nil {
		return err
	}
	if b.Source >= 0 {
		out.Filtered(dropped)
	}
	report(dead, b, out)
	return nil
}

func (l *Lookup) find(table LookupTable, b *dataflow.Batch, row int) (cells []codecs.Value, err error) {
	v, err := l.Key.Eval(b, row)
	if err != nil || v.IsNull() {
		return nil, err
	}
	key := &l.keys[b.Source+1]
	if *key, err = AppendLookupKey((*key)[:0], v); err != nil {
		return nil, err
	}
	return table.Find(*key)
}

// AppendLookupKey appends the text of a value that is looked up: a string as it is,
// a number or a bool as JSON writes it: equal values have one key. Bytes, objects and
// arrays have none.
func AppendLookupKey(dst []byte, v codecs.Value) ([]byte, error) {
	switch v.Kind {
	case codecs.String:
		return append(dst, v.Str...), nil
	case codecs.Float:
		switch f := v.Float(); {
		case f == 0:
			return append(dst, '0'), nil // -0 too
		case math.IsNaN(f) || math.IsInf(f, 0):
			return dst, fmt.Errorf("the key to look up is %v", f)
		}
	case codecs.Bytes, codecs.Object, codecs.Array:
		return dst, errors.New("the key to look up is " + v.Kind.String() + ": it has to be a string, a number or a bool")
	}
	return codecs.AppendJSON(dst, v), nil
}
