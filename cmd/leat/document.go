package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// member is one member of a JSON object, in the order it was written.
type member struct {
	name  string
	value json.RawMessage
}

// members reads a JSON object with the order of its members.
func members(object []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.Join(errors.New("not a JSON object"), err)
	}
	var out []member
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		m := member{name: name}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// cellText is a JSON value as a table shows it: a string without its quotes,
// everything else as JSON.
func cellText(value []byte) (text string, number bool) {
	switch {
	case len(value) == 0:
		return "", false
	case value[0] == '"':
		var s string
		if json.Unmarshal(value, &s) == nil {
			return s, false
		}
	case value[0] == '-' || value[0] >= '0' && value[0] <= '9':
		return string(value), true
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) == nil {
		return compact.String(), false
	}
	return string(value), false
}

// rowGrid makes a table of JSON objects: a column for every name that occurs, in
// order of first occurrence. What is not an object goes into a column "value".
func rowGrid(rows []json.RawMessage) *grid {
	g := &grid{}
	column := make(map[string]int)
	for _, row := range rows {
		fields, err := members(row)
		if err != nil {
			fields = []member{{name: "value", value: row}}
		}
		cells := make([]string, len(g.header), len(g.header)+len(fields))
		for _, m := range fields {
			i, known := column[m.name]
			if !known {
				i = len(g.header)
				column[m.name] = i
				g.header = append(g.header, m.name)
				cells = append(cells, "")
			}
			text, number := cellText(m.value)
			if number {
				g.alignRight(i)
			}
			cells[i] = text
		}
		g.rows = append(g.rows, cells)
	}
	for i := range g.rows {
		for len(g.rows[i]) < len(g.header) {
			g.rows[i] = append(g.rows[i], "")
		}
	}
	return g
}

// yamlNode turns JSON into YAML, the order of members and the text of numbers
// kept.
func yamlNode(body []byte) (*yaml.Node, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	node, err := yamlValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON document")
	}
	return node, nil
}

func yamlValue(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if v == '[' {
			node = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		}
		for d.More() {
			child, err := yamlValue(d) // in an object, names and values by turns
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err := d.Token()
		return node, err
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: numberTag(v.String()), Value: v.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
}

func numberTag(text string) string {
	if strings.ContainsAny(text, ".eE") {
		return "!!float"
	}
	return "!!int"
}
