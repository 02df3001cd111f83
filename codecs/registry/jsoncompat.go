package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"leat/codecs"
)

// inclusion finds out why some value of the writer's JSON Schema is not one of the
// reader's. It is sound and not complete: where it finds nothing, every value that the
// writer's schema takes is taken by the reader's; what it cannot follow it says.
type inclusion struct {
	steps int
	list  []codecs.Incompatibility
}

// maxInclusions bounds the values that one comparison looks at.
const maxInclusions = 200_000

const notChecked = "NOT_CHECKED"

// included lists why a value of w may not be one of r.
func included(w, r any) []codecs.Incompatibility {
	if reflect.DeepEqual(w, r) {
		return nil
	}
	c := &inclusion{}
	switch {
	case refers(w) || refers(r):
		c.add("/", notChecked, "refers to other schemas, which is not followed")
	case !reflect.DeepEqual(keyword(w, "$schema"), keyword(r, "$schema")):
		c.add("/$schema", notChecked, "is of another draft than the writer's schema")
	default:
		c.within(w, r, "")
	}
	return c.list
}

func (c *inclusion) add(path, kind, what string) {
	c.list = append(c.list, codecs.Incompatibility{Kind: kind, Path: path, Where: "The schema", Fault: what})
}

// refers tells whether a schema has a reference anywhere.
func refers(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, refers)
	case map[string]any:
		for name, inside := range v {
			if name == "$ref" || name == "$dynamicRef" || name == "$recursiveRef" || refers(inside) {
				return true
			}
		}
	}
	return false
}

func keyword(v any, name string) any {
	if object, ok := v.(map[string]any); ok {
		return object[name]
	}
	return nil
}

// holds is within that only answers.
func (c *inclusion) holds(w, r any) bool {
	known := len(c.list)
	c.within(w, r, "")
	good := len(c.list) == known
	c.list = c.list[:known]
	return good
}

// within adds why a value of w may not be one of r.
func (c *inclusion) within(w, r any, path string) {
	values, _ := valuesOf(asObject(w))
	c.steps += 1 + len(values)
	if r == true || w == false || c.equal(w, r) {
		return
	}
	if c.steps > maxInclusions {
		c.add(orRoot(path), notChecked, "is too large to be compared")
		return
	}
	reader, ok := r.(map[string]any)
	if !ok { // false takes nothing
		c.add(orRoot(path), "TYPE_NARROWED", "takes nothing, and something in the writer's schema")
		return
	}
	writer := asObject(w)
	if c.byBranch(writer, r) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(reader)) {
		c.keyword(name, writer, reader, path)
	}
}

// asObject is a schema as an object: true is {}.
func asObject(s any) map[string]any {
	object, _ := s.(map[string]any)
	return object
}

// equal tells whether two values are the same; it gives up, with false, where the
// comparison has become too large.
func (c *inclusion) equal(a, b any) bool {
	if c.steps++; c.steps > maxInclusions {
		return false
	}
	switch a := a.(type) {
	case map[string]any:
		other, ok := b.(map[string]any)
		if !ok || len(a) != len(other) {
			return false
		}
		for name, v := range a {
			if w, there := other[name]; !there || !c.equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		other, ok := b.([]any)
		return ok && slices.EqualFunc(a, other, c.equal)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// byBranch tells whether w is within r because each of the branches that a value of w has
// one of is, or one of those that it has all of.
func (c *inclusion) byBranch(w map[string]any, r any) bool {
	for _, name := range [...]string{"anyOf", "oneOf"} {
		branches, ok := w[name].([]any)
		if ok && len(branches) > 0 && !slices.ContainsFunc(branches, func(b any) bool { return !c.holds(b, r) }) {
			return true
		}
	}
	all, _ := w["allOf"].([]any)
	return slices.ContainsFunc(all, func(b any) bool { return c.holds(b, r) })
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// appliesTo is the type of the values that a keyword says something about; others have
// it for all.
func appliesTo(name string) string {
	switch name {
	case "properties", "required", "additionalProperties", "minProperties", "maxProperties", "propertyNames", "patternProperties",
		"dependentRequired", "dependentSchemas", "dependencies":
		return "object"
	case "items", "minItems", "maxItems", "uniqueItems":
		return "array"
	case "minLength", "maxLength", "pattern":
		return "string"
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return "number"
	}
	return ""
}

// keyword adds why values of w may not keep a keyword of r.
func (c *inclusion) keyword(name string, w, r map[string]any, path string) {
	at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	if only := appliesTo(name); only != "" && !slices.Contains(typesOf(w), only) && !(only == "number" && slices.Contains(typesOf(w), "integer")) {
		return
	}
	switch name {
	case "title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly", "writeOnly",
		"definitions", "$defs", "contentEncoding", "contentMediaType":
	case "type":
		c.types(w, r, at)
	case "enum", "const":
		c.values(w, r, name, at)
	case "required":
		c.required(w, r, at)
	case "properties":
		c.properties(w, r, at)
	case "additionalProperties":
		c.additional(w, r, at)
	case "items":
		c.items(w, r, at)
	case "minimum", "minLength", "minItems", "minProperties":
		c.bound(w, r, name, at, 1)
	case "maximum", "maxLength", "maxItems", "maxProperties":
		c.bound(w, r, name, at, -1)
	case "allOf":
		branches, _ := r[name].([]any)
		for i, b := range branches {
			c.within(w, b, at+"/"+strconv.Itoa(i))
		}
	case "anyOf":
		branches, _ := r[name].([]any)
		if !c.equal(w[name], r[name]) && !slices.ContainsFunc(branches, func(b any) bool { return c.holds(w, b) }) {
			c.add(at, "UNION_NARROWED", "has no branch that takes all that the writer's schema does")
		}
	case "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems", "pattern", "format", "not", "oneOf", "propertyNames",
		"patternProperties", "dependentRequired", "dependentSchemas", "dependencies":
		// Each says the same wherever it is written, whatever stands beside it.
		if !c.equal(w[name], r[name]) {
			c.add(at, notChecked, "differs from the writer's schema in a way that is not compared")
		}
	default:
		c.add(at, notChecked, "has a keyword that is not known, in a schema that differs from the writer's schema")
	}
}

// typesOf lists the types that values of a schema can have; "number" stands for
// "integer" too.
func typesOf(s map[string]any) []string {
	if values, ok := valuesOf(s); ok {
		var list []string
		for _, v := range values {
			list = append(list, typeOf(v))
		}
		return list
	}
	switch t := s["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var list []string
		for _, name := range t {
			if text, ok := name.(string); ok {
				list = append(list, text)
			}
		}
		return list
	}
	return []string{"null", "boolean", "number", "string", "array", "object"}
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case json.Number:
		if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return "integer"
		}
		return "number"
	}
	return "object"
}

// valuesOf lists the only values that a schema takes, if it names them.
func valuesOf(s map[string]any) ([]any, bool) {
	if v, ok := s["const"]; ok {
		return []any{v}, true
	}
	list, ok := s["enum"].([]any)
	return list, ok
}

func (c *inclusion) types(w, r map[string]any, at string) {
	switch r["type"].(type) {
	case string, []any:
	default:
		c.add(at, notChecked, "has a type that cannot be read")
	}
	takes := typesOf(map[string]any{"type": r["type"]})
	var missing []string
	for _, t := range typesOf(w) {
		if !slices.Contains(takes, t) && !slices.Contains(missing, t) && !(t == "integer" && slices.Contains(takes, "number")) {
			missing = append(missing, t)
		}
	}
	if len(missing) > 0 {
		c.add(at, "TYPE_NARROWED", "does not take "+strings.Join(missing, ", ")+", which the writer's schema does")
	}
}

func (c *inclusion) values(w, r map[string]any, name, at string) {
	takes, ok := valuesOf(map[string]any{name: r[name]})
	has, named := valuesOf(w)
	if !ok || !named {
		c.add(at, "ENUM_ARRAY_NARROWED", "takes a few values only, and others in the writer's schema")
		return
	}
	for _, v := range has {
		if !slices.ContainsFunc(takes, func(t any) bool { return c.equal(t, v) }) {
			c.add(at, "ENUM_ARRAY_NARROWED", "does not take the value "+clip(string(encode(v)), 80)+" of the writer's schema")
		}
	}
}

func (c *inclusion) required(w, r map[string]any, at string) {
	has, _ := w["required"].([]any)
	needs, ok := r["required"].([]any)
	if !ok {
		c.add(at, notChecked, "has a keyword that cannot be read")
	}
	for _, name := range needs {
		if !slices.ContainsFunc(has, func(h any) bool { return c.equal(h, name) }) {
			c.add(at, "REQUIRED_ATTRIBUTE_ADDED", fmt.Sprintf("needs the member %s, which the writer's schema does not", encode(name)))
		}
	}
}

// unnamed is the schema of a member that a schema does not name. Patterns may take members
// from "additionalProperties", so with them nothing is known.
func unnamed(s map[string]any) any {
	if _, patterns := s["patternProperties"]; patterns {
		return true
	}
	if v, ok := s["additionalProperties"]; ok {
		return v
	}
	return true
}

func (c *inclusion) properties(w, r map[string]any, at string) {
	takes, _ := r["properties"].(map[string]any)
	has, _ := w["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(takes)) {
		written, ok := has[name]
		if !ok {
			written = unnamed(w)
		}
		c.within(written, takes[name], at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
}

func (c *inclusion) additional(w, r map[string]any, at string) {
	takes, _ := r["properties"].(map[string]any)
	has, _ := w["properties"].(map[string]any)
	if _, patterns := r["patternProperties"]; patterns && r["additionalProperties"] != true {
		c.add(at, notChecked, "has patterns besides, which are not followed")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if _, named := takes[name]; !named {
			c.within(has[name], r["additionalProperties"], at)
		}
	}
	c.within(unnamed(w), r["additionalProperties"], at)
}

func (c *inclusion) items(w, r map[string]any, at string) {
	_, tuple := r["items"].([]any)
	if _, prefix := r["prefixItems"]; tuple || prefix {
		c.add(at, notChecked, "has items by position, which are not compared")
		return
	}
	written, ok := w["items"]
	_, tuple = written.([]any)
	if _, prefix := w["prefixItems"]; !ok || tuple || prefix {
		written = true
	}
	c.within(written, r["items"], at)
}

// bound compares a bound that the reader has with the writer's: sign is 1 for a lower
// one, -1 for an upper one.
func (c *inclusion) bound(w, r map[string]any, name, at string, sign float64) {
	has, ok1 := w[name].(json.Number)
	needs, ok2 := r[name].(json.Number)
	if ok1 && ok2 {
		if has == needs {
			return
		}
		// Texts that differ and round to one number are not told apart.
		h, err1 := has.Float64()
		n, err2 := needs.Float64()
		if err1 == nil && err2 == nil && h*sign > n*sign {
			return
		}
	}
	c.add(at, "BOUND_NARROWED", "has a bound that is narrower than in the writer's schema")
}
