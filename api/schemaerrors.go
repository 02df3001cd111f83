package api

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"leat/codecs"
	"leat/codecs/registry"
	"leat/internal/fault"
)

// schemaPath tells whether a path is one of the schema registry, whose errors have the
// form {"error_code":40401,"message":"…"}.
func schemaPath[T string | []byte](path T) bool {
	for _, first := range [...]string{"/subjects", "/schemas", "/compatibility", "/config", "/mode"} {
		if rest, found := strings.CutPrefix(string(path[:min(len(path), len("/compatibility/"))]), first); found && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// schemaError is a row of the table of the registry's own error codes.
type schemaError struct {
	Code    string // of the fault
	Number  int    // error_code; its first three digits are the status
	Meaning string
}

// schemaErrors lists the faults that have a number of their own. What is not in it has
// its status for a number. Numbers are those of the Confluent Schema Registry: a row may
// be added, never changed.
func schemaErrors() []schemaError {
	return []schemaError{
		{registry.CodeSubjectNotFound, 40401, "There is no such subject."},
		{registry.CodeVersionNotFound, 40402, "The subject has no such version."},
		{registry.CodeSchemaNotFound, 40403, "There is no such id, or the subject does not have the schema."},
		{registry.CodeSubjectDeleted, 40404, "The subject is deleted; `permanent=true` deletes it for good."},
		{registry.CodeSubjectNotDeleted, 40405, "Only what has been deleted can be deleted for good."},
		{registry.CodeVersionDeleted, 40406, "The version is deleted; `permanent=true` deletes it for good."},
		{registry.CodeVersionNotDeleted, 40407, "Only what has been deleted can be deleted for good."},
		{registry.CodeNoSubjectLevel, 40408, "The subject has no compatibility level of its own."},
		{registry.CodeNoSubjectMode, 40409, "The subject has no mode of its own."},
		{registry.CodeIncompatible, 409, "The schema is not compatible with a version before it; the message says why."},
		{registry.CodeInvalidSchema, 42201, "The schema, or a reference of it, is not valid; the message says where."},
		{registry.CodeInvalidVersion, 42202, "A version is a number from 1 to 2147483647, `latest` or `-1`."},
		{registry.CodeInvalidLevel, 42203, "There is no such compatibility level."},
		{registry.CodeInvalidMode, 42204, "There is no such mode."},
		{registry.CodeNotPermitted, 42205, "The mode of the subject does not allow it."},
		{registry.CodeReferenceExists, 42206, "Another schema refers to the version."},
		{registry.CodeInvalidSubject, 42208, "A subject has 1 to 512 bytes of UTF-8 without control characters."},
		{registry.CodeSchemaTooLarge, 42209, "The schema is larger than the registry takes."},
	}
}

// schemaErrorNumber is the error_code of a fault.
func schemaErrorNumber(f *fault.Error) int {
	for _, e := range schemaErrors() {
		if e.Code == f.Code {
			return e.Number
		}
	}
	return statusOf(f)
}

// writeFaultOf answers a call with a fault, in the form that its path has.
func writeFaultOf(c *fasthttp.RequestCtx, f *fault.Error) {
	if !schemaPath(c.Path()) {
		writeFault(&c.Response, f)
		return
	}
	response := &c.Response
	out := append(response.SwapBody(nil)[:0], `{"error_code":`...)
	out = strconv.AppendInt(out, int64(schemaErrorNumber(f)), 10)
	out = append(out, `,"message":`...)
	out = append(codecs.AppendJSONString(out, f.Message), '}')
	response.SwapBody(out)
	setHead(response, statusOf(f), typeSchemas)
}

// schemaErrorsMarkdown is the table in docs/schemas.md.
func schemaErrorsMarkdown() []byte {
	var b bytes.Buffer
	b.WriteString("| error_code | meaning |\n|---|---|\n")
	for _, e := range schemaErrors() {
		fmt.Fprintf(&b, "| %d | %s |\n", e.Number, e.Meaning)
	}
	return b.Bytes()
}
