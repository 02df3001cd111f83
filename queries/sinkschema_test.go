package queries

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"leat/codecs"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/internal/fault"
	"leat/queries/fakebus"
)

const (
	readAvro = `{"type":"record","name":"In","fields":[{"name":"k","type":"string"},{"name":"n","type":"int"},{"name":"x","type":"double"},` +
		`{"name":"ok","type":["null","boolean"],"default":null},{"name":"raw","type":"bytes"},{"name":"at","type":{"type":"record","name":"Place",` +
		`"fields":[{"name":"city","type":"string"},{"name":"next","type":["null","Place"],"default":null}]}},{"name":"tags","type":{"type":"map","values":"long"}},` +
		`{"name":"either","type":["string","long"]}]}`
	readProto = `syntax = "proto3"; message In { string k = 1; int32 n = 2; optional string note = 3; repeated Item items = 4; } message Item { uint64 id = 1; }`
)

// sinkSchemas makes a topic of each format, and what knows them.
func sinkSchemas(t *testing.T) (*fakebus.Bus, *formatstest.Registry, Names) {
	t.Helper()
	registry := formatstest.New()
	registry.Register("in-value", formats.Avro, readAvro)
	registry.Register("proto-value", formats.Protobuf, readProto)
	b := newBus(t, nil)
	for _, topic := range []string{"proto", "json"} {
		if err := b.CreateTopic(topic, 1); err != nil {
			t.Fatal(err)
		}
	}
	return b, registry, Names{Topics: b, Formats: formats.New(registry)}
}

// made is the schema that a query's sink gets, without the white space.
func made(t *testing.T, names Names, registry *formatstest.Registry, spec string) (string, Problems) {
	t.Helper()
	_, plan, _, problems := names.Compile(t.Context(), []byte(spec))
	if len(problems) > 0 {
		return "", problems
	}
	pinOf(t, plan)
	v, err := registry.At("out.d-value", formats.Latest)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(v.Schema.Text), " "), nil
}

// TestSinkSchemas has the schema that is made for the rows of each kind of query.
func TestSinkSchemas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, spec, avro, proto string }{
		{"expressions", `"source":{"topic":"in"},"select":{"k":"k","a b":"n + 1","x":"x","b":"n > 1","t":"string(raw)","c":"ok ?? false","d":"n > 1 ? 1 : x","avg":"n / 2"}`,
			`{"name":"k","type":"string"},{"name":"a_b","type":"long"},{"name":"x","type":"double"},{"name":"b","type":"boolean"},{"name":"t","type":"string"},` +
				`{"name":"c","type":"boolean"},{"name":"d","type":"double"},{"name":"avg","type":"double"}`,
			`string k = 1; int64 a_b = 2; double x = 3; bool b = 4; string t = 5; bool c = 6; double d = 7; double avg = 8;`},
		{"fields", `"source":{"topic":"in"},"select":{"ok":"ok","raw":"raw","at":"at","tags":"tags","tag":"tags.a","parts":"split(k, \",\")"}`,
			`{"name":"ok","type":["null","boolean"],"default":null},{"name":"raw","type":"bytes"},{"name":"at","type":{"type":"record","name":"out_d_at","fields":` +
				`[{"name":"city","type":"string"},{"name":"next","type":["null","out_d_at"],"default":null}]}},{"name":"tags","type":{"type":"map","values":"long"}},` +
				`{"name":"tag","type":["null","long"],"default":null},{"name":"parts","type":{"type":"array","items":"string"}}`,
			`optional bool ok = 1; bytes raw = 2; out_d_at at = 3; map<string, int64> tags = 4; optional int64 tag = 5; repeated string parts = 6; } message out_d_at { string city = 1; out_d_at next = 2;`},
		{"aggregates", `"source":{"topic":"in"},"group_by":["k","at.city"],"window":{"tumbling":"1h"},"aggregate":{"n":"count()","s":"sum(n)","f":"sum(x)","a":"avg(n)","top":"top_k(k, 3)","all":"collect(ok)","best":"max_by(k, n)"}`,
			`{"name":"k","type":"string"},{"name":"at_city","type":"string"},{"name":"n","type":"long"},{"name":"s","type":["null","long"],"default":null},` +
				`{"name":"f","type":["null","double"],"default":null},{"name":"a","type":["null","double"],"default":null},` +
				`{"name":"top","type":{"type":"array","items":{"type":"record","name":"out_d_top_item","fields":[{"name":"value","type":"string"},{"name":"count","type":"long"}]}}},` +
				`{"name":"all","type":{"type":"array","items":"boolean"}},{"name":"best","type":["null","string"],"default":null},` +
				`{"name":"window_start","type":"long"},{"name":"window_end","type":"long"}`,
			`string k = 1; string at_city = 2; int64 n = 3; optional int64 s = 4; optional double f = 5; optional double a = 6; repeated out_d_top top = 7; repeated bool all = 8; optional string best = 9; ` +
				`int64 window_start = 10; int64 window_end = 11; } message out_d_top { string value = 1; int64 count = 2;`},
		{"a selected group", `"source":{"topic":"in"},"group_by":["k"],"window":{"session":"1h"},"aggregate":{"n n":"count()","s":"sum(n)"},"select":{"name":"upper(k)","many":"n n","mean":"s / 2","end":"window_end"}`,
			`{"name":"name","type":"string"},{"name":"many","type":"long"},{"name":"mean","type":["null","double"],"default":null},{"name":"end","type":"long"}`,
			`string name = 1; int64 many = 2; optional double mean = 3; int64 end = 4;`},
		{"rows that may be withdrawn", `"source":{"topic":"in"},"group_by":["k"],"window":{"session":"1h"},"aggregate":{"n":"count()"},"emit":"changes","select":{"k":"k","n":"n"}`,
			`{"name":"k","type":["null","string"],"default":null},{"name":"n","type":["null","long"],"default":null},{"name":"withdrawn","type":["null","boolean"],"default":null}`,
			`optional string k = 1; optional int64 n = 2; optional bool withdrawn = 3;`},
		{"a join", `"join":{"type":"left","on":[["k","k"]],"window":{"tumbling":"1h"},"left":{"topic":"in"},"right":{"topic":"proto"}},"select":{"k":"left.k","n":"right.n","note":"right.note","items":"right.items"}`,
			`{"name":"k","type":["null","string"],"default":null},{"name":"n","type":["null","long"],"default":null},{"name":"note","type":["null","string"],"default":null},` +
				`{"name":"items","type":["null",{"type":"array","items":{"type":"record","name":"out_d_items_item","fields":[{"name":"id","type":"long"}]}}],"default":null}`,
			`optional string k = 1; optional int64 n = 2; optional string note = 3; repeated out_d_items items = 4; } message out_d_items { int64 id = 1;`},
		{"whole records", `"source":{"topic":"proto"}`,
			`{"name":"k","type":"string"},{"name":"n","type":"long"},{"name":"note","type":["null","string"],"default":null},` +
				`{"name":"items","type":{"type":"array","items":{"type":"record","name":"out_d_items_item","fields":[{"name":"id","type":"long"}]}}}`,
			`string k = 1; int64 n = 2; optional string note = 3; repeated out_d_items items = 4; } message out_d_items { int64 id = 1;`},
		{"JSON that is converted", `"source":{"topic":"json"},"select":{"k":"string(k)","n":"int(n)","x":"float(x) ?? 0","has":"has(y)"}`,
			`{"name":"k","type":["null","string"],"default":null},{"name":"n","type":["null","long"],"default":null},{"name":"x","type":"double"},{"name":"has","type":"boolean"}`,
			`optional string k = 1; optional int64 n = 2; double x = 3; bool has = 4;`},
	} {
		for format, want := range map[string]string{
			"avro":     `{"type":"record","name":"out_d","fields":[` + c.avro + `]}`,
			"protobuf": `syntax = "proto3"; message out_d { ` + c.proto + ` }`,
		} {
			spec := `{"name":"q",` + c.spec + `,"sink":{"topic":"out.d","format":"` + format + `"}}`
			_, registry, names := sinkSchemas(t)
			for range 2 { // the second time it is there
				if got, problems := made(t, names, registry, spec); got != want {
					t.Errorf("%s in %s: %v\n got %s\nwant %s", c.name, format, problems, got, want)
				}
			}
			if versions, _ := registry.Every("out.d-value"); len(versions) != 1 {
				t.Errorf("%s in %s: %d versions", c.name, format, len(versions))
			}
		}
	}
}

// TestSinkSchemasRefused has what no schema can be made of, and where it says so.
func TestSinkSchemasRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, format, pointer, says string }{
		{`"source":{"topic":"json"}`, "avro", "/sink/format", "its members are not known; the schema of the sink is made"},
		{`"source":{"topic":"json"},"group_by":["k"],"window":{"tumbling":"1h"},"aggregate":{"n":"count()"}`, "avro", "/group_by/0", `member "k": its type is not known`},
		{`"source":{"topic":"json"},"group_by":["k"],"window":{"tumbling":"1h"},"aggregate":{"m":"max(v)"},"select":{"m":"m"}`, "protobuf", "/select/m", "its type is not known"},
		{`"source":{"topic":"json"},"window":{"tumbling":"1h"},"aggregate":{"m":"collect(v)"}`, "protobuf", "/aggregate/m", `member "m[0]": its type is not known`},
		{`"join":{"on":[["k","k"]],"window":{"tumbling":"1h"},"left":{"topic":"in"},"right":{"topic":"json"}}`, "avro", "/sink/format", `member "right": its type is not known`},
		{`"source":{"topic":"in"},"select":{"e":"either"}`, "protobuf", "/select/e", `it may be int or string, for which Protobuf has no type`},
		{`"source":{"topic":"in"},"select":{"e":"k == \"a\" ? k : raw"}`, "avro", "/select/e", `it may be a string or bytes`},
		{`"source":{"topic":"in"},"select":{"a b":"k","a_b":"k"}`, "avro", "/select/a b", `in a schema it is called "a_b"`},
	} {
		_, registry, names := sinkSchemas(t)
		_, problems := made(t, names, registry, `{"name":"q",`+c.spec+`,"sink":{"topic":"out.d","format":"`+c.format+`"}}`)
		if len(problems) != 1 || problems[0].Pointer != c.pointer || problems[0].Kind != fault.Unprocessable || !strings.Contains(problems[0].Message, c.says) {
			t.Errorf("%s in %s: %v, want %s %s", c.spec, c.format, problems, c.pointer, c.says)
		}
	}
}

// TestSinkSchemaEvolves: a topic's schema that does not take the rows gets a version that
// does, if its subject allows that, and what takes them is left alone.
func TestSinkSchemaEvolves(t *testing.T) {
	t.Parallel()
	const out = `{"type":"record","name":"Out","fields":[%]}`
	for _, c := range []struct {
		name, before, selects string
		refused               bool // by the subject
		after                 string
		notice, problem       string
	}{
		{"it takes the rows", `{"name":"k","type":"string"},{"name":"n","type":"int"}`, `"k":"k","n":"n"`, false, "", "", ""},
		{"another type that is refused", `{"name":"k","type":"string"},{"name":"n","type":"int"}`, `"k":"k","n":"tags"`, true, "", "", "is not compatible"},
		{"a new member", `{"name":"k","type":"string"}`, `"k":"k","n":"n"`, false, `{"name":"k","type":"string"},{"name":"n","type":["null","long"],"default":null}`,
			`the schema out-value gets a new version, because of the output rows: member "n": the schema Out has no such field`, ""},
		{"a new member that is refused", `{"name":"k","type":"string"}`, `"k":"k","n":"n"`, true, "", "", `is not compatible with the versions of "out-value" before it: so it is`},
		{"null", `{"name":"k","type":"boolean"}`, `"k":"ok"`, false, `{"name":"k","type":["null","boolean"],"default":null}`, `it may be null`, ""},
		{"null that is refused", `{"name":"k","type":"boolean"}`, `"k":"ok"`, true, "", `those that have none are skipped: member "k": it may be null`, ""},
	} {
		_, registry, names := sinkSchemas(t)
		registry.Register("out-value", formats.Avro, strings.Replace(out, "%", c.before, 1))
		if c.refused {
			registry.Refuse("so it is")
		}
		_, plan, warnings, problems := names.Compile(t.Context(), []byte(`{"name":"q","source":{"topic":"in","idle_timeout":"1s"},"select":{`+c.selects+`},"sink":{"topic":"out","format":"avro"}}`))
		if c.problem != "" {
			wanted := fault.Unprocessable
			if c.refused {
				wanted = fault.Conflict
			}
			if len(problems) != 1 || problems[0].Kind != wanted || !strings.Contains(problems[0].Message, c.problem) {
				t.Errorf("%s: %v", c.name, problems)
			}
			continue
		}
		if len(problems) > 0 {
			t.Errorf("%s: %v", c.name, problems)
			continue
		}
		pinOf(t, plan)
		want := c.after
		if want == "" {
			want = c.before
		}
		if v, err := registry.At("out-value", formats.Latest); err != nil || v.Schema.Text != strings.Replace(out, "%", want, 1) {
			t.Errorf("%s: %v, %s", c.name, err, v.Schema.Text)
		}
		if text := strings.Join(warnings, "\n"); c.notice == "" && text != "" || !strings.Contains(text, c.notice) {
			t.Errorf("%s: warnings %q, want %q", c.name, text, c.notice)
		}
	}
}

// TestSinkSchemaManaged: to create a query registers the schema of its sink, once, and its
// rows are there in it, by the names that the schema has; a query that is refused registers
// nothing.
func TestSinkSchemaManaged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := formatstest.New()
		b := newBus(t, []string{`{"k":"a","w":1}`, `{"k":"b"}`})
		sinks := b.Sinks()
		options := func(c *ManagerConfig) { c.Formats, c.Sinks = formats.New(registry), sinks }
		m := startManager(t, b, "one", options)
		spec := `{"name":"q","source":{"topic":"in"},"select":{"the key":"string(k)","w":"int(w)"},"sink":{"topic":"out","format":"protobuf","key":"[\"the key\"]"}}`
		if _, err := m.Validate(t.Context(), []byte(spec)); err != nil {
			t.Fatal(err)
		}
		if versions, _ := registry.Every("out-value"); len(versions) != 0 {
			t.Error("to validate a query registers the schema of its sink")
		}
		m.create(spec)
		m.create(spec)
		if _, _, _, err := m.Create(t.Context(), []byte(strings.Replace(spec, `"w":`, `"v":`, 1))); fault.KindOf(err) != fault.Conflict {
			t.Errorf("another spec of the same name: %v", err)
		}
		if versions, _ := registry.Every("out-value"); len(versions) != 1 {
			t.Errorf("%d versions", len(versions))
		}
		m.status("q")
		appendRows(t, b, 0, `{"k":"c","w":3}`)
		m.status("q")
		m.stop()
		f, err := formats.New(registry).Source(t.Context(), codecs.FormatSpec{Topic: "out"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, record := range records(t, b, "out", 0) {
			key, value, _ := strings.Cut(record, "=")
			var into codecs.Columns
			if bad := f.Decoder([]codecs.Path{{}}).Decode([][]byte{[]byte(value)}, &into); len(bad) > 0 {
				t.Fatal(bad)
			}
			got = append(got, key+"="+into.Cols[0].Value(0).Str)
		}
		if want := []string{`a={"the_key":"a","w":1}`, `b={"the_key":"b"}`, `c={"the_key":"c","w":3}`}; !slices.Equal(got, want) {
			t.Errorf("records %q, want %q", got, want)
		}
	})
}
