package queries

import (
	"slices"
	"strings"

	"leat/codecs"
	"leat/internal/fault"
)

// The members of a spec, first those this version runs.
var (
	specMembers = []string{"name", "source", "join", "lookup", "filter", "group_by", "window", "aggregate", "having", "select", "emit", "allowed_lateness", "sink", "late", "on_error",
		"ttl", "max_state_bytes"}
	sourceMembers = []string{"topic", "start", "until", "event_time", "max_out_of_orderness", "idle_timeout", "format", "schema"}
)

// Parse reads a spec. Where there are problems, all of them are returned that can be
// known without looking anything up, and the spec is not to be run; it is nil only
// where the text is not a JSON object.
func Parse(text []byte) (*Spec, Problems) {
	doc, report := readDocument(text)
	if doc.root == nil {
		return nil, report.problems
	}
	if doc.root.kind != codecs.Object {
		report.invalid(doc.root, "a query spec is a JSON object, not %s", article(doc.root.kind))
		return nil, report.problems
	}
	p := &specParser{reporter: report, spec: &Spec{doc: doc}}
	p.parse(doc.root)
	p.problems.sort()
	p.spec.flawed = p.found > 0
	return p.spec, p.problems
}

type specParser struct {
	*reporter
	spec       *Spec
	conditions int
}

func (p *specParser) parse(root *jsonNode) {
	p.members(root, specMembers, nil)
	s := p.spec
	s.at = specNodes{
		root: root, groupBy: root.member("group_by"), aggregate: root.member("aggregate"),
		window: root.member("window"), having: root.member("having"), lateness: root.member("allowed_lateness"), selects: root.member("select"),
	}
	p.name(root)
	switch source, join := root.member("source"), root.member("join"); {
	case source != nil && join != nil:
		p.invalid(source, `"source" and "join" exclude each other: the sides of a join are "left" and "right" in it`)
	case join != nil:
		s.at.join = join
		p.join(join)
	case source != nil:
		s.Sources = append(s.Sources, p.source(source))
	default:
		p.invalid(root, `member "source" is missing`)
	}
	if n := root.member("lookup"); n != nil {
		p.lookup(n)
	}
	if n := root.member("filter"); n != nil {
		s.Filter = p.filter(n)
	}
	p.groupBy(s.at.groupBy)
	p.aggregates(s.at.aggregate)
	p.window(s.at.window)
	p.stateBytes(root.member("max_state_bytes"))
	p.running(root.member("ttl"))
	p.having(s.at.having)
	p.selects(s.at.selects)
	p.emit(root.member("emit"))
	p.sinks(root)
	if n := s.at.lateness; n != nil {
		s.AllowedLateness = p.duration(n)
	}
	p.shape()
}

// members checks the names in object n: refuses those of later versions as
// unsupported and unknown ones with the nearest name.
func (p *specParser) members(n *jsonNode, known, later []string) {
	for _, m := range n.children {
		switch {
		case slices.Contains(known, m.name):
		case slices.Contains(later, m.name):
			p.unsupported(m, `"`+m.name+`"`)
		case p.found < maxProblems:
			p.addName(m, fault.Invalid, codeInvalid, "unknown member %q%s", m.name, didYouMean(m.name, append(known[:len(known):len(known)], later...)))
		}
	}
}

func (p *specParser) name(root *jsonNode) {
	n := root.member("name")
	if n == nil {
		p.invalid(root, `member "name" is missing`)
		return
	}
	text, ok := p.text(n)
	if !ok {
		return
	}
	if !validName(text) {
		p.invalid(n, "a query's name is 1 to 128 of the characters A-Z a-z 0-9 . _ - and starts with a letter or digit")
		return
	}
	p.spec.Name = text
}

func validName(name string) bool { return validNameOf(name, 128) }

// validNameOf is the rule for names of queries and topics.
func validNameOf(name string, most int) bool {
	for i := range len(name) {
		c := name[i]
		alphanumeric := c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= most
}

// shape checks what must and must not stand together.
func (p *specParser) shape() {
	at := &p.spec.at
	const bound = `state would grow without bound: add "window", for example {"tumbling":"1h"}, or "ttl" or "max_state_bytes"`
	const compute = `without "aggregate": say what to compute, for example "aggregate": {"rows": "count()"}`
	bounded := at.window != nil || at.ttl != nil || at.stateBytes != nil
	switch {
	case !bounded && at.aggregate != nil:
		p.add(at.aggregate, fault.Unprocessable, codeUnboundedState, `"aggregate" without "window": %s`, bound)
	case !bounded && at.groupBy != nil:
		p.add(at.groupBy, fault.Unprocessable, codeUnboundedState, `"group_by" without "window": %s`, bound)
	case at.window != nil && at.aggregate == nil:
		p.invalid(at.window, `"window" %s`, compute)
	case at.groupBy != nil && at.aggregate == nil:
		p.invalid(at.groupBy, `"group_by" %s`, compute)
	case at.ttl != nil && at.aggregate == nil:
		p.invalid(at.ttl, `"ttl" has no meaning without "aggregate": the query keeps no groups`)
	case at.ttl != nil && at.window != nil:
		p.invalid(at.ttl, `"ttl" has no meaning with "window": groups go with their window`)
	}
	if s := p.spec; at.stateBytes != nil && s.Window == nil && at.window == nil && at.join == nil && p.found == 0 && s.MaxStateBytes > 0 {
		p.invalid(at.stateBytes, `"max_state_bytes" has no meaning without "window", "aggregate" or "join": the query keeps no state`)
	}
	if at.having != nil && at.window == nil && at.aggregate == nil {
		p.invalid(at.having, `"having" has no meaning without "aggregate": it keeps grouped rows`)
	}
	if at.lateness != nil && at.window == nil && at.join == nil && at.ttl == nil {
		p.invalid(at.lateness, `"allowed_lateness" has no meaning without "window", "ttl" or "join"`)
	}
}

// running has a query that aggregates without windows keep running groups, where it says
// what bounds them. n is "ttl".
func (p *specParser) running(n *jsonNode) {
	at := &p.spec.at
	at.ttl = n
	w := &WindowSpec{Running: true}
	if n != nil {
		before := p.found
		if w.TTLMs = p.duration(n); p.found == before && w.TTLMs == 0 {
			p.invalid(n, `"ttl" is at least 1ms`)
		}
	}
	if at.window == nil && at.aggregate != nil && (n != nil || at.stateBytes != nil) {
		p.spec.Window = w
	}
}

// stateBytes reads how much memory the state may take.
func (p *specParser) stateBytes(n *jsonNode) {
	p.spec.at.stateBytes = n
	if n == nil {
		return
	}
	if n.kind != codecs.Int || n.value.Int() < 1 {
		p.invalid(n, `"max_state_bytes" is an integer of bytes, from 1`)
		return
	}
	p.spec.MaxStateBytes = n.value.Int()
}

func (p *specParser) emit(n *jsonNode) {
	s := p.spec
	switch {
	case n == nil, n.kind == codecs.String && n.value.Str == "final":
		return
	case n.kind == codecs.String && n.value.Str == "changes":
		s.Changes = true
	case n.kind == codecs.Object && n.member("changes") != nil:
		s.Changes = true
		p.changes(n.member("changes"))
		p.members(n, []string{"changes"}, nil)
	default:
		p.invalid(n, `"emit" is "final", "changes" or {"changes": {"every": "1s"}}`)
		return
	}
	at := &s.at
	switch {
	case at.window == nil && s.Window == nil && (at.groupBy != nil || at.aggregate != nil):
		// a problem of its own
	case at.window == nil && s.Window == nil:
		p.invalid(n, `emit "changes" has no meaning without "window" or "aggregate": each row comes out at once`)
	}
}

// changes reads how far apart the rows of changes are.
func (p *specParser) changes(n *jsonNode) {
	if n.kind != codecs.Object {
		p.invalid(n, `"changes" is an object like {"every": "1s"}, not %s`, article(n.kind))
		return
	}
	p.members(n, []string{"every"}, nil)
	if every := n.member("every"); every != nil {
		if p.spec.ChangesEveryMs = p.duration(every); p.spec.ChangesEveryMs > msPerDay {
			p.invalid(every, `"every" is at most 1d`)
		}
	}
}

// text is the string at n; a value of another kind is a problem.
func (p *specParser) text(n *jsonNode) (string, bool) {
	if n.kind != codecs.String {
		p.invalid(n, "%s has to be a string, not %s", describe(n), article(n.kind))
		return "", false
	}
	return n.value.Str, true
}

func (p *specParser) duration(n *jsonNode) int64 {
	ms, err := durationOf(n)
	if err != nil {
		p.invalid(n, "%s: %v", describe(n), err)
	}
	return ms
}

func (p *specParser) field(n *jsonNode) (FieldSpec, bool) {
	text, ok := p.text(n)
	if !ok {
		return FieldSpec{}, false
	}
	path, err := codecs.ParsePath(text)
	if err != nil {
		p.invalid(n, "%v", err)
		return FieldSpec{}, false
	}
	return FieldSpec{Text: text, Path: path, node: n}, true
}

// describe names the place of n for a message.
func describe(n *jsonNode) string {
	if n.parent != nil && n.parent.kind == codecs.Array {
		return "each element of " + describe(n.parent)
	}
	return `"` + n.name + `"`
}

// article is the kind with its article, as JSON calls it.
func article(k codecs.Kind) string {
	switch k {
	case codecs.Null:
		return "null"
	case codecs.Bool:
		return "a boolean"
	case codecs.Int, codecs.Float:
		return "a number"
	case codecs.Object:
		return "an object"
	case codecs.Array:
		return "an array"
	}
	return "a " + k.String()
}

// quotedList is "a", "b" or "c".
func quotedList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = `"` + n + `"`
	}
	last := len(quoted) - 1
	if last < 1 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
