package jsoncodec

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"leat/codecs/internal/jsontext"
)

// SyntaxError says where and why text is not acceptable JSON.
type SyntaxError struct {
	Offset int // in bytes, from 0
	Line   int // from 1; lines end with a line feed
	Column int // in characters, from 1
	Reason string
}

// Error gives line, column, offset and reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at line %d, column %d (offset %d): %s", e.Line, e.Column, e.Offset, e.Reason)
}

func syntaxError(b []byte, offset int, reason string) *SyntaxError {
	before := b[:offset]
	lineStart := bytes.LastIndexByte(before, '\n') + 1
	return &SyntaxError{
		Offset: offset,
		Line:   bytes.Count(before, []byte{'\n'}) + 1,
		Column: utf8.RuneCount(before[lineStart:]) + 1,
		Reason: reason,
	}
}

// Valid checks that b is one JSON value, of any kind, under the rules of the package,
// with white space around it allowed. The error is a *SyntaxError.
func Valid(b []byte) error {
	var fault jsontext.Fault
	end := jsontext.Skip(b, jsontext.SkipSpace(b, 0), 0, &fault)
	if end >= 0 {
		if end = jsontext.SkipSpace(b, end); end == len(b) {
			return nil
		}
		fault.Unexpected(b, end, "the end")
	}
	return syntaxError(b, fault.Offset, fault.Reason)
}

// Whole checks that record is one JSON object under the rules of the package: what a
// query does with a record that it passes on as it is. The error is a *SyntaxError. It
// accepts exactly the records that a Decoder accepts.
func Whole(record []byte) error {
	start := jsontext.SkipSpace(record, 0)
	if start == len(record) || record[start] != '{' {
		return syntaxError(record, start, notObject)
	}
	return Valid(record)
}

// Compact appends src, which is valid JSON, without the white space outside its
// strings, so that the result has no line feed and fits in a line of NDJSON. Number
// and string texts, member order and repeated members stay as they are.
func Compact(dst, src []byte) []byte { return jsontext.Compact(dst, src) }
