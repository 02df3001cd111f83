package avrocodec

import (
	"encoding/json"

	"leat/codecs"
)

// Shape is how the schema's values are written as plain JSON: as Avro's own JSON
// encoding, and union branches also without their name, bytes as text, times as numbers.
func (s *Schema) Shape() *codecs.Shape {
	return shapes{}.of(s.root)
}

type shapes map[*node]*codecs.Shape

func (all shapes) of(n *node) *codecs.Shape {
	if s := all[n]; s != nil {
		return s
	}
	s := &codecs.Shape{Kinds: n.jsonKinds()}
	all[n] = s
	switch n.kind {
	case record:
		s.Kind = codecs.ShapeRecord
		for i := range n.fields {
			f := &n.fields[i]
			field := codecs.ShapeField{Name: f.name, Shape: all.of(f.node)}
			if f.hasDefault {
				if text, err := json.Marshal(f.written); err == nil {
					field.Default = string(text)
				}
			}
			s.Fields = append(s.Fields, field)
		}
	case array:
		s.Kind, s.Items = codecs.ShapeArray, all.of(n.items)
	case mapType:
		s.Kind, s.Items = codecs.ShapeMap, all.of(n.items)
	case union:
		s.Kind = codecs.ShapeUnion
		for _, b := range n.branches {
			s.Branches = append(s.Branches, codecs.ShapeBranch{Name: b.typeName(), Shape: all.of(b)})
		}
	}
	return s
}

// jsonKinds are the kinds of a scalar in JSON.
func (n *node) jsonKinds() codecs.KindSet {
	switch {
	case n.kind == null:
		return codecs.Kinds(codecs.Null)
	case n.kind == boolean:
		return codecs.Kinds(codecs.Bool)
	case n.kind == intType || n.kind == long:
		return codecs.Kinds(codecs.Int)
	case n.kind == float || n.kind == double || n.logical == decimal:
		return codecs.Kinds(codecs.Int, codecs.Float)
	case n.logical == duration:
		return codecs.Kinds(codecs.Object)
	}
	return codecs.Kinds(codecs.String)
}
