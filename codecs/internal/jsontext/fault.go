// Package jsontext scans JSON text as RFC 8259 defines it, and strictly: valid UTF-8
// throughout, no lone surrogate escapes, no number beyond the range of float64, and
// no nesting deeper than MaxDepth. It builds no tree and keeps no state; functions take
// an index into the text and return the index after what they read, or -1.
package jsontext

import "fmt"

// MaxDepth is how many arrays and objects may lie inside each other.
const MaxDepth = 512

// Fault says why a scan stopped: Reason, in a few words of English, at byte Offset
// of the scanned text. It is written only by a scan that returns -1.
type Fault struct {
	Reason string
	Offset int
}

// set records the fault and returns -1.
func (f *Fault) set(offset int, reason string) int {
	f.Offset, f.Reason = offset, reason
	return -1
}

// Unexpected records that b[at], or the end of b, does not fit where it stands, and
// returns -1.
func (f *Fault) Unexpected(b []byte, at int, wanted string) int {
	switch {
	case at >= len(b):
		return f.set(len(b), "the text ends where "+wanted+" is expected")
	case b[at] > ' ' && b[at] < 0x7F:
		return f.set(at, fmt.Sprintf("%q where %s is expected", b[at], wanted))
	}
	return f.set(at, fmt.Sprintf("byte 0x%02X where %s is expected", b[at], wanted))
}
