package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"leat/internal/fault"
)

// The exit codes. They are part of the contract.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnavailable = 5
)

// failure is an error with the exit code it ends the command with and the body
// that is printed in the forms for machines.
type failure struct {
	exit int
	code string
	text string
	body json.RawMessage // as the server sent it, nil where the error is our own
}

func (f *failure) Error() string { return f.text }

// usage is an error of the command line itself.
func usage(format string, args ...any) error {
	return &failure{exit: exitUsage, code: "usage", text: fmt.Sprintf(format, args...)}
}

// unreachable is the error of a server that does not answer.
func unreachable(server string, err error) error {
	return &failure{exit: exitUnavailable, code: "unreachable", text: fmt.Sprintf(
		"cannot reach %s: %v; is it running? Start one with \"leat serve\", or name another with --server", server, err)}
}

// refusal reads the one error body of the server.
func refusal(status int, body []byte) error {
	var content struct {
		Error    string `json:"error"`
		Number   int    `json:"error_code"` // instead, of the schema registry
		Message  string `json:"message"`
		Problems []struct {
			Pointer string `json:"pointer"`
			Message string `json:"message"`
			Line    int    `json:"line"`
			Column  int    `json:"column"`
		} `json:"problems"`
	}
	readable := json.Unmarshal(body, &content) == nil
	if content.Error == "" && content.Number != 0 {
		content.Error = strconv.Itoa(content.Number)
	}
	if !readable || content.Error == "" {
		return &failure{exit: exitOfStatus(status), code: "unexpected_answer", text: fmt.Sprintf(
			"the server answered %d %s and no explanation; is it a Leat server?", status, http.StatusText(status))}
	}
	text := fmt.Sprintf("%s (%s)", content.Message, content.Error)
	if len(content.Problems) > 0 {
		lines := make([]string, 0, len(content.Problems))
		for _, p := range content.Problems {
			lines = append(lines, fmt.Sprintf("%d:%d %s: %s", p.Line, p.Column, orText(p.Pointer, "(the spec)"), p.Message))
		}
		text = fmt.Sprintf("the query spec has %s (%s)\n  %s",
			plural(len(lines), "problem"), content.Error, strings.Join(lines, "\n  "))
	}
	return &failure{exit: exitOfStatus(status), code: content.Error, text: text, body: body}
}

func exitOfStatus(status int) int {
	switch status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusServiceUnavailable, http.StatusRequestTimeout, http.StatusTemporaryRedirect,
		http.StatusBadGateway, http.StatusGatewayTimeout:
		return exitUnavailable
	default:
		return exitFailure
	}
}

// classify gives an error of this process the exit code of its kind.
func classify(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		if err == error(f) {
			return f
		}
		return &failure{exit: f.exit, code: f.code, text: err.Error(), body: f.body}
	}
	out := &failure{exit: exitFailure, code: "failure", text: err.Error()}
	if e := fault.As(err); e != nil {
		out.code, out.text = e.Code, fmt.Sprintf("%v (%s)", err, e.Code)
		switch e.Kind {
		case fault.NotFound:
			out.exit = exitNotFound
		case fault.Conflict, fault.Precondition:
			out.exit = exitConflict
		case fault.Unavailable, fault.Timeout:
			out.exit = exitUnavailable
		}
	}
	return out
}

// report prints an error in the form asked for and returns the exit code.
func (s *session) report(err error) int {
	f := classify(err)
	if checkFormat(s.format) != nil || s.format == formatTable {
		fmt.Fprintf(s.err, "leat: %s\n", f.text)
		return f.exit
	}
	body := f.body
	if body == nil {
		text, err := json.Marshal(struct {
			OK      bool   `json:"ok"`
			Error   string `json:"error"`
			Message string `json:"message"`
		}{false, f.code, f.text})
		if err != nil {
			fmt.Fprintf(s.err, "leat: %s\n", f.text)
			return f.exit
		}
		body = text
	}
	if err := writeDocument(s.err, s.format, body); err != nil {
		fmt.Fprintf(s.err, "leat: %s\n", f.text)
	}
	return f.exit
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// plural is "1 row", "2 rows".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%s %ss", thousands(int64(n)), noun)
}

// thousands writes a number with its thousands apart: 32,735.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}
