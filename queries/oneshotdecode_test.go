package queries

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/internal/fault"
)

// backwards reads JSON that is written backwards, and remembers what it was asked for.
type backwards struct{ asked []codecs.InlineFormat }

func (b *backwards) Inline(_ context.Context, f codecs.InlineFormat, paths []codecs.Path) (codecs.Decoder, error) {
	b.asked = append(b.asked, f)
	if f.Message == "none" {
		return nil, fault.New(fault.Invalid, codecs.CodeNoMessage, "the Protobuf schema has no message %q", f.Message)
	}
	if f.Schema == "bad" {
		return nil, fault.New(fault.Invalid, "invalid_format", "the schema: %w", errors.New("schema.proto:1:1: no"))
	}
	return &backwardsDecoder{jsoncodec.New(paths)}, nil
}

type backwardsDecoder struct{ json *jsoncodec.Decoder }

func (d *backwardsDecoder) Decode(values [][]byte, into *codecs.Columns) []codecs.RowError {
	turned := make([][]byte, len(values))
	for i, v := range values {
		turned[i] = []byte(reversed(string(v)))
	}
	return d.json.Decode(turned, into)
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

func TestOneShotDecode(t *testing.T) {
	t.Parallel()
	var plain, turned []shotRecord
	for i := range 6 {
		row := fmt.Sprintf(`{"i":%d,"k":"%c"}`, i, 'a'+i%3)
		plain, turned = append(plain, shotRecord{int64(i), row}), append(turned, shotRecord{int64(i), reversed(row)})
	}
	turned = append(turned, shotRecord{9, `{"not":"turned"}`})
	logs := shotLogs{"plain": shotLog(t, plain), "turned": shotLog(t, turned)}
	formats := &backwards{}
	const decode = `"decode":{"type":"avro","schema_text":"{}","message":"M","apply_defaults":true,"field_aliases":{"i":["j","k"]},"unknown":1}`
	q, problems := ParseOneShotQuery(t.Context(), []byte(`{"source":{"topic":"turned","partition":0,`+decode+`},"filter":[{"field":"k","op":"eq","value":"b"}],"transform":{"emit_rows":9}}`), formats)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	out, err := q.Run(t.Context(), logs, logs.all("turned"), shotLimits())
	if rows := joined(out.Rows); err != nil || rows != "{\"i\":1,\"k\":\"b\"}\n{\"i\":4,\"k\":\"b\"}\n" || out.Consumed != 7 {
		t.Errorf("%s, %d, %v", rows, out.Consumed, err)
	}
	want := codecs.InlineFormat{Format: "avro", Schema: "{}", Message: "M", Defaults: true}
	got := formats.asked[0]
	if fmt.Sprint(got.Aliases) != "map[i:[j k]]" {
		t.Errorf("aliases %v", got.Aliases)
	}
	if got.Aliases = nil; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asked for %+v, want %+v", got, want)
	}
	j, problems := ParseOneShotJoin(t.Context(), []byte(`{"left":{"topic":"turned","partition":0,"decode":{"type":"proto","encoding":"json","schema_text":"x"}},
		"right":{"topic":"plain","partition":0},"on":{"left_key":"i","right_key":"i"}}`), formats)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	pairs, err := j.Run(t.Context(), logs, [2]OneShotRange{logs.all("turned"), logs.all("plain")}, shotLimits())
	if err != nil || len(pairs.Rows) != 6 || pairs.Scanned != [2]int{7, 6} {
		t.Errorf("%d rows, %v, %v", len(pairs.Rows), pairs.Scanned, err)
	}
	if f := formats.asked[1]; f.Format != "protobuf" || !f.JSON {
		t.Errorf("asked for %+v", f)
	}
}

func TestOneShotDecodeProblems(t *testing.T) {
	t.Parallel()
	for decode, want := range map[string]string{
		`{"type":"avro","schema_text":"bad"}`:                 "/source/decode/schema_text",
		`{"type":"proto","schema_text":"x","message":"none"}`: "/source/decode/message",
		`{"type":"avro"}`: "/source/decode",
		`{"type":"avro","encoding":"text","schema_text":"x"}`:                                                     "/source/decode/encoding",
		`{"type":"avro","schema_text":{}}`:                                                                        "/source/decode/schema_text",
		`{"type":"avro","schema_text":"x","field_aliases":{"a":"b"}}`:                                             "/source/decode/field_aliases/a",
		`{"type":"avro","schema_text":"x","field_aliases":{"a":[1]}}`:                                             "/source/decode/field_aliases/a/0",
		`{"type":"avro","schema_text":"x","apply_defaults":"yes"}`:                                                "/source/decode/apply_defaults",
		`{"type":"proto","schema_text":"x","message":1}`:                                                          "/source/decode/message",
		`{"type":"avro","schema_text":"x","field_aliases":{"a":[` + strings.Repeat(`"b",`, maxAliases) + `"b"]}}`: "/source/decode/field_aliases",
	} {
		_, problems := ParseOneShotQuery(t.Context(), []byte(`{"source":{"topic":"t","partition":0,"decode":`+decode+`}}`), &backwards{})
		if len(problems) != 1 || problems[0].Pointer != want || problems[0].Kind != fault.Invalid {
			t.Errorf("%.80s: %v", decode, problems)
		}
	}
}
