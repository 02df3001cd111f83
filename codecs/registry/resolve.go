package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"leat/internal/bus"
	"leat/internal/fault"
)

// schema reads what is registered under an id, and what it needs.
func (s *session) schema(r *Registry, id int) (*Schema, error) {
	doc, found := s.docs.Doc(bus.MetaShard, idKey(id))
	if !found {
		return nil, errIDNotFound(id)
	}
	if known := r.parsed.get(id, doc.Version); known != nil {
		return known.schema, nil
	}
	var record record
	if _, err := s.load(idKey(id), &record); err != nil {
		return nil, err
	}
	sources, err := s.sources(r, record.References)
	if err != nil {
		return nil, err
	}
	schema := &Schema{ID: id, Type: record.Type, Text: record.Text, References: record.References, Sources: sources}
	r.parsed.put(&entry{schema: schema, version: doc.Version})
	return schema, nil
}

// form is what the language makes of a registered schema.
func (s *session) form(r *Registry, id int) (parsed, error) {
	schema, err := s.schema(r, id)
	if err != nil {
		return nil, err
	}
	doc, _ := s.docs.Doc(bus.MetaShard, idKey(id))
	if known := r.parsed.get(id, doc.Version); known != nil && known.parsed != nil {
		return known.parsed, nil
	}
	p, err := r.parse(schema.Type, schema.Text, schema.Sources)
	if err != nil {
		return nil, fault.New(fault.Internal, "internal", "the registered schema %d cannot be read any more: %w", id, err)
	}
	r.parsed.put(&entry{schema: schema, version: doc.Version, parsed: p})
	return p, nil
}

func (r *Registry) parse(t Type, text string, sources []Source) (parsed, error) {
	format := r.formats[t]
	if format == nil {
		return nil, errInvalidSchema("The schema type %q is not one of %s", clip(string(t), 80), r.typeNames())
	}
	p, err := format.parse(text, sources)
	if err != nil {
		return nil, errInvalidSchema("%w", err)
	}
	return p, nil
}

func (r *Registry) typeNames() string {
	var names []string
	for _, t := range r.Types() {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

// sources finds the texts that references lead to, each after what it needs itself.
// Every name stands for one text.
func (s *session) sources(r *Registry, references []Reference) ([]Source, error) {
	w := walk{session: s, registry: r, texts: map[string]string{}}
	if err := w.follow(references, 0); err != nil {
		return nil, err
	}
	return w.list, nil
}

type walk struct {
	session  *session
	registry *Registry
	texts    map[string]string // by name
	list     []Source
	bytes    int
}

func (w *walk) follow(references []Reference, depth int) error {
	limits := w.registry.limits
	for _, reference := range references {
		if len(w.list) >= limits.References || depth >= limits.References {
			return errInvalidSchema("The schema needs more than %d others", limits.References)
		}
		v, err := w.session.versionOf(reference.Subject, reference.Version, true)
		if err != nil {
			return errInvalidSchema("No schema reference found for subject %q and version %d", clip(reference.Subject, 80), reference.Version)
		}
		var record record
		if found, err := w.session.load(idKey(v.ID), &record); err != nil || !found {
			return errIDNotFound(v.ID)
		}
		known, again := w.texts[reference.Name]
		switch {
		case again && known != record.Text:
			return errInvalidSchema("The name %q stands for two schemas among those it needs", clip(reference.Name, 80))
		case again:
			continue
		}
		if w.bytes += len(record.Text); w.bytes > limits.SchemaBytes {
			return errInvalidSchema("The schemas that it needs have more than %d bytes", limits.SchemaBytes)
		}
		w.texts[reference.Name] = record.Text
		if err := w.follow(record.References, depth+1); err != nil {
			return err
		}
		w.list = append(w.list, Source{Name: reference.Name, Text: record.Text})
	}
	return nil
}

// draft is a Draft that has been read.
type draft struct {
	Draft
	sources []Source
	parsed  parsed
	hash    string
}

// prepare reads a draft: its references, which it makes exact, and its text.
func (s *session) prepare(r *Registry, d Draft) (*draft, error) {
	if d.Type == "" {
		d.Type = Avro
	}
	if len(d.Text) > r.limits.SchemaBytes {
		return nil, fault.New(fault.Unprocessable, CodeSchemaTooLarge, "The schema has %d bytes, and %d is the limit", len(d.Text), r.limits.SchemaBytes)
	}
	if d.ID > maxID || d.ID < 0 || d.Version >= maxID || d.Version < 0 {
		return nil, errInvalidSchema("The id and the version of a schema are numbers from 1 to %d", maxID-1)
	}
	d.References = slices.Clone(d.References)
	for i := range d.References {
		if err := s.pin(&d.References[i]); err != nil {
			return nil, err
		}
	}
	sources, err := s.sources(r, d.References)
	if err != nil {
		return nil, err
	}
	p, err := r.parse(d.Type, d.Text, sources)
	if err != nil {
		return nil, err
	}
	return &draft{Draft: d, sources: sources, parsed: p, hash: hashOf(d.Type, p.identity(), d.References)}, nil
}

// pin checks a reference and gives it the number of the version it means.
func (s *session) pin(reference *Reference) error {
	if reference.Name == "" || len(reference.Name) > maxReferenceBytes || CheckSubject(reference.Subject) != nil {
		return errInvalidSchema("A reference needs a name, a subject and a version")
	}
	v, err := s.versionOf(reference.Subject, reference.Version, false)
	if err != nil {
		return errInvalidSchema("No schema reference found for subject %q and version %d", clip(reference.Subject, 80), reference.Version)
	}
	reference.Version = v.Number
	return nil
}

// hashOf names an identity: the type, the identity of the text and the references,
// whose order does not count.
func hashOf(t Type, identity string, references []Reference) string {
	sorted := slices.Clone(references)
	slices.SortFunc(sorted, func(a, b Reference) int { return strings.Compare(a.Name, b.Name) })
	h := sha256.New()
	h.Write(encode(struct {
		Type       Type
		References []Reference
	}{t, sorted}))
	h.Write([]byte{0})
	h.Write([]byte(identity))
	return hex.EncodeToString(h.Sum(nil))
}
