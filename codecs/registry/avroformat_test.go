package registry

import (
	"strings"
	"testing"

	"leat/internal/fault"
)

// One schema has one id however it is written; what makes a difference to a reader makes
// another.
func TestAvroIdentity(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	d.formats = formats()
	if err := d.SetLevel(t.Context(), "", LevelNone); err != nil {
		t.Fatal(err)
	}
	const record = `{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}`
	for _, c := range []struct {
		text string
		id   int
	}{
		{record, 1},
		{"{ \"fields\": [ {\"type\":\"int\", \"name\":\"a\"} ],\n \"name\":\"r\", \"type\":\"record\" }", 1},
		{`{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"int"}}]}`, 1},
		{`{"type":"record","name":"r","fields":[{"name":"a","type":"int","default":1}]}`, 2},
		{`{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"int","logicalType":"date"}}]}`, 3},
		{`{"type":"record","name":"r","fields":[{"name":"a","type":"int","aliases":["b"]}]}`, 4},
		{`{"type":"record","name":"r","doc":"x","fields":[{"name":"a","type":"int"}]}`, 5},
		{`"int"`, 6},
		{`{"type":"int"}`, 6},
		{`["null","int"]`, 7},
		{`{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"map","values":"string"},"default":{"type":"x"}}]}`, 8},
		{`{"type":"record","name":"r","fields":[{"name":"a","type":"string","default":"x"}]}`, 9},
	} {
		v, err := d.Register(t.Context(), "s", Draft{Text: c.text})
		if err != nil || v.Schema.ID != c.id {
			t.Errorf("%s: %+v, %v, want id %d", c.text, v.Schema, err, c.id)
		}
	}
	for _, bad := range []string{``, `{`, `{"type":"record"}`, `"strin"`, `{"type":"int"} x`, `12`, "\x00", strings.Repeat("[", 100_000)} {
		_, err := d.Register(t.Context(), "s", Draft{Text: bad})
		d.refused(err, fault.Unprocessable, CodeInvalidSchema)
	}
}

func TestAvroReferencesAndReasons(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	d.formats = formats()
	ctx := t.Context()
	d.register("address", `{"type":"record","name":"geo.Address","fields":[{"name":"city","type":"string"}]}`, 1, 1)
	const person = `{"type":"record","name":"Person","fields":[{"name":"home","type":"geo.Address"}]}`
	_, err := d.Register(ctx, "person", Draft{Text: person})
	d.refused(err, fault.Unprocessable, CodeInvalidSchema)
	d.register("person", person, 2, 1, Reference{"geo.Address", "address", 1})
	_, err = d.Register(ctx, "address", Draft{Text: `{"type":"record","name":"geo.Address","fields":[{"name":"city","type":"string"},{"name":"zip","type":"int"}]}`})
	d.refused(err, fault.Conflict, CodeIncompatible)
	const want = `Schema being registered is incompatible with an earlier schema for subject "address", details: ` +
		`[{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'zip' at path '/fields/1' in the new schema ` +
		`has no default value and is missing in the old schema', additionalInfo:'zip'}, {oldSchemaVersion: 1}, ` +
		`{oldSchema: '{"type":"record","name":"geo.Address","fields":[{"name":"city","type":"string"}]}'}, {compatibility: 'BACKWARD'}]`
	if got := fault.As(err).Message; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := d.SetLevel(ctx, "person", LevelForward); err != nil {
		t.Fatal(err)
	}
	_, reasons, err := d.Check(ctx, "person", 0, Draft{Text: `{"type":"record","name":"Person","fields":[]}`})
	if err != nil || len(reasons) != 4 || !strings.Contains(reasons[0], `The field 'home' at path '/fields/0' in the old schema has no default value and is missing in the new schema`) {
		t.Errorf("%q, %v", reasons, err)
	}
	d.sound()
}
