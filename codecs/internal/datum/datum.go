// Package datum reads rows that are to be encoded: JSON text, whose numbers keep the
// digits that a cell has no room for, and the members and elements of cells that are JSON
// text.
package datum

import (
	"fmt"
	"unsafe"

	"leat/codecs"
	"leat/codecs/internal/jsontext"
)

// Datum is a value to be encoded. Literal is the text of a number that was read from JSON,
// which may have more digits than the value; else it is empty.
type Datum struct {
	Value   codecs.Value
	Literal string
}

// Member is a named value inside an object.
type Member struct {
	Name string
	Datum
}

// Parse checks JSON text and reads it. The result shares its memory with the text.
func Parse(text []byte) (Datum, *codecs.MemberError) {
	var fault jsontext.Fault
	start := jsontext.SkipSpace(text, 0)
	end := jsontext.Skip(text, start, 0, &fault)
	if end >= 0 {
		if rest := jsontext.SkipSpace(text, end); rest == len(text) {
			v, _ := read(text, start)
			return v, nil
		}
		fault.Unexpected(text, jsontext.SkipSpace(text, end), "the end")
	}
	return Datum{}, &codecs.MemberError{Reason: fmt.Sprintf("not valid JSON at offset %d: %s", fault.Offset, fault.Reason)}
}

// read reads the valid value at b[i].
func read(b []byte, i int) (v Datum, end int) {
	var never jsontext.Fault
	switch c := b[i]; c {
	case '"':
		text, end := readText(b, i)
		return Datum{Value: codecs.StringValue(text)}, end
	case '{', '[':
		end = jsontext.Skip(b, i, 0, &never)
		if c == '{' {
			return Datum{Value: codecs.ObjectValue(view(b[i:end]))}, end
		}
		return Datum{Value: codecs.ArrayValue(view(b[i:end]))}, end
	case 't', 'f', 'n':
		end = jsontext.SkipLiteral(b, i, &never)
		if c == 'n' {
			return Datum{Value: codecs.NullValue()}, end
		}
		return Datum{Value: codecs.BoolValue(c == 't')}, end
	}
	end, integral, bits := jsontext.Number(b, i, &never)
	kind := codecs.Float
	if integral {
		kind = codecs.Int
	}
	return Datum{codecs.Value{Kind: kind, Num: bits}, view(b[i:end])}, end
}

func readText(b []byte, i int) (text string, end int) {
	var never jsontext.Fault
	end, escaped := jsontext.SkipString(b, i+1, &never)
	body := b[i+1 : end-1]
	if escaped {
		body = jsontext.AppendUnescaped(nil, body)
	}
	return view(body), end
}

// Members are the members of an object, of which the text is valid.
func Members(object string) []Member {
	b := viewBytes(object)
	var never jsontext.Fault
	var members []Member
	for i := jsontext.SkipSpace(b, jsontext.SkipSpace(b, 0)+1); b[i] != '}'; i = afterValue(b, i) {
		var m Member
		m.Name, i = readText(b, i)
		m.Datum, i = read(b, jsontext.SkipColon(b, i, &never))
		members = append(members, m)
		if i = jsontext.SkipSpace(b, i); b[i] == '}' {
			break
		}
	}
	return members
}

// Elements are the elements of an array, of which the text is valid.
func Elements(array string) []Datum {
	b := viewBytes(array)
	var values []Datum
	for i := jsontext.SkipSpace(b, jsontext.SkipSpace(b, 0)+1); b[i] != ']'; i = afterValue(b, i) {
		var v Datum
		v, i = read(b, i)
		values = append(values, v)
		if i = jsontext.SkipSpace(b, i); b[i] == ']' {
			break
		}
	}
	return values
}

// afterValue passes the comma at b[i] and the white space behind it.
func afterValue(b []byte, i int) int { return jsontext.SkipSpace(b, i+1) }

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func viewBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
