package queries

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"leat/internal/fault"
)

// The stable words for what is wrong with a spec.
const (
	codeInvalid        = "invalid_query"
	codeUnsupported    = "unsupported"
	codeUnboundedState = "unbounded_state"
	codeUnknownTopic   = "unknown_topic"
)

// Problem is one thing that is wrong with a spec, at one place of the text sent.
//
// Pointer is the JSON pointer (RFC 6901) of the value concerned: for a member that
// should not be there the member itself, for one that is missing the object it is
// missing from. Line and Column, both from 1 and Column in characters, are where
// that value begins, or, for a member that should not be there, where its name does.
type Problem struct {
	Pointer string     `json:"pointer"`
	Message string     `json:"message"`
	Line    int        `json:"line"`
	Column  int        `json:"column"`
	Code    string     `json:"-"`
	Kind    fault.Kind `json:"-"`

	offset int // of Line and Column, in bytes: the order of problems
}

// Problems are all that is wrong with a spec, up to 100 of Parse and of Bind each, in
// the order of the text. An empty list means that the spec is good.
type Problems []Problem

// Fault is the error that the list amounts to, nil for an empty list. The first
// problem decides kind, code, message and position; all are in the detail
// "problems".
func (p Problems) Fault() *fault.Error {
	if len(p) == 0 {
		return nil
	}
	first := p[0]
	return &fault.Error{
		Kind: first.Kind, Code: first.Code, Message: first.Message,
		Detail: map[string]any{
			"pointer": first.Pointer, "line": first.Line, "column": first.Column,
			"problems": []Problem(p),
		},
	}
}

// String lists the problems, one a line.
func (p Problems) String() string {
	var b strings.Builder
	for _, problem := range p {
		fmt.Fprintf(&b, "%d:%d %s: %s\n", problem.Line, problem.Column, problem.Pointer, problem.Message)
	}
	return b.String()
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Compare(a.offset, b.offset) })
}

// Warnings are sentences about a query that is accepted and may not do what was
// meant.
type Warnings []string

// reporter collects problems of one document.
type reporter struct {
	doc      *document
	problems Problems
	found    int // problems there are, of which the first maxProblems are kept
}

// maxProblems bounds what is said about a spec of one mistake repeated without end.
const maxProblems = 100

// add notes a problem with the value of n.
func (r *reporter) add(n *jsonNode, kind fault.Kind, code, format string, args ...any) {
	r.at(n, n.start, kind, code, fmt.Sprintf(format, args...))
}

// addName notes a problem with there being a member n at all.
func (r *reporter) addName(n *jsonNode, kind fault.Kind, code, format string, args ...any) {
	r.at(n, n.nameStart, kind, code, fmt.Sprintf(format, args...))
}

// invalid notes that the value of n can never be accepted.
func (r *reporter) invalid(n *jsonNode, format string, args ...any) {
	r.at(n, n.start, fault.Invalid, codeInvalid, fmt.Sprintf(format, args...))
}

// unsupported notes that member n is part of the contract and not of this version.
func (r *reporter) unsupported(n *jsonNode, what string) {
	r.at(n, n.nameStart, fault.Unprocessable, codeUnsupported, what+" is not available in this version")
}

func (r *reporter) at(n *jsonNode, offset int, kind fault.Kind, code, message string) {
	if r.found++; r.found > maxProblems {
		return
	}
	line, column := r.doc.position(offset)
	r.problems = append(r.problems, Problem{
		Pointer: n.pointer(), Message: message, Line: line, Column: column,
		Code: code, Kind: kind, offset: offset,
	})
}

// nearOf is didYouMean or, where no name is near, all of them.
func nearOf(name string, known []string) string {
	if near := didYouMean(name, known); near != "" {
		return near
	}
	return "; there are " + strings.Join(known, ", ")
}

// didYouMean is ", did you mean "x"?" for the nearest of the known names, or nothing
// where none is near.
func didYouMean(name string, known []string) string {
	best, distance := "", 1+min(3, max(1, len(name)/3))
	for _, k := range known {
		if d := editDistance(strings.ToLower(name), k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that lead from a to b (optimal string alignment). Names beyond 64 bytes
// are near to nothing.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var rows [3][65]int
	before, above, current := rows[0][:], rows[1][:], rows[2][:]
	for j := range len(b) + 1 {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(above[j]+1, current[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			current[j] = d
		}
		before, above, current = above, current, before
	}
	return above[len(b)]
}
