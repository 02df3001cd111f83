package avrocodec

import (
	"fmt"

	"leat/codecs"
	"leat/codecs/internal/jsontext"
)

// datum is a value to be encoded, and the text of a number that was read from JSON, for a
// decimal has more digits than a float64.
type datum struct {
	v       codecs.Value
	literal string
}

// entry is a member of an object.
type entry struct {
	name  string
	value datum
}

// parseDatum checks JSON text and reads it.
func parseDatum(text []byte) (datum, *codecs.MemberError) {
	var fault jsontext.Fault
	start := jsontext.SkipSpace(text, 0)
	end := jsontext.Skip(text, start, 0, &fault)
	if end >= 0 {
		if rest := jsontext.SkipSpace(text, end); rest == len(text) {
			v, _ := readDatum(text, start)
			return v, nil
		}
		fault.Unexpected(text, jsontext.SkipSpace(text, end), "the end")
	}
	return datum{}, &codecs.MemberError{Reason: fmt.Sprintf("not valid JSON at offset %d: %s", fault.Offset, fault.Reason)}
}

// readDatum reads the valid value at b[i].
func readDatum(b []byte, i int) (v datum, end int) {
	var never jsontext.Fault
	switch c := b[i]; c {
	case '"':
		text, end := readText(b, i)
		return datum{v: codecs.StringValue(text)}, end
	case '{', '[':
		end = jsontext.Skip(b, i, 0, &never)
		if c == '{' {
			return datum{v: codecs.ObjectValue(view(b[i:end]))}, end
		}
		return datum{v: codecs.ArrayValue(view(b[i:end]))}, end
	case 't', 'f', 'n':
		end = jsontext.SkipLiteral(b, i, &never)
		if c == 'n' {
			return datum{v: codecs.NullValue()}, end
		}
		return datum{v: codecs.BoolValue(c == 't')}, end
	}
	end, integral, bits := jsontext.Number(b, i, &never)
	kind := codecs.Float
	if integral {
		kind = codecs.Int
	}
	return datum{codecs.Value{Kind: kind, Num: bits}, view(b[i:end])}, end
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

// objectEntries are the members of an object, of which the text is valid.
func objectEntries(text string) []entry {
	b := viewBytes(text)
	var never jsontext.Fault
	var members []entry
	for i := jsontext.SkipSpace(b, jsontext.SkipSpace(b, 0)+1); b[i] != '}'; i = afterValue(b, i) {
		var m entry
		m.name, i = readText(b, i)
		m.value, i = readDatum(b, jsontext.SkipColon(b, i, &never))
		members = append(members, m)
		if i = jsontext.SkipSpace(b, i); b[i] == '}' {
			break
		}
	}
	return members
}

// arrayValues are the elements of an array, of which the text is valid.
func arrayValues(text string) []datum {
	b := viewBytes(text)
	var values []datum
	for i := jsontext.SkipSpace(b, jsontext.SkipSpace(b, 0)+1); b[i] != ']'; i = afterValue(b, i) {
		var v datum
		v, i = readDatum(b, i)
		values = append(values, v)
		if i = jsontext.SkipSpace(b, i); b[i] == ']' {
			break
		}
	}
	return values
}

// afterValue passes the comma at b[i] and the white space behind it.
func afterValue(b []byte, i int) int { return jsontext.SkipSpace(b, i+1) }
