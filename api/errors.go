package api

import (
	"context"
	"errors"
	"net/http"
	"sort"
	"strconv"

	"leat/codecs"
	"leat/internal/fault"
)

// Codes whose status is not that of their kind.
const (
	codeMethodNotAllowed = "method_not_allowed"
	codeRequestTimeout   = "request_timeout"

	// codeUnsupportedFormat has the kind of a media type that is not understood,
	// and is about our disk.
	codeUnsupportedFormat = "unsupported_format"
)

// statusOf maps a fault to the status of its answer. It is the only place where
// kinds become statuses.
func statusOf(f *fault.Error) int {
	switch f.Code {
	case codeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case codeRequestTimeout:
		return http.StatusRequestTimeout
	case codeUnsupportedFormat:
		return http.StatusInternalServerError
	}
	switch f.Kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unprocessable:
		return http.StatusUnprocessableEntity
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.OutOfRange:
		return http.StatusGone
	case fault.Precondition:
		return http.StatusPreconditionFailed
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotLeader:
		return http.StatusTemporaryRedirect
	case fault.Unavailable, fault.Timeout:
		return http.StatusServiceUnavailable
	case fault.Exhausted:
		return http.StatusTooManyRequests
	case fault.DiskFull:
		return http.StatusInsufficientStorage
	default: // Internal, Corrupt
		return http.StatusInternalServerError
	}
}

// classify finds the fault that decides the answer. An error without one is
// internal: its text stays in the log and out of the answer.
func classify(err error) *fault.Error {
	f := fault.As(err)
	switch {
	case f != nil && f.Kind != fault.Internal:
		return f
	case f == nil && errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Timeout, "unknown_outcome", "The time for the call is over and its outcome is unknown")
	case f == nil && errors.Is(err, context.Canceled):
		return shuttingDown()
	default:
		return fault.New(fault.Internal, "internal", "Internal error; the log of the server says more")
	}
}

// appendError appends the one error body: the fixed members first, the details of
// the fault after them, sorted by name.
func appendError(dst []byte, f *fault.Error) []byte {
	dst = append(dst, `{"ok":false,"error":`...)
	dst = codecs.AppendJSONString(dst, f.Code)
	dst = append(dst, `,"message":`...)
	dst = codecs.AppendJSONString(dst, f.Message)
	dst = append(dst, `,"docs":`...)
	dst = codecs.AppendJSONString(dst, docsOf(f.Code))
	if f.Kind == fault.Unavailable || f.Kind == fault.Timeout {
		dst = append(dst, `,"retryable":true`...)
	}
	names := make([]string, 0, len(f.Detail))
	for name := range f.Detail {
		switch name {
		case "ok", "error", "message", "docs":
		default:
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		value, err := marshal(f.Detail[name])
		if err != nil {
			continue
		}
		dst = append(dst, ',')
		dst = codecs.AppendJSONString(dst, name)
		dst = append(dst, ':')
		dst = append(dst, value...)
	}
	return append(dst, '}')
}

// docsOf is the address of the page about a code. A code without a page of its
// own leads to the list.
func docsOf(code string) string {
	for _, e := range errorTable() {
		if e.Code == code {
			return "/docs/errors/" + code
		}
	}
	return "/docs/errors"
}

func invalidParameter(name, format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, "invalid_parameter", format, args...)
	f.Message = "Parameter " + strconv.Quote(name) + " " + f.Message
	return f.With("parameter", name)
}

func unknownTopic(name string) *fault.Error {
	return fault.New(fault.NotFound, "unknown_topic", "There is no topic %q", name)
}

func shuttingDown() *fault.Error {
	return fault.New(fault.Unavailable, "shutting_down", "The server is shutting down")
}
