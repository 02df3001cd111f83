package registry

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"leat/internal/testenv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestJSONCompatibility(t *testing.T) {
	t.Parallel()
	const object = `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["a"]}`
	closed := strings.Replace(object, `"required"`, `"additionalProperties":false,"required"`, 1)
	for _, c := range []struct{ reader, writer, want string }{
		{object, object, ""},
		{`{"title":"x","type":"object"}`, object, ""},
		{`true`, object, ""}, {`{}`, object, ""}, {`false`, object, "TYPE_NARROWED /"},
		{`{"type":"number"}`, `{"type":"integer"}`, ""},
		{`{"type":"integer"}`, `{"type":"number"}`, "TYPE_NARROWED /type"},
		{`{"type":["string","null"]}`, `{"type":"string"}`, ""},
		{`{"type":"string"}`, `{"type":["string","null"]}`, "TYPE_NARROWED /type"},
		{strings.Replace(object, `["a"]`, `["a","b"]`, 1), object, "REQUIRED_ATTRIBUTE_ADDED /required"},
		{strings.Replace(object, `["a"]`, `[]`, 1), object, ""},
		// A member that is new may be in what was written with an open schema, as anything.
		{strings.Replace(object, `"b"`, `"c":{"type":"boolean"},"b"`, 1), object, "TYPE_NARROWED /properties/c/type"},
		{strings.Replace(closed, `"b"`, `"c":{"type":"boolean"},"b"`, 1), closed, ""},
		{closed, object, "TYPE_NARROWED /additionalProperties"},
		{object, closed, ""},
		{`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`, closed, "TYPE_NARROWED /additionalProperties"},
		{`{"type":"string","maxLength":5}`, `{"type":"string","maxLength":4}`, ""},
		{`{"type":"string","maxLength":4}`, `{"type":"string","maxLength":5}`, "BOUND_NARROWED /maxLength"},
		{`{"type":"number","minimum":1}`, `{"type":"number","minimum":1.5}`, ""},
		{`{"type":"number","minimum":9007199254740993}`, `{"type":"number","minimum":9007199254740992}`, "BOUND_NARROWED /minimum"},
		{`{"enum":["a","b","c"]}`, `{"enum":["a","b"]}`, ""},
		{`{"enum":["a"]}`, `{"enum":["a","b"]}`, "ENUM_ARRAY_NARROWED /enum"},
		{`{"type":"string"}`, `{"const":"x"}`, ""},
		{`{"type":"array","items":{"type":"number"}}`, `{"type":"array","items":{"type":"integer"}}`, ""},
		{`{"type":"array","items":{"type":"string"}}`, `{"type":"array"}`, "TYPE_NARROWED /items/type"},
		{`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{"anyOf":[{"type":"null"},{"type":"string"}]}`, ""},
		{`{"anyOf":[{"type":"string"}]}`, `{"anyOf":[{"type":"null"},{"type":"string"}]}`, "UNION_NARROWED /anyOf"},
		{`{"pattern":"^a"}`, `{"pattern":"^b"}`, "NOT_CHECKED /pattern"},
		{`{"if":{"type":"string"},"then":{"minLength":1}}`, `{"type":"string"}`, "NOT_CHECKED /if; NOT_CHECKED /then"},
		{`{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"string"}}}`, `{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"null"}}}`, "NOT_CHECKED /"},
		{`{"$schema":"http://json-schema.org/draft-07/schema#"}`, `{"type":"string"}`, "NOT_CHECKED /$schema"},
	} {
		reader, err1 := jsonValue(c.reader)
		writer, err2 := jsonValue(c.writer)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		var got []string
		for _, i := range included(writer, reader) {
			got = append(got, i.Kind+" "+i.Path)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s reads %s:\n got %s\nwant %s", c.reader, c.writer, strings.Join(got, "; "), c.want)
		}
	}
}

// jsonMaker writes random schemas and values of a small world.
type jsonMaker struct{ *rand.Rand }

func (m jsonMaker) schema(depth int) any {
	if depth == 0 || m.IntN(8) == 0 {
		return []any{true, map[string]any{}, map[string]any{"type": "string"}, map[string]any{"type": "integer"}, map[string]any{"type": "null"}, false}[m.IntN(6)]
	}
	s := map[string]any{}
	for range 1 + m.IntN(3) {
		switch m.IntN(12) {
		case 0:
			s["type"] = []any{"string", "integer", "number", "object", "array", "null"}[m.IntN(6)]
		case 1:
			s["type"] = []any{"object", "string", "array"}[:1+m.IntN(3)]
		case 2:
			s["properties"] = map[string]any{m.name(): m.schema(depth - 1), m.name(): m.schema(depth - 1)}
		case 3:
			s["required"] = []any{m.name()}
		case 4:
			s["additionalProperties"] = m.schema(depth - 1)
		case 5:
			s["items"] = m.schema(depth - 1)
		case 6:
			s[[]string{"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}[m.IntN(8)]] = m.IntN(3)
		case 7:
			s["enum"] = []any{m.value(1), m.value(0)}
		case 8:
			s[[]string{"anyOf", "oneOf", "allOf"}[m.IntN(3)]] = []any{m.schema(depth - 1), m.schema(depth - 1)}
		case 9:
			s["patternProperties"] = map[string]any{"^a": m.schema(depth - 1)}
		case 10:
			s["prefixItems"] = []any{m.schema(depth - 1)}
		case 11:
			s["const"] = m.value(1)
		}
	}
	return s
}

func (m jsonMaker) name() string { return []string{"a", "ab", "b"}[m.IntN(3)] }

func (m jsonMaker) value(depth int) any {
	switch n := m.IntN(8); {
	case n < 3 && depth > 0:
		v := map[string]any{}
		for range m.IntN(3) {
			v[m.name()] = m.value(depth - 1)
		}
		return v
	case n < 5 && depth > 0:
		v := []any{}
		for range m.IntN(3) {
			v = append(v, m.value(depth-1))
		}
		return v
	case n == 5:
		return nil
	case n == 6:
		return []any{"", "x", "xyz"}[m.IntN(3)]
	}
	return []any{0, 1, 2.5}[m.IntN(3)]
}

// What is called compatible is: no random value is one of the writer's schema and not of
// the reader's, by a validator that is not ours.
func TestJSONCompatibleIsSound(t *testing.T) {
	t.Parallel()
	m := jsonMaker{testenv.Rand(t)}
	compatible := 0
	for range 6000 {
		w := m.schema(3)
		r := m.schema(2)
		if m.IntN(2) == 0 { // one near the other
			r = m.near(w)
		}
		wText, rText := string(encode(w)), string(encode(r))
		writer, _ := jsonValue(wText)
		reader, _ := jsonValue(rText)
		if len(included(writer, reader)) > 0 {
			continue
		}
		compatible++
		ws, rs := validator(t, wText), validator(t, rText)
		for range 60 {
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(encode(m.value(3)))))
			if err != nil {
				t.Fatal(err)
			}
			if ws.Validate(v) == nil && rs.Validate(v) != nil {
				t.Fatalf("%s is said to read %s, and does not read %v", rText, wText, v)
			}
		}
	}
	if compatible < 500 {
		t.Errorf("only %d pairs were compatible", compatible)
	}
}

// near is a schema with one thing taken away or changed.
func (m jsonMaker) near(v any) any {
	var copied any
	if err := json.Unmarshal(encode(v), &copied); err != nil {
		panic(err)
	}
	s, ok := copied.(map[string]any)
	if !ok {
		return m.schema(1)
	}
	for name := range s {
		if inside, ok := s[name].(map[string]any); ok && m.IntN(2) == 0 {
			if name == "properties" || name == "patternProperties" {
				for p := range inside {
					inside[p] = m.near(inside[p])
				}
			} else if name != "const" {
				s[name] = m.near(inside)
			}
		} else if m.IntN(4) == 0 {
			delete(s, name)
		}
	}
	return s
}

func validator(t *testing.T, text string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("x.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("x.json")
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// A comparison that would take for ever ends.
func TestJSONCompatibilityIsBounded(t *testing.T) {
	t.Parallel()
	deep := func(end string) any {
		text := `{"type":"` + end + `"}`
		for range 40 {
			text = fmt.Sprintf(`{"anyOf":[%s,{"enum":["%s"]}]}`, text, end)
		}
		v, err := jsonValue(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if list := included(deep("null"), deep("string")); len(list) == 0 {
		t.Error("null is no string")
	}
	if _, err := (jsonFormat{}).parse(strings.Repeat(`{"not":`, 200)+"true"+strings.Repeat("}", 200), nil); err == nil {
		t.Error("a schema that is nested 200 deep is taken")
	}
}
