package codecstest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"leat/codecs"
)

// lookup is the cell that a row should have at a path, found with encoding/json.
func lookup(t testing.TB, f Format, row string, path codecs.Path) codecs.Value {
	t.Helper()
	raw := json.RawMessage(row)
	for _, s := range path.Steps() {
		next, declared := descend(t, raw, s)
		if next == nil {
			if declared {
				return codecs.Value{Kind: f.Absent}
			}
			return codecs.Value{}
		}
		raw = next
	}
	return cell(t, raw)
}

// descend takes one step. Where nothing is there, declared tells whether the sample
// schema has it all the same.
func descend(t testing.TB, raw json.RawMessage, s codecs.Step) (next json.RawMessage, declared bool) {
	t.Helper()
	switch {
	case raw[0] == '[' && s.IsIndex:
		var elements []json.RawMessage
		if err := json.Unmarshal(raw, &elements); err != nil {
			t.Fatal(err)
		}
		if s.Index < len(elements) {
			return elements[s.Index], true
		}
	case raw[0] == '{' && !s.IsIndex:
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatal(err)
		}
		return members[s.Member], slices.Contains([]string{"note", "zip", "card", "cash"}, s.Member)
	}
	return nil, false
}

func cell(t testing.TB, raw json.RawMessage) codecs.Value {
	t.Helper()
	switch raw[0] {
	case '{':
		return codecs.ObjectValue(string(raw))
	case '[':
		return codecs.ArrayValue(string(raw))
	case 't', 'f':
		return codecs.BoolValue(raw[0] == 't')
	case '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			t.Fatal(err)
		}
		return codecs.StringValue(text)
	}
	if !strings.ContainsAny(string(raw), ".e") {
		i, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return codecs.IntValue(i)
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		t.Fatal(err)
	}
	return codecs.FloatValue(n)
}

// same reports whether two cells are equal. Of JSON text that is what it means, where a
// member that is null counts as one that is not there.
func same(a, b codecs.Value) bool {
	if a.Kind != codecs.Object && a.Kind != codecs.Array {
		return a == b
	}
	return a.Kind == b.Kind && json.Valid([]byte(a.Str)) &&
		bytes.Equal(withoutNulls(a.Str), withoutNulls(b.Str))
}

// withoutNulls is the canonical key of JSON text without the members that are null.
func withoutNulls(text string) []byte {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return []byte("not JSON: " + text)
	}
	pruned, err := json.Marshal(prune(v))
	if err != nil {
		return []byte("not JSON: " + text)
	}
	kind := codecs.Object
	if pruned[0] == '[' {
		kind = codecs.Array
	}
	return codecs.AppendKey(nil, codecs.Value{Kind: kind, Str: string(pruned)})
}

func prune(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	case map[string]any:
		for name, inside := range v {
			if inside == nil {
				delete(v, name)
				continue
			}
			v[name] = prune(inside)
		}
	}
	return v
}
