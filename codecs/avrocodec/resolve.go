package avrocodec

import (
	"errors"
	"fmt"
	"strings"

	"leat/codecs"
)

// maxResolutions bounds the pairs of types that one resolution looks at.
const maxResolutions = 1_000_000

// resolver makes plans by the rules of the Avro specification 1.12, "Schema
// Resolution". It looks at what paths lead to and nothing else: the rest is passed by as
// it is written, and need not be what the reader's schema can take.
type resolver struct {
	made    map[resolution]*plan // a recursive schema comes back to those of records
	all     []*plan
	steps   int
	whole   trie     // what asks for all of a value
	strict  bool     // what does not fit fails; else it is read as it is written
	misfits []string // what that is
}

// resolution is a question: how w is read as r, as far as t asks for it.
type resolution struct {
	w, r   *node
	t      *trie
	strict bool
}

// resolve is the measured plan to read of records of the schema w, as r, what t asks for.
func resolve(w, r *node, t *trie) (*plan, error) {
	res := newResolver(true)
	p, err := res.plan(w, r, t)
	if err != nil {
		return nil, err
	}
	measure(p, res.all)
	return p, nil
}

// resolveWhatFits is resolve, where what does not fit is read as it is written, or is
// missing where it is not written. The misfits are told, each in a line.
func resolveWhatFits(w, r *node, t *trie) (p *plan, misfits []string, err error) {
	res := newResolver(false)
	p, err = res.plan(w, r, t)
	if err != nil {
		res.misfits = []string{err.Error()}
		if p, err = resolve(w, w, nil); err != nil {
			return nil, nil, err
		}
		return p, res.misfits, nil
	}
	measure(p, res.all)
	return p, res.misfits, nil
}

func newResolver(strict bool) *resolver {
	return &resolver{made: map[resolution]*plan{}, strict: strict}
}

func (res *resolver) add(p plan) *plan {
	res.all = append(res.all, &p)
	return &p
}

// plan answers how w is read as r, as far as t asks for it; nil asks for nothing.
func (res *resolver) plan(w, r *node, t *trie) (*plan, error) {
	if t == nil {
		r = w
	}
	if w == r || t.col >= 0 {
		t = &res.whole
	}
	question := resolution{w, r, t, res.strict && w != r}
	if p := res.made[question]; p != nil {
		if p.wire == wireRefuse {
			return nil, errors.New(p.reason)
		}
		return p, nil
	}
	if res.steps++; res.steps > maxResolutions {
		return nil, errors.New("the two Avro schemas are too large to be resolved")
	}
	p, err := res.answer(question)
	if err == nil && t != &res.whole && !w.nests() {
		p, err = res.plan(w, w, nil) // what is asked for is inside of it, where nothing is
	}
	if err == nil {
		res.made[question] = p
	}
	return p, err
}

func (res *resolver) answer(q resolution) (*plan, error) {
	w, r := q.w, q.r
	switch {
	case w.kind == union:
		return res.fromUnion(w, r, q.t)
	case r.kind == union:
		return res.intoUnion(w, r, q.t)
	case w.kind == record && r.kind == record:
		return res.record(q)
	}
	p, ok := scalar(w, r)
	switch {
	case ok:
		return res.add(p), nil
	case w.kind == fixed && r.kind == fixed:
		return res.fixed(w, r)
	case w.kind == enum && r.kind == enum:
		return res.enum(w, r)
	case w.kind == bytesType && r.kind == bytesType:
		p := plan{wire: wireBytes}
		if err := setScale(&p, w, r); err != nil {
			return nil, err
		}
		return res.add(p), nil
	case w.kind == array && r.kind == array:
		return res.collection(plan{wire: wireArray}, q)
	case w.kind == mapType && r.kind == mapType:
		return res.collection(plan{wire: wireMap}, q)
	}
	return nil, fmt.Errorf("%s cannot be read as %s", w.typeName(), r.typeName())
}

// scalar is the plan of two primitive types, if w is r or can be promoted to it.
func scalar(w, r *node) (plan, bool) {
	switch w.kind {
	case null:
		return plan{wire: wireNull}, r.kind == null
	case boolean:
		return plan{wire: wireBool}, r.kind == boolean
	case intType, long:
		p := plan{wire: wireInt}
		if w.kind == long {
			p.wire = wireLong
		}
		switch r.kind {
		case float:
			p.as = toSingle
		case double:
			p.as = toFloat
		case intType, long:
			p.as = timeUnit(w, r)
			return p, w.kind <= r.kind
		}
		return p, r.kind == float || r.kind == double
	case float:
		return plan{wire: wireFloat}, r.kind == float || r.kind == double
	case double:
		return plan{wire: wireDouble}, r.kind == double
	case stringType:
		if r.kind == bytesType {
			return plan{wire: wireString, as: toBytes}, true
		}
		return plan{wire: wireString}, r.kind == stringType
	case bytesType:
		return plan{wire: wireBytes, as: toText}, r.kind == stringType
	}
	return plan{}, false
}

// timeUnit converts a time to milliseconds where the reader's schema calls it a time.
// The writer knows its unit best.
func timeUnit(w, r *node) conversion {
	unit := r.logical
	if unit == none {
		return plain
	}
	if w.logical != none {
		unit = w.logical
	}
	switch unit {
	case date:
		return days
	case timeMicros, timestampMicros:
		return micros
	case timestampNanos:
		return nanos
	}
	return plain
}

// setScale makes p a decimal if the reader's schema has one.
func setScale(p *plan, w, r *node) error {
	if r.logical != decimal {
		return nil
	}
	p.as, p.scale = toDecimal, r.scale
	if w.logical == decimal && w.scale != r.scale {
		return fmt.Errorf("a decimal of scale %d cannot be read as one of scale %d", w.scale, r.scale)
	}
	return nil
}

// collection resolves the items of an array or a map: all in one way, or those that are
// asked for each in its own.
func (res *resolver) collection(p plan, q resolution) (*plan, error) {
	var rest *trie
	if q.t == &res.whole {
		rest = q.t
	}
	var err error
	if p.items, err = res.plan(q.w.items, q.r.items, rest); err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	for s, inside := range q.t.steps(p.wire == wireArray) {
		part, err := res.plan(q.w.items, q.r.items, inside)
		if err != nil {
			return nil, fmt.Errorf("items: %w", err)
		}
		if p.parts == nil {
			p.parts = map[codecs.Step]*plan{}
		}
		p.parts[s] = part
	}
	return res.add(p), nil
}

// sameName reports whether r, by its name or an alias, stands for w. Namespaces do not
// count, as the specification has it.
func sameName(w, r *node) bool {
	bare := unqualified(w.name)
	return bare == unqualified(r.name) || r.also[bare]
}

func unqualified(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func otherName(w, r *node) error {
	return fmt.Errorf("the %s %q cannot be read as %q, which does not have that name as an alias", w.kind, w.name, r.name)
}

func (res *resolver) fixed(w, r *node) (*plan, error) {
	switch {
	case !sameName(w, r):
		return nil, otherName(w, r)
	case w.size != r.size:
		return nil, fmt.Errorf("the fixed %q of %d bytes cannot be read as one of %d", w.name, w.size, r.size)
	}
	p := plan{wire: wireFixed, size: w.size, name: w.name}
	switch r.logical {
	case uuid:
		p.as = toUUID
	case duration:
		return res.duration(), nil
	default:
		if err := setScale(&p, w, r); err != nil {
			return nil, err
		}
	}
	return res.add(p), nil
}

// duration is a duration as the record that it is.
func (res *resolver) duration() *plan {
	p := plan{wire: wireRecord, name: "duration"}
	for _, name := range [...]string{"months", "days", "milliseconds"} {
		p.fields = append(p.fields, newPlanField(name, res.add(plan{wire: wireUint32})))
	}
	return res.add(p)
}

func newPlanField(name string, p *plan) planField {
	return planField{name: name, key: append(codecs.AppendJSONString(nil, name), ':'), p: p}
}

func (res *resolver) enum(w, r *node) (*plan, error) {
	if !sameName(w, r) {
		return nil, otherName(w, r)
	}
	p := plan{wire: wireEnum, name: w.name}
	known := make(map[string]bool, len(r.symbols))
	for _, s := range r.symbols {
		known[s] = true
	}
	for _, s := range w.symbols {
		switch {
		case known[s]:
			p.symbols = append(p.symbols, symbol{s, true})
		default:
			p.symbols = append(p.symbols, symbol{r.symbolElse, r.hasElse})
		}
	}
	return res.add(p), nil
}

// record resolves the fields of two records. A pair of records that cannot be resolved
// becomes a plan that refuses, because others may hold it already.
func (res *resolver) record(q resolution) (*plan, error) {
	if !sameName(q.w, q.r) {
		return nil, otherName(q.w, q.r)
	}
	p := res.add(plan{wire: wireRecord, name: q.w.name})
	res.made[q] = p
	fields, err := res.fields(q)
	if err != nil {
		*p = plan{wire: wireRefuse, reason: err.Error(), name: q.w.name}
		return nil, err
	}
	p.fields = fields
	return p, nil
}

func (res *resolver) fields(q resolution) ([]planField, error) {
	w, r := q.w, q.r
	res.steps += len(w.fields) + len(r.fields)
	taken := make(map[string]bool, len(r.fields)) // the reader's fields that the writer has
	readers := readersFields(w, r)
	fields := make([]planField, 0, len(w.fields))
	for i := range w.fields {
		f := &w.fields[i]
		into := readers[f.name]
		if into != nil {
			taken[into.name] = true
		}
		if into == nil || res.member(q.t, into) == nil {
			p, err := res.plan(f.node, f.node, nil)
			if err != nil {
				return nil, err
			}
			fields = append(fields, planField{name: f.name, p: p, unread: true})
			continue
		}
		p, err := res.field(q, f, into)
		if err != nil {
			return nil, err
		}
		fields = append(fields, newPlanField(into.name, p))
	}
	for i := range r.fields {
		f := &r.fields[i]
		if taken[f.name] || res.member(q.t, f) == nil {
			continue
		}
		if !f.hasDefault {
			if err := res.misfit(fmt.Errorf("%s as written has no field %q, and the field has no default", w.name, f.name)); err != nil {
				return nil, err
			}
			continue
		}
		p, err := res.plan(f.node, f.node, nil)
		if err != nil {
			return nil, err
		}
		pf := newPlanField(f.name, p)
		pf.absent, pf.value = true, f.binary
		fields = append(fields, pf)
	}
	return fields, nil
}

// member is what t asks for of a field.
func (res *resolver) member(t *trie, f *field) *trie {
	if t == &res.whole {
		return t
	}
	return t.members[f.name]
}

// field resolves a field that both have.
func (res *resolver) field(q resolution, f, into *field) (*plan, error) {
	before := len(res.misfits)
	p, err := res.plan(f.node, into.node, res.member(q.t, into))
	if err == nil {
		return p, nil
	}
	res.misfits = res.misfits[:before]
	if err := res.misfit(fmt.Errorf("field %q of %s: %w", f.name, q.w.name, err)); err != nil {
		return nil, err
	}
	return res.plan(f.node, f.node, nil)
}

// misfit notes what does not fit, or fails with it.
func (res *resolver) misfit(err error) error {
	if !res.strict {
		res.misfits, err = append(res.misfits, err.Error()), nil
	}
	return err
}

// readersFields finds for the writer's field names the reader's fields: by name, else
// by alias. Two of the writer's fields never lead to one of the reader's.
func readersFields(w, r *node) map[string]*field {
	names := make(map[string]*field, len(r.fields))
	for i := range r.fields {
		names[r.fields[i].name] = &r.fields[i]
	}
	written := make(map[string]bool, len(w.fields))
	for i := range w.fields {
		written[w.fields[i].name] = true
	}
	for i := range r.fields {
		f := &r.fields[i]
		if written[f.name] {
			continue
		}
		for _, alias := range f.aliases {
			if written[alias] && names[alias] == nil {
				names[alias] = f
				break
			}
		}
	}
	return names
}

// fromUnion resolves every branch on its own: one that cannot be read refuses only the
// records that have it.
func (res *resolver) fromUnion(w, r *node, t *trie) (*plan, error) {
	p := plan{wire: wireUnion}
	var refused error
	readable := len(w.branches) == 0
	for _, b := range w.branches {
		into := r
		if w == r {
			into = b
		}
		before := len(res.misfits)
		bp, err := res.plan(b, into, t)
		if err != nil {
			refused = err
			res.misfits = res.misfits[:before]
			bp = res.add(plan{wire: wireRefuse, reason: err.Error(), name: b.typeName()})
		} else {
			readable = true
		}
		p.branches = append(p.branches, bp)
	}
	if !readable {
		return nil, refused
	}
	return res.add(p), nil
}

// intoUnion reads w as the branch that is the same type, else as the first that it can
// be promoted to: all of it, if there is such a branch, else what is asked for, else what
// fits of that. So what else is asked for does not change the branch of a type that fits.
func (res *resolver) intoUnion(w, r *node, t *trie) (*plan, error) {
	b := res.branch(w, r, &res.whole, true)
	if b == nil {
		b = res.branch(w, r, t, true)
	}
	if b == nil && !res.strict {
		b = res.branch(w, r, t, false)
	}
	if b == nil {
		return nil, fmt.Errorf("%s cannot be read as any branch of %s", w.typeName(), unionName(r))
	}
	return res.plan(w, b, t)
}

// branch is the first branch of r, of those most like w, that w can be read as; nil if
// there is none.
func (res *resolver) branch(w, r *node, t *trie, strict bool) *node {
	defer func(before bool) { res.strict = before }(res.strict)
	res.strict = strict
	for _, likeness := range [...]func(b *node) bool{
		func(b *node) bool { return b.kind == w.kind && b.name == w.name },
		func(b *node) bool { return b.kind == w.kind && b.name != w.name },
		func(b *node) bool { return b.kind != w.kind },
	} {
		for _, b := range r.branches {
			if !likeness(b) {
				continue
			}
			before := len(res.misfits)
			if _, err := res.plan(w, b, t); err == nil {
				return b
			}
			res.misfits = res.misfits[:before]
		}
	}
	return nil
}

func unionName(n *node) string {
	branches := make([]string, len(n.branches))
	for i, b := range n.branches {
		branches[i] = b.typeName()
	}
	return "[" + strings.Join(branches, ", ") + "]"
}
