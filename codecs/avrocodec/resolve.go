package avrocodec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"leat/codecs"
)

// maxResolutions bounds the pairs of types that one resolution looks at.
const maxResolutions = 1_000_000

// resolver makes plans by the rules of the Avro specification 1.12, "Schema
// Resolution".
type resolver struct {
	records map[[2]*node]*plan // those of records: a recursive schema comes back to them
	all     []*plan
	steps   int
}

// resolve is the measured plan to read records of the schema w as r.
func resolve(w, r *node) (*plan, error) {
	res := &resolver{records: map[[2]*node]*plan{}}
	p, err := res.plan(w, r)
	if err != nil {
		return nil, err
	}
	measure(p, res.all)
	return p, nil
}

func (res *resolver) add(p plan) *plan {
	res.all = append(res.all, &p)
	return &p
}

func (res *resolver) plan(w, r *node) (*plan, error) {
	if res.steps++; res.steps > maxResolutions {
		return nil, errors.New("the two Avro schemas are too large to be resolved")
	}
	switch {
	case w.kind == union:
		return res.fromUnion(w, r)
	case r.kind == union:
		return res.intoUnion(w, r)
	case w.kind == record && r.kind == record:
		return res.record(w, r)
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
		return res.collection(plan{wire: wireArray}, w, r)
	case w.kind == mapType && r.kind == mapType:
		return res.collection(plan{wire: wireMap}, w, r)
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

func (res *resolver) collection(p plan, w, r *node) (*plan, error) {
	items, err := res.plan(w.items, r.items)
	if err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	p.items = items
	return res.add(p), nil
}

// sameName reports whether r, by its name or an alias, stands for w. Namespaces do not
// count, as the specification has it.
func sameName(w, r *node) bool {
	bare := unqualified(w.name)
	return bare == unqualified(r.name) || slices.ContainsFunc(r.aliases, func(alias string) bool {
		return alias == w.name || unqualified(alias) == bare
	})
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
func (res *resolver) record(w, r *node) (*plan, error) {
	pair := [2]*node{w, r}
	if p := res.records[pair]; p != nil {
		if p.wire == wireRefuse {
			return nil, errors.New(p.reason)
		}
		return p, nil
	}
	p := res.add(plan{wire: wireRecord, name: w.name})
	res.records[pair] = p
	fields, err := res.fields(w, r)
	if err != nil {
		*p = plan{wire: wireRefuse, reason: err.Error(), name: w.name}
		return nil, err
	}
	p.fields = fields
	return p, nil
}

func (res *resolver) fields(w, r *node) ([]planField, error) {
	if !sameName(w, r) {
		return nil, otherName(w, r)
	}
	taken := make(map[string]bool, len(r.fields)) // the reader's fields that the writer has
	readers := readersFields(w, r)
	fields := make([]planField, 0, len(w.fields))
	for i := range w.fields {
		f := &w.fields[i]
		into := readers[f.name]
		if into == nil {
			p, err := res.plan(f.node, f.node)
			if err != nil {
				return nil, err
			}
			fields = append(fields, planField{name: f.name, p: p, unread: true})
			continue
		}
		p, err := res.plan(f.node, into.node)
		if err != nil {
			return nil, fmt.Errorf("field %q of %s: %w", f.name, w.name, err)
		}
		taken[into.name] = true
		fields = append(fields, newPlanField(into.name, p))
	}
	for i := range r.fields {
		f := &r.fields[i]
		if taken[f.name] {
			continue
		}
		if !f.hasDefault {
			return nil, fmt.Errorf("%s as written has no field %q, and the field has no default", w.name, f.name)
		}
		p, err := res.plan(f.node, f.node)
		if err != nil {
			return nil, err
		}
		pf := newPlanField(f.name, p)
		pf.absent, pf.value = true, f.binary
		fields = append(fields, pf)
	}
	return fields, nil
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
func (res *resolver) fromUnion(w, r *node) (*plan, error) {
	p := plan{wire: wireUnion}
	var refused error
	readable := len(w.branches) == 0
	for _, b := range w.branches {
		into := r
		if w == r {
			into = b
		}
		bp, err := res.plan(b, into)
		if err != nil {
			refused = err
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
// be promoted to.
func (res *resolver) intoUnion(w, r *node) (*plan, error) {
	for _, likeness := range [...]func(b *node) bool{
		func(b *node) bool { return b.kind == w.kind && b.name == w.name },
		func(b *node) bool { return b.kind == w.kind && b.name != w.name },
		func(b *node) bool { return b.kind != w.kind },
	} {
		for _, b := range r.branches {
			if likeness(b) {
				if p, err := res.plan(w, b); err == nil {
					return p, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("%s cannot be read as any branch of %s", w.typeName(), unionName(r))
}

func unionName(n *node) string {
	branches := make([]string, len(n.branches))
	for i, b := range n.branches {
		branches[i] = b.typeName()
	}
	return "[" + strings.Join(branches, ", ") + "]"
}
