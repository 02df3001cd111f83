package queries

import (
	"slices"

	"leat/codecs"
)

var formatNames = []string{codecs.FormatJSON, codecs.FormatAvro, codecs.FormatProtobuf}

// formatOf reads how the records of a source are written.
func (p *specParser) formatOf(n *jsonNode, s *SourceSpec) {
	if s.format = n.member("format"); s.format != nil {
		text, ok := p.text(s.format)
		if s.Format = text; ok && !slices.Contains(formatNames, text) {
			p.invalid(s.format, `"format" is %s`, quotedList(formatNames))
			s.Format = ""
		}
	}
	if s.schema = n.member("schema"); s.schema != nil {
		s.Schema = p.schemaOf(s.schema)
	}
	if s.schema != nil && s.Format == codecs.FormatJSON {
		p.invalid(s.schema, `"schema" goes with the formats "avro" and "protobuf": JSON has none`)
	}
}

// schemaOf reads a subject or a schema.
func (p *specParser) schemaOf(n *jsonNode) string {
	if n.kind == codecs.Object || n.kind == codecs.Array {
		return p.doc.excerpt(n) // of Avro, which is JSON
	}
	text, ok := p.text(n)
	if ok && text == "" {
		p.invalid(n, `"schema" is a subject, a subject with a version like "orders-value:3", or the text of a schema`)
	}
	return text
}

// sinkFormat reads how the records of a sink are written.
func (p *specParser) sinkFormat(n *jsonNode, s *SinkSpec) {
	if s.format = n.member("format"); s.format != nil {
		text, ok := p.text(s.format)
		if s.Format = text; ok && !slices.Contains(formatNames, text) {
			p.invalid(s.format, `"format" is %s`, quotedList(formatNames))
			s.Format = ""
		}
	}
	if s.Format == codecs.FormatJSON {
		s.Format = ""
	}
	if s.schema = n.member("schema"); s.schema != nil {
		s.Schema = p.schemaOf(s.schema)
		if s.Format == "" {
			p.invalid(s.schema, `"schema" goes with the formats "avro" and "protobuf"`)
		}
	}
	if s.Format != "" && n.member("kv") != nil {
		p.invalid(s.format, `a namespace has JSON: "format" goes with "topic"`)
	}
}
