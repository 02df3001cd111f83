package queries

import (
	"context"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/internal/fault"
)

// Formats knows how records can be written. Errors are faults: Invalid is what a spec
// says wrongly.
type Formats interface {
	Source(ctx context.Context, spec codecs.FormatSpec) (codecs.Format, error)
}

// Names is what the names in a spec stand for.
type Names struct {
	Topics  TopicLookup
	Formats Formats // nil: all records are JSON, without frames
	// Pins are what Plan.Pins was when the query was created: it reads the same formats
	// again, whatever has been registered since. nil looks anew.
	Pins []string
}

// format resolves how the records of source i are written.
func (b *binder) format(ctx context.Context, n Names, i int) {
	s, bound := &b.spec.Sources[i], &b.bound.sources[i]
	if bound.topic.Name == "" {
		return // a problem already
	}
	if n.Formats == nil {
		if s.format != nil && s.Format != codecs.FormatJSON {
			b.unsupported(s.format, `"format"`)
		}
		if s.schema != nil {
			b.unsupported(s.schema, `"schema"`)
		}
		return
	}
	spec := codecs.FormatSpec{Topic: s.Topic, Name: s.Format, Schema: s.Schema}
	if i < len(n.Pins) {
		spec.Pin = n.Pins[i]
	}
	f, err := n.Formats.Source(ctx, spec)
	if err != nil {
		b.noFormat(s, err)
		return
	}
	bound.format, b.source.format = f, f
}

// noFormat notes why there is no format, where the spec says what it should be.
func (b *binder) noFormat(s *SourceSpec, err error) {
	at := s.schema
	if at == nil {
		at = s.format
	}
	if at == nil {
		at = s.topic
	}
	kind, code := fault.KindOf(err), codeInvalid
	if f := fault.As(err); f != nil && kind != fault.Invalid {
		code = f.Code
	}
	b.add(at, kind, code, "%v", err)
}

// kindsOf is what an expression knows of cells that a schema describes.
func kindsOf(s codecs.KindSet) kindSet {
	var kinds kindSet
	for k := codecs.Missing; k <= codecs.Array; k++ {
		if s.Has(k) {
			kinds |= setOf(k)
		}
	}
	return kinds
}

// decoder makes a decoder of the source's records, and, if it has to be prepared for
// each batch, what does that.
func (s *SourcePlan) decoder() (codecs.Decoder, codecs.FramedDecoder) {
	if s.Format == nil {
		return jsoncodec.New(s.Paths), nil
	}
	d := s.Format.Decoder(s.Paths)
	return d, d
}

// formatText names the format of the source's records.
func (s *SourcePlan) formatText() string {
	if s.Format == nil {
		return codecs.FormatJSON
	}
	return s.Format.String()
}

// Pins name the formats of the sources, for Names.
func (p *Plan) Pins() []string {
	var pins []string
	for i := range p.Sources {
		if f := p.Sources[i].Format; f != nil {
			pins = append(pins, f.Pin())
		}
	}
	return pins
}
