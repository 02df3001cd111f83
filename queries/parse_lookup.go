package queries

import "leat/codecs"

var lookupMembers = []string{"kv", "key", "as", "type"}

// lookup reads the member "lookup".
func (p *specParser) lookup(n *jsonNode) {
	const form = `like {"kv": "airports", "key": "origin", "as": "airport"}`
	if n.kind != codecs.Object {
		p.invalid(n, `"lookup" is an object %s, not %s`, form, article(n.kind))
		return
	}
	p.members(n, lookupMembers, nil)
	s := &LookupSpec{node: n, key: n.member("key"), as: n.member("as")}
	p.spec.Lookup = s
	for _, m := range []struct {
		name string
		into *string
	}{{"kv", &s.KV}, {"key", &s.Key}, {"as", &s.As}} {
		at := n.member(m.name)
		if at == nil {
			p.invalid(n, `member "%s" is missing in "lookup", which is %s`, m.name, form)
			continue
		}
		*m.into, _ = p.text(at)
	}
	if at := n.member("kv"); at != nil && at.kind == codecs.String {
		p.namespace(at, s.KV)
	}
	if s.as != nil && s.as.kind == codecs.String && s.As == "" {
		p.invalid(s.as, `"as" is the name of the member that rows gain: it is empty`)
	}
	if at := n.member("type"); at != nil {
		if text, ok := p.text(at); ok && text != "inner" && text != "left" {
			p.invalid(at, `"type" of a lookup is "inner" or "left", not %q`, text)
		} else {
			s.Left = text == "left"
		}
	}
}
