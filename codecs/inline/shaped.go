package inline

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"leat/codecs"
	"leat/codecs/internal/datum"
	"leat/codecs/jsoncodec"
)

// What a record may take in steps, each of which looks at so many bytes.
const (
	stepsPerRecord = 1 << 14
	stepsPerByte   = 16
)

// shaped decodes JSON records that have the shape of a schema. It writes each anew, with
// the schema's names, the members that the schema has, and numbers where texts stood for
// them, and decodes that.
//
// Union branches may be bare or have their name around them, {"string": "x"}. A record is
// bad that does not fit, and one that would take far more work than it has bytes, for the
// branches of unions inside unions are tried, or stand for far more defaults.
type shaped struct {
	shape    *codecs.Shape
	defaults bool
	aliases  map[string][]string
	json     *jsoncodec.Decoder

	buf    []byte
	ends   []int
	values [][]byte
	bad    []codecs.RowError
	steps  int
}

func newShaped(shape *codecs.Shape, f *codecs.InlineFormat, paths []codecs.Path) *shaped {
	return &shaped{shape: shape, defaults: f.Defaults, aliases: f.Aliases, json: jsoncodec.New(paths)}
}

// Decode implements codecs.Decoder.
func (s *shaped) Decode(values [][]byte, into *codecs.Columns) []codecs.RowError {
	s.buf, s.ends, s.values, s.bad = s.buf[:0], s.ends[:0], s.values[:0], s.bad[:0]
	for row, v := range values {
		if reason := s.rewrite(v); reason != "" {
			s.bad = append(s.bad, codecs.RowError{Row: row, Reason: reason})
		}
		s.ends = append(s.ends, len(s.buf))
	}
	from := 0
	for _, end := range s.ends {
		s.values = append(s.values, s.buf[from:end])
		from = end
	}
	// What has been refused here is empty, which no JSON record is: both lists of bad rows
	// have them.
	decoded := s.json.Decode(s.values, into)
	for i, reasons := 0, s.bad; i < len(decoded); i++ {
		if len(reasons) > 0 && reasons[0].Row == decoded[i].Row {
			decoded[i].Reason, reasons = reasons[0].Reason, reasons[1:]
		}
	}
	return decoded
}

// rewrite appends a record as the schema would have it, or says why it does not fit.
func (s *shaped) rewrite(record []byte) (reason string) {
	before := len(s.buf)
	v, err := datum.Parse(record)
	if err == nil {
		s.steps = stepsPerRecord + stepsPerByte*len(record)
		var out []byte
		if out, err = s.append(s.buf, s.shape, v); err == nil {
			s.buf = out
			return ""
		}
	}
	s.buf = s.buf[:before]
	return err.Error()
}

func unfit(format string, args ...any) *codecs.MemberError {
	return &codecs.MemberError{Reason: fmt.Sprintf(format, args...)}
}

func (s *shaped) append(dst []byte, shape *codecs.Shape, v datum.Datum) ([]byte, *codecs.MemberError) {
	if s.steps -= 1 + len(v.Value.Str)/stepsPerByte; s.steps < 0 {
		return nil, unfit("too many branches of unions to try")
	}
	switch {
	case shape.Kind == codecs.ShapeUnion:
		return s.appendBranch(dst, shape, v)
	case shape.Kind == codecs.ShapeRecord && v.Value.Kind == codecs.Object:
		return s.appendRecord(dst, shape, datum.Members(v.Value.Str))
	case shape.Kind == codecs.ShapeMap && v.Value.Kind == codecs.Object:
		return s.appendMap(dst, shape.Items, datum.Members(v.Value.Str))
	case shape.Kind == codecs.ShapeArray && v.Value.Kind == codecs.Array:
		return s.appendArray(dst, shape.Items, datum.Elements(v.Value.Str))
	case shape.Kind == codecs.ShapeScalar:
		return appendScalar(dst, shape, v)
	}
	return nil, unfit("%s where the schema has %s", v.Value.Kind, shapeName(shape))
}

func shapeName(shape *codecs.Shape) string {
	switch shape.Kind {
	case codecs.ShapeRecord, codecs.ShapeMap:
		return codecs.Object.String()
	case codecs.ShapeArray:
		return codecs.Array.String()
	}
	return shape.Kinds.String()
}

func appendScalar(dst []byte, shape *codecs.Shape, v datum.Datum) ([]byte, *codecs.MemberError) {
	kind := v.Value.Kind
	switch {
	case kind == codecs.String && shape.Text != codecs.TextIsText:
		return appendNumber(dst, shape.Text, v.Value.Str)
	case kind == codecs.Float && !shape.Kinds.Has(codecs.Float) && shape.Kinds.Has(codecs.Int):
		if f := v.Value.Float(); f == math.Trunc(f) && f >= -1<<63 && f < 1<<63 {
			return strconv.AppendInt(dst, int64(f), 10), nil
		}
	case shape.Kinds.Has(kind) && v.Literal != "":
		return append(dst, v.Literal...), nil
	case shape.Kinds.Has(kind):
		return codecs.AppendJSON(dst, v.Value), nil
	}
	return nil, unfit("%s where the schema has %s", kind, shape.Kinds)
}

// appendNumber appends the number that a text stands for.
func appendNumber(dst []byte, how codecs.ShapeText, text string) ([]byte, *codecs.MemberError) {
	ok := false
	var ms int64
	switch how {
	case codecs.TextIsInteger:
		digits := strings.TrimPrefix(text, "-")
		if digits != "" && len(digits) <= 20 && strings.Trim(digits, "0123456789") == "" && (digits == "0" || digits[0] != '0') {
			return append(dst, text...), nil
		}
	case codecs.TextIsInstant:
		ms, ok = codecs.ParseTime(text)
	case codecs.TextIsDuration:
		var seconds float64
		body, found := strings.CutSuffix(text, "s")
		seconds, err := strconv.ParseFloat(body, 64)
		if ok = found && err == nil && math.Abs(seconds) < 1e12; ok {
			ms = int64(math.Floor(seconds * 1000))
		}
	}
	if !ok {
		return nil, unfit("%q is not what the schema has there", text)
	}
	return strconv.AppendInt(dst, ms, 10), nil
}

func (s *shaped) appendArray(dst []byte, items *codecs.Shape, elements []datum.Datum) ([]byte, *codecs.MemberError) {
	dst = append(dst, '[')
	for i := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err *codecs.MemberError
		if dst, err = s.append(dst, items, elements[i]); err != nil {
			return nil, err.Within(codecs.Step{Index: i, IsIndex: true})
		}
	}
	return append(dst, ']'), nil
}

func (s *shaped) appendMap(dst []byte, items *codecs.Shape, members []datum.Member) ([]byte, *codecs.MemberError) {
	dst = append(dst, '{')
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(codecs.AppendJSONString(dst, members[i].Name), ':')
		var err *codecs.MemberError
		if dst, err = s.append(dst, items, members[i].Datum); err != nil {
			return nil, err.Within(codecs.Step{Member: members[i].Name})
		}
	}
	return append(dst, '}'), nil
}

func (s *shaped) appendRecord(dst []byte, shape *codecs.Shape, members []datum.Member) ([]byte, *codecs.MemberError) {
	byName := make(map[string]*datum.Datum, len(members))
	for i := range members {
		byName[members[i].Name] = &members[i].Datum
	}
	dst = append(dst, '{')
	open := len(dst)
	for i := range shape.Fields {
		f := &shape.Fields[i]
		v := s.find(byName, f)
		if v != nil && v.Value.Kind == codecs.Null && f.Shape.Nullable {
			v = nil
		}
		if v == nil && (!s.defaults || f.Default == "") {
			continue
		}
		if len(dst) > open {
			dst = append(dst, ',')
		}
		dst = append(codecs.AppendJSONString(dst, f.Name), ':')
		if v == nil {
			if s.steps -= 1 + len(f.Default)/stepsPerByte; s.steps < 0 {
				return nil, unfit("too many defaults")
			}
			dst = append(dst, f.Default...)
			continue
		}
		var err *codecs.MemberError
		if dst, err = s.append(dst, f.Shape, *v); err != nil {
			return nil, err.Within(codecs.Step{Member: f.Name})
		}
	}
	return append(dst, '}'), nil
}

// find is a member by its name, its other name, or an alias; nil if it is not there.
func (s *shaped) find(members map[string]*datum.Datum, f *codecs.ShapeField) *datum.Datum {
	if v := members[f.Name]; v != nil {
		return v
	}
	if v := members[f.Also]; v != nil && f.Also != "" {
		return v
	}
	for _, alias := range s.aliases[f.Name] {
		if v := members[alias]; v != nil {
			return v
		}
	}
	return nil
}

// appendBranch appends a value of a union: without the branch's name around it, if it has
// that, else as the first branch that it fits.
func (s *shaped) appendBranch(dst []byte, shape *codecs.Shape, v datum.Datum) ([]byte, *codecs.MemberError) {
	if v.Value.Kind == codecs.Object {
		if members := datum.Members(v.Value.Str); len(members) == 1 {
			for _, b := range shape.Branches {
				if b.Name != members[0].Name {
					continue
				}
				if out, err := s.append(dst, b.Shape, members[0].Datum); err == nil {
					return out, nil
				}
			}
		}
	}
	var first *codecs.MemberError
	for _, b := range shape.Branches {
		out, err := s.append(dst, b.Shape, v)
		if err == nil {
			return out, nil
		}
		if first == nil || b.Shape.Kind != codecs.ShapeScalar {
			first = err
		}
	}
	if first == nil || v.Value.Kind != codecs.Object {
		first = unfit("%s where the schema has a union without it", v.Value.Kind)
	}
	return nil, first
}
