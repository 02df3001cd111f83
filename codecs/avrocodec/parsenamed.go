package avrocodec

import (
	"errors"
	"fmt"
	"strings"
)

// define gives n the name that v has in the namespace around it, and returns the
// namespace inside it.
func (p *parser) define(n *node, v map[string]any, namespace string) (inside string, err error) {
	name, ok := v["name"].(string)
	if !ok || name == "" {
		return "", fmt.Errorf(`%s without a "name"`, n.kind)
	}
	if given, has := v["namespace"]; has && !strings.Contains(name, ".") {
		space, ok := given.(string)
		if !ok && given != nil {
			return "", fmt.Errorf(`the "namespace" of %q is not text`, name)
		}
		if ok {
			namespace = space
		}
	}
	n.name = qualify(name, namespace)
	if err := checkName(n.name, true); err != nil {
		return "", err
	}
	if _, taken := primitive(n.name); taken {
		return "", fmt.Errorf("a type cannot be called %q, which is a primitive type", n.name)
	}
	if p.names[n.name] != nil {
		return "", fmt.Errorf("a second definition of %q", n.name)
	}
	if dot := strings.LastIndexByte(n.name, '.'); dot >= 0 {
		inside = n.name[:dot]
	}
	if n.aliases, err = names(v["aliases"], "aliases"); err != nil {
		return "", err
	}
	n.also = make(map[string]bool, len(n.aliases))
	for i, alias := range n.aliases {
		if err := checkName(alias, true); err != nil {
			return "", err
		}
		n.aliases[i] = qualify(alias, inside)
		n.also[unqualified(alias)] = true
	}
	p.names[n.name] = n
	return inside, nil
}

// checkName refuses what the specification does not allow as a name, or as several with
// dots between them.
func checkName(name string, dotted bool) error {
	if len(name) > MaxNameBytes {
		return fmt.Errorf("a name of %d bytes, more than %d", len(name), MaxNameBytes)
	}
	start := true
	for _, c := range []byte(name) {
		switch {
		case c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9' && !start:
			start = false
		case c == '.' && dotted && !start:
			start = true
		default:
			return badName(name)
		}
	}
	if start {
		return badName(name)
	}
	return nil
}

func badName(name string) error {
	return fmt.Errorf("%q is not a name: letters, digits and _, not starting with a digit", name)
}

// names is an optional array of texts.
func names(v any, member string) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%q is not an array of names", member)
	}
	texts := make([]string, len(list))
	for i, item := range list {
		if texts[i], ok = item.(string); !ok {
			return nil, fmt.Errorf("%q is not an array of names", member)
		}
	}
	return texts, nil
}

func (p *parser) record(t string, v map[string]any, namespace string, depth int) (*node, error) {
	n := &node{kind: record, isError: t == "error"}
	inside, err := p.define(n, v, namespace)
	if err != nil {
		return nil, err
	}
	p.records = append(p.records, n)
	p.where = append(p.where, n.name)
	fields, ok := v["fields"].([]any)
	if !ok {
		return nil, errors.New(`a record without an array of "fields"`)
	}
	seen := map[string]bool{}
	n.fields = make([]field, 0, len(fields))
	for _, item := range fields {
		f, err := p.field(item, inside, depth)
		if err != nil {
			return nil, err
		}
		if seen[f.name] {
			return nil, fmt.Errorf("a second field %q", f.name)
		}
		seen[f.name] = true
		n.fields = append(n.fields, f)
	}
	p.where = p.where[:len(p.where)-1]
	return n, nil
}

func (p *parser) field(item any, namespace string, depth int) (field, error) {
	v, ok := item.(map[string]any)
	if !ok {
		return field{}, errors.New("a field is an object")
	}
	name, ok := v["name"].(string)
	if !ok {
		return field{}, errors.New(`a field without a "name"`)
	}
	if err := checkName(name, false); err != nil {
		return field{}, err
	}
	p.where = append(p.where, name)
	f := field{name: name}
	var err error
	if f.aliases, err = names(v["aliases"], "aliases"); err != nil {
		return field{}, err
	}
	t, has := v["type"]
	if !has {
		return field{}, errors.New(`a field without a "type"`)
	}
	if f.node, err = p.parse(t, namespace, depth+1); err != nil {
		return field{}, err
	}
	f.written, f.hasDefault = v["default"]
	p.where = p.where[:len(p.where)-1]
	return f, nil
}

func (p *parser) enum(v map[string]any, namespace string) (*node, error) {
	n := &node{kind: enum}
	if _, err := p.define(n, v, namespace); err != nil {
		return nil, err
	}
	p.where = append(p.where, n.name)
	symbols, err := names(v["symbols"], "symbols")
	if err != nil {
		return nil, err
	}
	if len(symbols) == 0 {
		return nil, errors.New(`an enum without "symbols"`)
	}
	if err := p.count(len(symbols)); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, s := range symbols {
		if err := checkName(s, false); err != nil {
			return nil, err
		}
		if seen[s] {
			return nil, fmt.Errorf("a second symbol %q", s)
		}
		seen[s] = true
	}
	n.symbols = symbols
	if other, has := v["default"]; has {
		if n.symbolElse, n.hasElse = other.(string); !n.hasElse || !seen[n.symbolElse] {
			return nil, fmt.Errorf("the default %v is not one of the symbols", excerpt(other))
		}
	}
	p.where = p.where[:len(p.where)-1]
	return n, nil
}

// maxFixed is the largest size of a fixed: that of the largest record.
const maxFixed = 1<<31 - 1

func (p *parser) fixed(v map[string]any, namespace string) (*node, error) {
	n := &node{kind: fixed}
	if _, err := p.define(n, v, namespace); err != nil {
		return nil, err
	}
	size, ok := integer(v["size"])
	if !ok || size < 0 || size > maxFixed {
		return nil, fmt.Errorf(`the "size" of the fixed %q is not a number from 0 to %d`, n.name, maxFixed)
	}
	n.size = int(size)
	setLogical(n, v)
	return n, nil
}
