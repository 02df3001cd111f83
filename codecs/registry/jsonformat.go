package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// jsonFormat knows JSON Schema.
type jsonFormat struct{}

// jsonParsed is a JSON Schema.
type jsonParsed struct {
	value     any
	canonical string
}

func (jsonFormat) parse(text string, _ []Source) (parsed, error) {
	v, err := jsonValue(text)
	if err != nil {
		return nil, err
	}
	if depth(v, maxJSONDepth+1) > maxJSONDepth {
		return nil, fmt.Errorf("a JSON Schema nested more than %d deep", maxJSONDepth)
	}
	switch v.(type) {
	case bool, map[string]any:
		return &jsonParsed{value: v, canonical: string(encode(v))}, nil
	}
	return nil, errors.New("a JSON Schema is an object, true or false")
}

// maxJSONDepth bounds how deep a JSON Schema is nested.
const maxJSONDepth = 128

// depth is how deep a value is nested, counted up to most.
func depth(v any, most int) int {
	deepest := 0
	if most > 0 {
		switch v := v.(type) {
		case []any:
			for _, inside := range v {
				deepest = max(deepest, depth(inside, most-1))
			}
		case map[string]any:
			for _, inside := range v {
				deepest = max(deepest, depth(inside, most-1))
			}
		}
	}
	return 1 + deepest
}

func (p *jsonParsed) identity() string { return p.canonical }

func (p *jsonParsed) reads(writer parsed, as roles) []string {
	w, ok := writer.(*jsonParsed)
	if !ok {
		return []string{errOtherType}
	}
	return reasons(included(w.value, p.value), as)
}

// jsonValue reads one JSON value. Numbers stay as they are written.
func jsonValue(text string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the schema is not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON of the schema")
	}
	return v, nil
}
