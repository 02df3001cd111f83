// Package operators holds the operators that queries are built of, one file each.
// They know event time only, keep to the rules of dataflow.Operator on who may call
// them when, and give the same output whatever the sizes of the batches they are fed.
package operators

import (
	"fmt"
	"unsafe"

	"leat/dataflow"
)

// The limits on what one row may put into state or output. A row beyond them is a
// dead letter.
const (
	// MaxKeyBytes bounds the canonical key of a group, all fields together.
	MaxKeyBytes = 64 << 10
	// MaxTextBytes bounds a string, object or array that min or max looks at.
	MaxTextBytes = 64 << 10
	// MaxRowBytes bounds an output row as JSON.
	MaxRowBytes = 1 << 20
	// MaxEventTime bounds the distance of an event time from the Unix epoch, in
	// milliseconds: 100 million days, as in ECMAScript.
	MaxEventTime = 8_640_000_000_000_000
)

// resize returns s with length n; the contents are not kept.
func resize[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return make([]T, n, max(n, 2*cap(s)))
}

// view is b as a string that is valid while b is not written to.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// rejected is a row that an operator will report as dead once the rows around it
// have been taken.
type rejected struct {
	row    int
	reason string
}

func report(rows []rejected, b *dataflow.Batch, out dataflow.Emitter) {
	for _, r := range rows {
		out.Dead(b, r.row, r.reason)
	}
}

func failed(what string, err error) string { return fmt.Sprintf("%s: %v", what, err) }
