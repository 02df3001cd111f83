package api

import "strings"

// A schema is written in a short notation and becomes JSON Schema (2020-12):
//
//	int, number, string, bool, object, any, null, base64     a type
//	true, false                                              that constant
//	#Name                                                    a schema among the components
//	[]T                                                      an array of T
//	T|U                                                      one or the other
//	{a T, b? T, *}                                           an object with member a, maybe b, maybe others
//
// Spaces do not count except between a member and its type. It is code, not input:
// what is not in the notation panics in the test of the document.

type schema = map[string]any

// parseSchema reads the notation.
func parseSchema(text string) schema {
	p := &schemaParser{rest: text}
	s := p.union()
	if p.skip(); p.rest != "" {
		panic("schema: left over: " + p.rest)
	}
	return s
}

type schemaParser struct{ rest string }

func (p *schemaParser) skip() { p.rest = strings.TrimLeft(p.rest, " \n\t") }

func (p *schemaParser) take(prefix string) bool {
	p.skip()
	rest, found := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return found
}

func (p *schemaParser) union() schema {
	first := p.one()
	if !p.take("|") {
		return first
	}
	all := []any{first, p.one()}
	for p.take("|") {
		all = append(all, p.one())
	}
	return schema{"anyOf": all}
}

func (p *schemaParser) one() schema {
	switch {
	case p.take("[]"):
		return schema{"type": "array", "items": p.one()}
	case p.take("{"):
		return p.object()
	case p.take("#"):
		return schema{"$ref": "#/components/schemas/" + p.word()}
	}
	switch word := p.word(); word {
	case "int":
		return schema{"type": "integer"}
	case "number", "string", "object", "null":
		return schema{"type": word}
	case "bool":
		return schema{"type": "boolean"}
	case "true", "false":
		return schema{"type": "boolean", "const": word == "true"}
	case "base64":
		return schema{"type": "string", "contentEncoding": "base64"}
	case "any":
		return schema{}
	default:
		panic("schema: unknown type " + word)
	}
}

func (p *schemaParser) word() string {
	p.skip()
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

// object reads members up to the closing brace.
func (p *schemaParser) object() schema {
	properties, required := schema{}, []any{}
	open := false
	for !p.take("}") {
		if p.take("*") {
			open = true
		} else {
			name := p.word()
			if !p.take("?") {
				required = append(required, name)
			}
			properties[name] = p.union()
		}
		p.take(",")
	}
	s := schema{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	if open {
		s["additionalProperties"] = true
	}
	return s
}
