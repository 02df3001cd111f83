// Package fault is the one vocabulary of errors that crosses package borders.
//
// A fault has a Kind (what sort of thing went wrong; api maps it to a status in
// one switch) and a Code (the stable word a client sees in "error"). Packages
// make faults where they know what went wrong and wrap with %w above that, so a
// message reads from the outside in and the innermost fault decides the answer.
package fault

import (
	"errors"
	"fmt"
)

// Kind sorts faults by what the caller can do about them.
type Kind uint8

// The kinds. Internal is the zero value on purpose: an error nobody classified
// is ours.
const (
	Internal      Kind = iota // a defect of ours
	Invalid                   // the request can never succeed as sent
	Unprocessable             // well-formed, and refused for what it means
	NotFound                  // the named thing does not exist
	Conflict                  // the current state does not allow it
	OutOfRange                // the position asked for is gone
	Precondition              // a condition the caller stated does not hold
	TooLarge                  // over a stated limit of size
	Unsupported               // a media type or encoding that is not understood
	Unauthorized              // no or wrong credentials
	Forbidden                 // right credentials, not this scope
	NotLeader                 // another node has to be asked
	Unavailable               // try again: no quorum, not ready, shutting down
	Timeout                   // the outcome is unknown
	Exhausted                 // a quota is used up
	DiskFull                  // no room for more data
	Corrupt                   // bytes on our disk are damaged
)

// Error is a classified error. It is immutable once it has been returned.
type Error struct {
	Kind    Kind
	Code    string         // stable, snake_case; frozen by the golden table of api
	Message string         // a sentence for a person, without the code
	Detail  map[string]any // extra members of the error body, nil for none
	Err     error          // the cause, nil for none
}

// New makes a fault. The message is formatted as fmt.Errorf does it: a %w verb
// keeps the cause.
func New(kind Kind, code, format string, args ...any) *Error {
	formatted := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Code: code, Message: formatted.Error(), Err: errors.Unwrap(formatted)}
}

// With returns a copy of the fault with one more member in its body.
func (e *Error) With(name string, value any) *Error {
	detail := make(map[string]any, len(e.Detail)+1)
	for k, v := range e.Detail {
		detail[k] = v
	}
	detail[name] = value
	clone := *e
	clone.Detail = detail
	return &clone
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// As finds the innermost classified error of a chain, or nil where there is
// none.
func As(err error) *Error {
	var found *Error
	for {
		var next *Error
		if !errors.As(err, &next) {
			return found
		}
		found, err = next, next.Err
	}
}

// KindOf returns the kind of the innermost fault of a chain, Internal where
// there is none.
func KindOf(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	return Internal
}
