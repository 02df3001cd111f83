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
	canonical string
}

func (jsonFormat) parse(text string, _ []Source) (parsed, error) {
	v, err := jsonValue(text)
	if err != nil {
		return nil, err
	}
	switch v.(type) {
	case bool, map[string]any:
		return &jsonParsed{canonical: string(encode(v))}, nil
	}
	return nil, errors.New("a JSON Schema is an object, true or false")
}

func (p *jsonParsed) identity() string { return p.canonical }

func (p *jsonParsed) reads(writer parsed, _ roles) []string {
	w, ok := writer.(*jsonParsed)
	if ok && w.canonical == p.canonical {
		return nil
	}
	return []string{"{errorType:'NOT_CHECKED', description:'JSON Schemas that differ are not compared'}"}
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
