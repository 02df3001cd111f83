package registry

import (
	"context"

	"leat/codecs/protocodec"
)

// protoFormat knows Protobuf.
type protoFormat struct{}

// protoParsed is a Protobuf file.
type protoParsed struct {
	schema    *protocodec.Schema
	canonical string
}

// parse compiles a file. What that costs is bounded by the limits of protocodec.
func (protoFormat) parse(text string, sources []Source) (parsed, error) {
	references := make([]protocodec.Reference, len(sources))
	for i, s := range sources {
		references[i] = protocodec.Reference{Name: s.Name, Text: s.Text}
	}
	schema, err := protocodec.ParseSchema(context.Background(), text, references)
	if err != nil {
		return nil, err
	}
	canonical, err := schema.Canonical()
	if err != nil {
		return nil, err
	}
	return &protoParsed{schema: schema, canonical: canonical}, nil
}

func (p *protoParsed) identity() string { return p.canonical }

func (p *protoParsed) reads(writer parsed, as roles) []string {
	w, ok := writer.(*protoParsed)
	if !ok {
		return []string{errOtherType}
	}
	return reasons(p.schema.Incompatibilities(w.schema), as)
}
