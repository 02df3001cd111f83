package registry

import (
	"strings"
	"testing"

	"leat/internal/fault"
)

func TestProtobuf(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	d.formats = formats()
	ctx := t.Context()
	register := func(subject, text string, id int, references ...Reference) {
		t.Helper()
		v, err := d.Register(ctx, subject, Draft{Type: Protobuf, Text: text, References: references})
		if err != nil || v.Schema.ID != id {
			t.Fatalf("%s: %+v, %v", text, v.Schema, err)
		}
	}
	const money = `syntax = "proto3"; package common; message Money { int64 cents = 1; }`
	const base = `syntax = "proto3"; import "money.proto"; message Base { common.Money m = 1; }`
	const order = `syntax = "proto3"; import "base.proto"; import "money.proto"; message Order { Base b = 1; common.Money total = 2; }`
	register("money", money, 1)
	register("money", "// Money.\n"+strings.ReplaceAll(money, "; ", ";\n"), 1)
	register("base", base, 2, Reference{"money.proto", "money", 1})
	register("order", order, 3, Reference{"base.proto", "base", 1}, Reference{"money.proto", "money", 1})
	s, err := d.ByID(3)
	if err != nil || len(s.Sources) != 2 || s.Sources[0].Name != "money.proto" || s.Sources[1].Name != "base.proto" {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, bad := range []Draft{
		{Text: "syntax = \"proto3\"; message {"}, {Text: order}, {Text: `"int"`}, {Text: ""},
	} {
		bad.Type = Protobuf
		_, err := d.Register(ctx, "order", bad)
		if bad.Text == "" { // an empty file is one
			d.refused(err, fault.Conflict, CodeIncompatible)
			continue
		}
		d.refused(err, fault.Unprocessable, CodeInvalidSchema)
	}
	_, reasons, err := d.Check(ctx, "money", 0, Draft{Type: Protobuf, Text: `syntax = "proto3"; package common; message Money { double cents = 1; }`})
	const want = `{errorType:'FIELD_SCALAR_KIND_CHANGED', description:'The kind of the field 'cents' at path '#/Money/1' in the new schema is double, and int64 in the old schema'}`
	if err != nil || len(reasons) != 4 || reasons[0] != want {
		t.Errorf("%q, %v", reasons, err)
	}
	register("money", `syntax = "proto3"; package common; message Money { int64 cents = 1; string currency = 2; }`, 4)
	d.sound()
}
