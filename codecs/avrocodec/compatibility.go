package avrocodec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"leat/codecs"
)

// The kinds of incompatibilities.
const (
	NameMismatch       = "NAME_MISMATCH"
	FixedSizeMismatch  = "FIXED_SIZE_MISMATCH"
	MissingEnumSymbols = "MISSING_ENUM_SYMBOLS"
	MissingDefault     = "READER_FIELD_MISSING_DEFAULT_VALUE"
	TypeMismatch       = "TYPE_MISMATCH"
	MissingBranch      = "MISSING_UNION_BRANCH"
	TooLarge           = "TOO_LARGE"
)

// Incompatibilities lists why s cannot read everything that is written with the writer's
// schema; none where it can. Rules: Avro specification 1.12, "Schema Resolution", where
// a writer's union has to be readable whole.
func (s *Schema) Incompatibilities(writer *Schema) []codecs.Incompatibility {
	c := &comparison{bad: map[[2]*node]bool{}}
	for again := true; again; {
		known := len(c.bad)
		c.seen = map[[2]*node]bool{}
		c.readable(writer.root, s.root)
		again = len(c.bad) > known
	}
	if c.steps > maxResolutions {
		return []codecs.Incompatibility{{Kind: TooLarge, Path: "/", Detail: "", Where: "The type", Fault: "is too large to be compared"}}
	}
	c.told = map[[2]*node]bool{}
	c.explain(writer.root, s.root, "")
	return c.list
}

// comparison finds the pairs of writer's and reader's types that cannot be read. A pair
// that is met inside of itself counts as readable until it is known to be bad, so the
// search is repeated until nothing new is found.
type comparison struct {
	steps int
	bad   map[[2]*node]bool
	seen  map[[2]*node]bool // in this search
	told  map[[2]*node]bool
	list  []codecs.Incompatibility
}

func (c *comparison) readable(w, r *node) bool {
	pair := [2]*node{w, r}
	if c.bad[pair] || c.seen[pair] {
		return !c.bad[pair]
	}
	if c.steps += cost(w, r); c.steps > maxResolutions {
		return true
	}
	c.seen[pair] = true
	good := len(mismatches(w, r)) == 0
	for _, inside := range pairs(w, r) {
		one := inside.any // any of them will do
		for _, p := range inside.pairs {
			if ok := c.readable(p.w, p.r); inside.any {
				if one = ok; ok {
					break
				}
			} else if !ok {
				good = false
			}
		}
		if inside.any && !one {
			good = false
		}
	}
	if !good {
		c.bad[pair] = true
	}
	return good
}

// cost is about what it takes to look at a pair, without what is inside.
func cost(w, r *node) int {
	if w.kind != r.kind || w.kind == record && !sameName(w, r) {
		return 1
	}
	return 1 + len(w.fields) + len(r.fields) + len(w.symbols) + len(r.symbols)
}

// inner are pairs of types inside a pair, all of which have to be readable, or any.
type inner struct {
	any   bool
	pairs []innerPair
	w     *node  // with any: what none of the reader's branches takes
	path  string // behind that of the pair
}

type innerPair struct {
	w, r *node
	path string
}

// pairs lists what has to be readable inside a pair.
func pairs(w, r *node) []inner {
	all := func(list ...innerPair) []inner { return []inner{{pairs: list}} }
	switch {
	case w.kind == union:
		var list []inner
		for i, b := range w.branches {
			if r.kind == union {
				list = append(list, intoBranch(b, r, "/"+strconv.Itoa(i)))
			} else {
				list = append(list, inner{pairs: []innerPair{{b, r, ""}}})
			}
		}
		return list
	case r.kind == union:
		return []inner{intoBranch(w, r, "")}
	case w.kind != r.kind:
		return nil
	case w.kind == array:
		return all(innerPair{w.items, r.items, "/items"})
	case w.kind == mapType:
		return all(innerPair{w.items, r.items, "/values"})
	case w.kind == record && sameName(w, r):
		readers := readersFields(w, r)
		var list []innerPair
		for i := range w.fields {
			if into := readers[w.fields[i].name]; into != nil {
				at := slices.IndexFunc(r.fields, func(f field) bool { return f.name == into.name })
				list = append(list, innerPair{w.fields[i].node, into.node, fieldPath(at) + "/type"})
			}
		}
		return all(list...)
	}
	return nil
}

func intoBranch(w, r *node, path string) inner {
	one := inner{any: true, w: w, path: path}
	for _, b := range r.branches {
		one.pairs = append(one.pairs, innerPair{w, b, ""})
	}
	return one
}

func fieldPath(i int) string { return "/fields/" + strconv.Itoa(i) }

// mismatches lists what is wrong with a pair itself.
func mismatches(w, r *node) []codecs.Incompatibility {
	if w.kind == union || r.kind == union {
		return nil
	}
	if w.kind != r.kind {
		if _, ok := scalar(w, r); ok {
			return nil
		}
		return []codecs.Incompatibility{{Kind: TypeMismatch, Detail: "reader type: " + r.typeName() + " not compatible with writer type: " + w.typeName(),
			Where: "The type", Fault: "cannot read what is of type " + w.typeName() + " in the writer's schema"}}
	}
	var list []codecs.Incompatibility
	if r.name != "" && !sameName(w, r) {
		list = append(list, codecs.Incompatibility{Kind: NameMismatch, Path: "/name", Detail: "expected: " + w.name,
			Where: fmt.Sprintf("The name '%s'", r.name), Fault: fmt.Sprintf("is not that in the writer's schema, '%s', which is no alias either", w.name)})
	}
	switch {
	case w.kind == fixed && w.size != r.size:
		list = append(list, codecs.Incompatibility{Kind: FixedSizeMismatch, Path: "/size", Detail: fmt.Sprintf("expected: %d, found: %d", w.size, r.size),
			Where: "The size", Fault: fmt.Sprintf("is %d, and %d in the writer's schema", r.size, w.size)})
	case w.logical == decimal && r.logical == decimal && w.scale != r.scale:
		list = append(list, codecs.Incompatibility{Kind: TypeMismatch, Path: "/scale", Detail: fmt.Sprintf("expected: %d, found: %d", w.scale, r.scale),
			Where: "The scale of the decimal", Fault: fmt.Sprintf("is %d, and %d in the writer's schema", r.scale, w.scale)})
	case w.kind == enum && !r.hasElse:
		list = append(list, missingSymbols(w, r)...)
	case w.kind == record && sameName(w, r):
		list = append(list, missingFields(w, r)...)
	}
	return list
}

func missingSymbols(w, r *node) []codecs.Incompatibility {
	known := make(map[string]bool, len(r.symbols))
	for _, s := range r.symbols {
		known[s] = true
	}
	var missing []string
	for _, s := range w.symbols {
		if !known[s] {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	detail := "[" + strings.Join(missing, ", ") + "]"
	return []codecs.Incompatibility{{Kind: MissingEnumSymbols, Path: "/symbols", Detail: detail,
		Where: "The enum", Fault: "has no default and lacks symbols of the writer's schema: " + detail}}
}

func missingFields(w, r *node) []codecs.Incompatibility {
	written := map[string]bool{} // the reader's fields that the writer has
	for _, into := range readersFieldsWritten(w, r) {
		written[into] = true
	}
	var list []codecs.Incompatibility
	for i := range r.fields {
		if f := &r.fields[i]; !written[f.name] && !f.hasDefault {
			list = append(list, codecs.Incompatibility{Kind: MissingDefault, Path: fieldPath(i), Detail: f.name,
				Where: fmt.Sprintf("The field '%s'", f.name), Fault: "has no default value and is missing in the writer's schema"})
		}
	}
	return list
}

// readersFieldsWritten names the reader's fields that the writer's fields lead to.
func readersFieldsWritten(w, r *node) []string {
	readers := readersFields(w, r)
	var names []string
	for i := range w.fields {
		if into := readers[w.fields[i].name]; into != nil {
			names = append(names, into.name)
		}
	}
	return names
}

// explain lists what is wrong with a pair that is bad, each pair once.
func (c *comparison) explain(w, r *node, path string) {
	pair := [2]*node{w, r}
	if !c.bad[pair] || c.told[pair] {
		return
	}
	c.told[pair] = true
	for _, m := range mismatches(w, r) {
		if m.Path = path + m.Path; m.Path == "" {
			m.Path = "/"
		}
		c.list = append(c.list, m)
	}
	for _, inside := range pairs(w, r) {
		if !inside.any {
			for _, p := range inside.pairs {
				c.explain(p.w, p.r, path+p.path)
			}
			continue
		}
		if slices.ContainsFunc(inside.pairs, func(p innerPair) bool { return !c.bad[[2]*node{p.w, p.r}] }) {
			continue
		}
		at := path + inside.path
		if at == "" {
			at = "/"
		}
		c.list = append(c.list, codecs.Incompatibility{Kind: MissingBranch, Path: at,
			Detail: "reader union lacking writer type: " + inside.w.typeName(),
			Where:  "The union", Fault: "has no branch that can read the type " + inside.w.typeName() + " of the writer's schema"})
	}
}
