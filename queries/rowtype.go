package queries

import (
	"slices"
	"strings"

	"leat/codecs"
)

// rowType is what is known of the output rows. Without Fields their members are not known.
func (b *binder) rowType() *codecs.Type {
	row := &codecs.Type{Kinds: codecs.Kinds(codecs.Object)}
	add := func(name string, t *codecs.Type) {
		row.Fields = append(row.Fields, codecs.TypeField{Name: name, Type: t})
	}
	bound := b.bound
	switch {
	case len(bound.selects) > 0:
		for _, s := range bound.selects {
			add(s.name, b.typeOf(s.term, b.spec.Window != nil))
		}
	case b.spec.Window != nil:
		for i, name := range outputMembers(b.spec) {
			add(name, b.groupedType(i))
		}
	default:
		return b.fieldType(codecs.Path{})
	}
	return row
}

// withdrawable is the type of rows that may be withdrawn by others.
func withdrawable(row *codecs.Type) *codecs.Type {
	more := *row
	more.Fields = nil
	for _, f := range row.Fields {
		more.Fields = append(more.Fields, codecs.TypeField{Name: f.Name, Type: f.Type.With(codecs.Kinds(codecs.Null))})
	}
	more.Fields = append(more.Fields, codecs.TypeField{Name: "withdrawn", Type: codecs.ScalarType(codecs.Kinds(codecs.Bool, codecs.Missing))})
	return &more
}

// typeOf is what an expression over grouped rows, or over others, can evaluate to.
func (b *binder) typeOf(t *term, grouped bool) *codecs.Type {
	switch {
	case t.op == opField && grouped:
		return b.groupedType(t.col)
	case t.op == opField:
		return b.fieldType(t.path)
	case t.op == opIf:
		return b.typeOf(t.args[1], grouped).Or(b.typeOf(t.args[2], grouped))
	case t.op == opCoalesce:
		first := b.typeOf(t.args[0], grouped)
		if !first.Kinds.Nullable() {
			return first
		}
		return first.Without(codecs.Kinds(codecs.Null, codecs.Missing)).Or(b.typeOf(t.args[1], grouped))
	case t.op == opCall && t.call.name == "split" && t.call.form == formCall:
		return listOf(scalarType(kindText)).With(scalarType(t.kinds & kindNull).Kinds)
	}
	return scalarType(t.kinds)
}

func listOf(items *codecs.Type) *codecs.Type {
	return &codecs.Type{Kinds: codecs.Kinds(codecs.Array), Items: items}
}

// scalarType is the type of the values of some kinds; of objects, arrays and bytes nothing
// more is known.
func scalarType(kinds kindSet) *codecs.Type {
	if kinds&kindOther != 0 {
		return codecs.UnknownType()
	}
	var set codecs.KindSet
	for _, k := range []codecs.Kind{codecs.Null, codecs.Bool, codecs.Int, codecs.Float, codecs.String} {
		if kinds&setOf(k) != 0 {
			set |= codecs.Kinds(k)
		}
	}
	return codecs.ScalarType(set)
}

// fieldType is what a field of the rows that are read, or joined, can be. What is not
// known of them is not known here.
func (b *binder) fieldType(path codecs.Path) *codecs.Type {
	var format codecs.Format
	var null codecs.KindSet
	from := b.rows
	if l, ok := from.(*lookupScope); ok {
		if steps := path.Steps(); len(steps) == 0 || steps[0].Member == l.as {
			return codecs.UnknownType() // what the namespace has
		}
		from = l.rows
	}
	switch rows := from.(type) {
	case *sourceScope:
		format = rows.format
	case *joinedScope:
		steps := path.Steps()
		side := slices.Index(joinSides(), steps[0].Member)
		if side < 0 {
			return scalarType(kindInt) // a bound of the window
		}
		format, path = rows.sides[side].format, codecs.NewPath(steps[1:]...)
		null = codecs.Kinds(codecs.Null) // the side may be lacking
	}
	if format == nil {
		return codecs.UnknownType()
	}
	t, err := format.TypeAt(path)
	if err != nil {
		return codecs.UnknownType() // a problem already
	}
	return t.With(null)
}

// groupedType is what a column of grouped rows can be.
func (b *binder) groupedType(col int) *codecs.Type {
	if col < len(b.bound.keys) {
		return b.fieldType(b.spec.GroupBy[col].Path)
	}
	if col -= len(b.bound.keys); col >= len(b.bound.aggregates) {
		return scalarType(kindInt) // a bound of the window
	}
	a := &b.bound.aggregates[col]
	switch a.fn {
	case "min", "max", "first", "last", "min_by", "max_by":
		if a.arg != nil {
			return b.typeOf(a.arg, false).With(codecs.Kinds(codecs.Null))
		}
	case "collect":
		if a.arg != nil {
			return listOf(b.typeOf(a.arg, false).Without(codecs.Kinds(codecs.Null, codecs.Missing)))
		}
	case "top_k":
		if a.arg != nil {
			value := b.typeOf(a.arg, false).Without(codecs.Kinds(codecs.Null, codecs.Missing))
			return listOf(&codecs.Type{Kinds: codecs.Kinds(codecs.Object), Fields: []codecs.TypeField{
				{Name: "value", Type: value}, {Name: "count", Type: scalarType(kindInt)},
			}})
		}
	}
	return scalarType(a.kinds())
}

// memberNode is where the spec says of the member at a path what it is; nil where it does
// not.
func (b *binder) memberNode(path string) *jsonNode {
	is := func(name string) bool {
		rest, ok := strings.CutPrefix(path, codecs.NewPath(codecs.Step{Member: codecs.FieldName(name)}).String())
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	for i := range b.spec.Select {
		if is(b.spec.Select[i].Name) {
			return b.spec.Select[i].node
		}
	}
	if b.spec.Window == nil || b.spec.Select != nil {
		return nil
	}
	for _, f := range b.spec.GroupBy {
		if is(f.Text) {
			return f.node
		}
	}
	for i := range b.spec.Aggregate {
		if is(b.spec.Aggregate[i].Name) {
			return b.spec.Aggregate[i].node
		}
	}
	return nil
}
