package main

import (
	"context"

	"leat/codecs/formats"
	"leat/codecs/registry"
)

var _ formats.Registry = registeredSchemas{}

// registeredSchemas is the registry in the words of the formats.
type registeredSchemas struct{ registry *registry.Registry }

// ByID finds the schema of an id.
func (r registeredSchemas) ByID(id int) (formats.Schema, error) {
	s, err := r.registry.ByID(id)
	if err != nil {
		return formats.Schema{}, err
	}
	return formatsSchema(s), nil
}

// At finds a version of a subject.
func (r registeredSchemas) At(subject string, number int) (formats.Version, error) {
	if number == formats.Latest {
		number = registry.Latest
	}
	v, err := r.registry.At(subject, number)
	if err != nil {
		return formats.Version{}, err
	}
	return formatsVersion(v), nil
}

// Every lists the versions of a subject.
func (r registeredSchemas) Every(subject string) ([]formats.Version, error) {
	all, err := r.registry.Every(subject)
	list := make([]formats.Version, len(all))
	for i, v := range all {
		list[i] = formatsVersion(v)
	}
	return list, err
}

// LastID is the largest id ever given out.
func (r registeredSchemas) LastID(ctx context.Context) (int, error) { return r.registry.LastID(ctx) }

// Add registers a schema.
func (r registeredSchemas) Add(ctx context.Context, subject string, s formats.Schema) (formats.Version, error) {
	v, err := r.registry.Register(ctx, subject, draftOf(s))
	if err != nil {
		return formats.Version{}, err
	}
	return formatsVersion(v), nil
}

// Compare tells why a subject does not allow a schema.
func (r registeredSchemas) Compare(ctx context.Context, subject string, s formats.Schema) ([]string, error) {
	_, reasons, err := r.registry.Check(ctx, subject, 0, draftOf(s))
	return reasons, err
}

func draftOf(s formats.Schema) registry.Draft {
	return registry.Draft{Type: registry.Type(s.Language), Text: s.Text}
}

// State changes with the registry.
func (r registeredSchemas) State() uint64 {
	state, _ := r.registry.Changed()
	return state
}

func formatsVersion(v registry.Version) formats.Version {
	return formats.Version{Subject: v.Subject, Number: v.Number, Schema: formatsSchema(v.Schema)}
}

func formatsSchema(s *registry.Schema) formats.Schema {
	out := formats.Schema{ID: s.ID, Language: string(s.Type), Text: s.Text}
	for _, source := range s.Sources {
		out.Sources = append(out.Sources, formats.Source{Name: source.Name, Text: source.Text})
	}
	return out
}
