package queries

import (
	"context"
	"errors"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/internal/fault"
)

// Formats knows how records can be written. Errors are faults: Invalid is what a spec
// says wrongly.
type Formats interface {
	Source(ctx context.Context, spec codecs.FormatSpec) (codecs.Format, error)
	// Sink finds how rows of a type are written; of a pinned format row is not looked at.
	Sink(ctx context.Context, spec codecs.FormatSpec, row *codecs.Type) (codecs.RowFormat, error)
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
	bound.format, b.sources[i].format = f, f
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
	b.addFault(at, err)
}

// addFault notes an error of the formats.
func (b *binder) addFault(at *jsonNode, err error) {
	kind, code := fault.KindOf(err), codeInvalid
	if f := fault.As(err); f != nil && kind != fault.Invalid {
		code = f.Code
	}
	b.add(at, kind, code, "%v", err)
}

// sinkFormat resolves how the rows are written.
func (b *binder) sinkFormat(ctx context.Context, n Names, s *SinkPlan) {
	if s.Format.Name == "" {
		return
	}
	spec := b.spec.Sink
	if n.Formats == nil {
		b.add(spec.format, fault.Unprocessable, codeUnsupported, "format %q is not available in this version", s.Format.Name)
		return
	}
	if at := len(b.spec.Sources); at < len(n.Pins) {
		s.Format.Pin = n.Pins[at]
	}
	row := codecs.UnknownType()
	if len(b.problems) == 0 && !b.spec.flawed {
		if row = b.rowType(); b.spec.withdraws() && s.Key == nil {
			row = withdrawable(row)
		}
	} else if s.Format.Schema == "" {
		return // the rows, of which the schema may be made, are not known
	}
	at := spec.schema
	if at == nil {
		at = spec.format
	}
	f, err := n.Formats.Sink(ctx, s.Format, row)
	var member *codecs.MemberError
	switch {
	case errors.As(err, &member):
		b.noPlace(at, member)
		return
	case err != nil:
		b.addFault(at, err)
		return
	}
	s.rows = f
	if notice := f.Notice(); notice != "" {
		b.bound.Warnings = append(b.bound.Warnings, notice)
	}
}

// noPlace notes a member of the output row that the schema of the sink has no place for.
func (b *binder) noPlace(at *jsonNode, err *codecs.MemberError) {
	if n := b.memberNode(err.Path); n != nil {
		at = n
	}
	kind, hint := fault.Unprocessable, ""
	if err.NoField {
		kind = fault.Invalid
	}
	if err.Unknown {
		hint = `; the schema of the sink is made from the types of the output row: convert the value in "select", as with string(x), int(x) or float(x), or register a schema for the topic that is read`
	}
	b.add(at, kind, codeInvalid, "the sink in %s: %v%s", b.spec.Sink.Format, err, hint)
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

// Pins name the formats of the sources and, behind them, of the sink, for Names. It has
// the schema of the sink registered, where that has yet to be.
func (p *Plan) Pins(ctx context.Context) ([]string, error) {
	var pins []string
	for i := range p.Sources {
		if f := p.Sources[i].Format; f != nil {
			pins = append(pins, f.Pin())
		}
	}
	for i := range p.Sinks {
		s := &p.Sinks[i]
		if s.rows == nil {
			continue
		}
		pin, err := s.rows.Register(ctx)
		if err != nil {
			return nil, noRegistration(err)
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

// noRegistration says in the words of a spec why the schema of the sink cannot be
// registered.
func noRegistration(err error) error {
	f := fault.As(err)
	if f == nil || f.Kind != fault.Unprocessable && f.Kind != fault.Invalid {
		return err
	}
	return fault.New(fault.Unprocessable, codeInvalid, "%w", err).With("pointer", "/sink/format")
}
