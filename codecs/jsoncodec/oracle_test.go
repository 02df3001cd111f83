package jsoncodec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"unicode/utf8"

	"leat/codecs"
)

// acceptable is the oracle for Valid: encoding/json, and the four rules it does not
// have.
func acceptable(b []byte) bool {
	if !json.Valid(b) || !utf8.Valid(b) || hasLoneSurrogate(b) {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	depth := 0
	for {
		token, err := dec.Token()
		if err != nil {
			return true // the end: the text is valid
		}
		switch v := token.(type) {
		case json.Number:
			if _, err := strconv.ParseFloat(string(v), 64); err != nil {
				return false
			}
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			if depth > 512 {
				return false
			}
		}
	}
}

// hasLoneSurrogate looks for \uD800 to \uDFFF outside of pairs in valid JSON text.
func hasLoneSurrogate(b []byte) bool {
	unit := func(i int) uint64 {
		if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
			return 0
		}
		n, err := strconv.ParseUint(string(b[i+2:i+6]), 16, 16)
		if err != nil {
			return 0
		}
		return n
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case u >= 0xD800 && u < 0xDC00:
			if low := unit(i + 6); low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 11
		case u >= 0xDC00 && u <= 0xDFFF:
			return true
		case u > 0:
			i += 5
		default:
			i++
		}
	}
	return false
}

// lookup is the oracle for a cell: the value at the path, found with encoding/json in
// a record that is acceptable.
func lookup(record []byte, steps []codecs.Step) (codecs.Value, error) {
	raw := json.RawMessage(bytes.Trim(record, " \t\r\n"))
	for _, s := range steps {
		next, err := descend(raw, s)
		if next == nil || err != nil {
			return codecs.Value{}, err
		}
		raw = next
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return codecs.Value{}, fmt.Errorf("%s: %w", raw, err)
	}
	switch v := v.(type) {
	case bool:
		return codecs.BoolValue(v), nil
	case string:
		return codecs.StringValue(v), nil
	case []any:
		return codecs.ArrayValue(string(raw)), nil
	case map[string]any:
		return codecs.ObjectValue(string(raw)), nil
	case json.Number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return codecs.IntValue(i), nil
		}
		f, err := strconv.ParseFloat(string(v), 64)
		return codecs.FloatValue(f), err
	}
	return codecs.NullValue(), nil
}

// descend takes one step; nil means that nothing is there.
func descend(raw json.RawMessage, s codecs.Step) (json.RawMessage, error) {
	switch {
	case raw[0] == '[' && s.IsIndex:
		var elements []json.RawMessage
		err := json.Unmarshal(raw, &elements)
		if err != nil || s.Index >= len(elements) {
			return nil, err
		}
		return elements[s.Index], nil
	case raw[0] == '{' && !s.IsIndex:
		var members map[string]json.RawMessage
		err := json.Unmarshal(raw, &members)
		return members[s.Member], err
	}
	return nil, nil
}

// checkAgainstOracle decodes the records as one batch and compares every cell and
// every refusal with those of both references.
func checkAgainstOracle(t *testing.T, d *Decoder, paths []codecs.Path, records [][]byte) {
	t.Helper()
	var into codecs.Columns
	bad := d.Decode(records, &into)
	if into.Rows != len(records) || len(into.Cols) != len(paths) {
		t.Fatalf("%d×%d cells, want %d×%d", into.Rows, len(into.Cols), len(records), len(paths))
	}
	for row, record := range records {
		trimmed := bytes.TrimLeft(record, " \t\r\n")
		good := acceptable(record) && trimmed[0] == '{'
		refused := len(bad) > 0 && bad[0].Row == row
		if refused {
			if bad[0].Reason == "" {
				t.Fatalf("%q is refused without a reason", record)
			}
			bad = bad[1:]
		}
		if refused == good {
			t.Fatalf("row %d, %q: refused %v, want %v", row, record, refused, !good)
		}
		if whole := Whole(record) == nil; whole != good {
			t.Fatalf("%q: Whole accepts %v, want %v", record, whole, good)
		}
		second := checkReference(t, record, acceptable(record))
		for k, p := range paths {
			var want codecs.Value
			if good {
				var err error
				if want, err = lookup(record, p.Steps()); err != nil {
					t.Fatalf("%q at %s: %v", record, p, err)
				}
				if other := second.at(p.Steps()); other != want {
					t.Fatalf("%q at %q: encoding/json has %v, jsontext %v", record, p, want, other)
				}
			}
			if got := into.Cols[k].Value(row); got != want {
				t.Fatalf("row %d, %q at %q: %v, want %v", row, record, p, got, want)
			}
		}
	}
	if len(bad) > 0 {
		t.Fatalf("more errors than bad rows: %v", bad)
	}
}
