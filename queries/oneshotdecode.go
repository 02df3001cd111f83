package queries

import (
	"context"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/internal/fault"
)

// OneShotFormats reads records of which a one-shot form says itself how they are written.
// Errors are faults, of the kind Invalid for what the form says wrongly.
type OneShotFormats interface {
	// Inline makes a decoder whose k-th column is the value at paths[k].
	Inline(ctx context.Context, f codecs.InlineFormat, paths []codecs.Path) (codecs.Decoder, error)
}

// maxAliases bounds the names in "field_aliases".
const maxAliases = 1000

// decode reads how the records are written. JSON needs no schema, whatever it is called.
func (p shotParser) decode(n *jsonNode, s *OneShotSource) {
	d := p.of(n, "decode", codecs.Object)
	if d == nil {
		return
	}
	before := p.found
	kind := p.word(d, "type", "json", "avro", "proto", "protobuf")
	if kind == "json" || p.found > before {
		return
	}
	if kind == "proto" {
		kind = "protobuf"
	}
	f := &codecs.InlineFormat{
		Format: kind, JSON: p.word(d, "encoding", "binary", "json") == "json", Schema: p.string(d, "schema_text"),
		Message: p.string(d, "message"), Defaults: p.bool(d, "apply_defaults"), Aliases: p.aliases(d),
	}
	switch {
	case p.found > before:
	case f.JSON && f.Schema == "":
	case p.formats == nil:
		p.unsupported(d, `decoding of binary records`)
	case f.Schema == "":
		p.invalid(d, `member "schema_text" is missing`)
	default:
		s.format, s.schema, s.message = f, p.get(d, "schema_text"), p.get(d, "message")
	}
}

func (p shotParser) aliases(d *jsonNode) map[string][]string {
	list := p.of(d, "field_aliases", codecs.Object)
	if list == nil {
		return nil
	}
	aliases, count := map[string][]string{}, 0
	for _, m := range list.children {
		if m.kind != codecs.Array {
			p.invalid(m, "the aliases of a field have to be an array, not %s", article(m.kind))
			continue
		}
		for _, alias := range m.children {
			if alias.kind != codecs.String {
				p.invalid(alias, "an alias has to be a string, not %s", article(alias.kind))
				continue
			}
			if count++; count > maxAliases {
				p.invalid(list, `"field_aliases" has more than %d names`, maxAliases)
				return nil
			}
			aliases[m.name] = append(aliases[m.name], alias.value.Str)
		}
	}
	return aliases
}

// decoder makes the decoder of a source, once all paths are known.
func (p shotParser) decoder(ctx context.Context, s *OneShotSource, paths []codecs.Path) {
	if s.format == nil {
		s.decoder = jsoncodec.New(paths)
		return
	}
	d, err := p.formats.Inline(ctx, *s.format, paths)
	at := s.schema
	if f := fault.As(err); f != nil && f.Code == codecs.CodeNoMessage && s.message != nil {
		at = s.message
	}
	if err != nil {
		p.invalid(at, "%v", err)
	}
	s.decoder = d
}
