package registry

import "leat/codecs/avrocodec"

// avroFormat knows Avro.
type avroFormat struct{}

// avroParsed is an Avro schema.
type avroParsed struct {
	schema    *avrocodec.Schema
	canonical string
}

func (avroFormat) parse(text string, sources []Source) (parsed, error) {
	references := make([]avrocodec.Reference, len(sources))
	for i, s := range sources {
		references[i] = avrocodec.Reference{Name: s.Name, Text: s.Text}
	}
	schema, err := avrocodec.ParseSchema(text, references)
	if err != nil {
		return nil, err
	}
	v, err := jsonValue(text)
	if err != nil {
		return nil, err
	}
	return &avroParsed{schema: schema, canonical: string(encode(plain(v)))}, nil
}

// plain writes a type that is only named the one way: {"type":"int"} as "int". What else
// is in a schema stays, also what the Parsing Canonical Form leaves out: defaults,
// aliases and logical types make a difference to a reader.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name, inside := range v {
			if name != "default" {
				v[name] = plain(inside)
			}
		}
		if t, ok := v["type"].(string); ok && len(v) == 1 {
			return t
		}
	}
	return v
}

func (p *avroParsed) identity() string { return p.canonical }

func (p *avroParsed) reads(writer parsed, as roles) []string {
	w, ok := writer.(*avroParsed)
	if !ok {
		return []string{errOtherType}
	}
	return reasons(p.schema.Incompatibilities(w.schema), as)
}
