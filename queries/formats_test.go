package queries

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/internal/fault"
)

// The versions of a schema; v1 to v2 adds a field and widens another, v3 drops one.
const (
	eventV1 = `{"type":"record","name":"Event","fields":[{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},` +
		`{"name":"k","type":"string"},{"name":"v","type":"int"},{"name":"old","type":"string"}]}`
	eventV2 = `{"type":"record","name":"Event","fields":[{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},` +
		`{"name":"extra","type":["null","string"],"default":null},{"name":"k","type":"string"},{"name":"v","type":"long"},{"name":"old","type":"string"}]}`
	eventV3 = `{"type":"record","name":"Event","fields":[{"name":"v","type":"long"},{"name":"k","type":"string"},{"name":"t","type":"long"}]}`
)

// inAvro is a record written with a schema, framed with an id; 0 is no frame.
func inAvro(t testing.TB, id int, schema, row string) string {
	t.Helper()
	s, err := avrocodec.ParseSchema(schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	var frame []byte
	if id > 0 {
		frame = codecs.AppendConfluent(nil, uint32(id))
	}
	record, err := avrocodec.NewEncoder(s).AppendJSON(frame, []byte(row))
	if err != nil {
		t.Fatal(err)
	}
	return string(record)
}

// TestBindFormats: specs are checked against the schema when they are posted.
func TestBindFormats(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	registry.Register("flights-value", formats.Avro, `{"type":"record","name":"Flight","fields":[{"name":"origin","type":"string"},
		{"name":"dep","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"delay","type":["null","int"]},{"name":"late","type":"boolean"},
		{"name":"legs","type":{"type":"array","items":{"type":"record","name":"Leg","fields":[{"name":"miles","type":"double"}]}}}]}`)
	names := Names{Topics: specTopics{}, Formats: formats.New(registry)}
	const group = `"group_by":["origin"],"window":{"tumbling":"1h"},"aggregate":`
	for _, c := range []struct {
		source, rest string
		pointer      string // of the problem, "" for none
		kind         fault.Kind
		says         string
	}{
		{``, `,"filter":"delay > 15 and legs[0].miles < 100.5 and not late"`, "", 0, ""},
		{``, `,"select":{"o":"origin","m":"legs[1].miles * 2"}`, "", 0, ""},
		{`,"event_time":"dep"`, `,` + group + `{"n":"count()","s":"sum(delay)"}`, "", 0, ""},
		{``, `,"filter":"dealy > 15"`, "/filter", fault.Invalid, `no field "dealy" in the schema; did you mean "delay"?`},
		{``, `,"filter":"legs[0].mile > 1"`, "/filter", fault.Invalid, `did you mean "miles"?`},
		{``, `,"filter":"origin > 15"`, "/filter", fault.Invalid, "cannot compare string with int"},
		{``, `,"filter":"delay"`, "/filter", fault.Invalid, "a filter is a condition, and this is int"},
		{``, `,"filter":[{"field":"orign","op":"eq","value":"JFK"}]`, "/filter/0", fault.Invalid, `did you mean "origin"?`},
		{`,"event_time":"departure"`, ``, "/source/event_time", fault.Invalid, `no field "departure"`},
		{`,"event_time":"late"`, ``, "/source/event_time", fault.Invalid, `"late" is bool`},
		{`,"event_time":"dep"`, `,"group_by":["orgin"],"window":{"tumbling":"1h"},"aggregate":{"n":"count()"}`, "/group_by/0", fault.Invalid, `did you mean "origin"?`},
		{`,"event_time":"dep"`, `,` + group + `{"s":"sum(origin)"}`, "/aggregate/s", fault.Invalid, "sum() takes numbers, not string"},
		{`,"event_time":"dep"`, `,` + group + `{"n":"count()"},"having":"origin > 1"`, "/having", fault.Invalid, "cannot compare string with int"},
		{`,"format":"json"`, `,"filter":"dealy > 15"`, "", 0, ""},
		{`,"format":"avro","schema":"flights-value:1"`, ``, "", 0, ""},
		{`,"schema":{"type":"record","name":"R","fields":[{"name":"x","type":"long"}]}`, `,"filter":"x > 15"`, "", 0, ""},
		{`,"schema":{"type":"record","name":"R","fields":[{"name":"x","type":"long"}]}`, `,"filter":"delay > 15"`, "/filter", fault.Invalid, `no field "delay"`},
		{`,"schema":"{\"type\":\"recrd\"}"`, ``, "/source/schema", fault.Invalid, `unknown type "recrd"; did you mean`},
		{`,"schema":"flights-value:9"`, ``, "/source/schema", fault.Invalid, `there is no version 9 of the subject "flights-value"`},
		{`,"format":"csv"`, ``, "/source/format", fault.Invalid, `"format" is "json", "avro" or "protobuf"`},
		{`,"format":"json","schema":"flights-value"`, ``, "/source/schema", fault.Invalid, `JSON has none`},
		{`,"format":"protobuf"`, ``, "/source/format", fault.Invalid, `the format is "protobuf"`},
	} {
		spec := `{"name":"q","source":{"topic":"flights"` + c.source + "}" + c.rest + "}"
		_, plan, _, problems := names.Compile(t.Context(), []byte(spec))
		switch {
		case c.pointer == "" && len(problems) > 0:
			t.Errorf("%s: %v", spec, problems)
		case c.pointer == "" && !strings.Contains(plan.String(), "format: "):
			t.Errorf("%s: the plan does not say the format:\n%s", spec, plan)
		case c.pointer != "" && (len(problems) == 0 || problems[0].Pointer != c.pointer || problems[0].Kind != c.kind || !strings.Contains(problems[0].Message, c.says)):
			t.Errorf("%s: %v, want %s: %s", spec, problems, c.pointer, c.says)
		}
	}
}

// TestMixedVersions: records of all versions, with every kind of frame, are one stream.
func TestMixedVersions(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	v1 := registry.Register("in-value", formats.Avro, eventV1)
	names := Names{Formats: formats.New(registry)}
	v2, v3 := registry.Register("in-value", formats.Avro, eventV2), registry.Register("in-value", formats.Avro, eventV3)
	b := newBus(t,
		[]string{
			inAvro(t, v1, eventV1, `{"t":1,"k":"a","v":1,"old":"x"}`), inAvro(t, v3, eventV3, `{"t":2,"k":"b","v":20}`),
			"\x00\x00\x00\x00\x01\x02", inAvro(t, v2, eventV2, `{"t":12,"k":"a","v":300,"old":"y"}`),
		},
		[]string{
			inAvro(t, 0, eventV3, `{"t":3,"k":"a","v":4000}`), `{"t":4}`, inAvro(t, v2, eventV2, `{"t":13,"k":"a","v":50000,"old":"y","extra":"z"}`),
		})
	names.Topics = b
	_, plan, _, problems := names.Compile(t.Context(), []byte(countSpec))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got, err := RunTrial(t.Context(), trialConfig(b, plan, RunOptions{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "results", got.Results,
		`{"k":"a","n":2,"s":4001,"window_start":0,"window_end":10}`, `{"k":"b","n":1,"s":20,"window_start":0,"window_end":10}`,
		`{"k":"a","n":2,"s":50300,"window_start":10,"window_end":20}`)
	wantRows(t, "dead letters", got.DeadLetters,
		`{"topic":"in","partition":0,"offset":2,"operator":"decode","reason":"not valid Avro at offset 1, field \"k\": the record ends inside a number","value_b64":"AAAAAAEC"}`,
		`{"topic":"in","partition":1,"offset":1,"operator":"decode","reason":"not valid Avro at offset 1, field \"k\": a length of 17 where 5 bytes are left","value_b64":"eyJ0Ijo0fQ=="}`)
	checkConservation(t, got)
}

// TestWholeRecords: a record that is passed on is JSON, whatever it was.
func TestWholeRecords(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	id := registry.Register("other", formats.Avro, eventV3)
	b := newBus(t, []string{` {"k": "json", "v":1.0} `, inAvro(t, id, eventV3, `{"t":2,"k":"avro","v":20}`), "\x00\x00\x00\x00\x09\x02"})
	_, plan, _, problems := Names{Topics: b, Formats: formats.New(registry)}.Compile(t.Context(), []byte(`{"name":"q","source":{"topic":"in","until":"end"},"filter":"v > 0"}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got, err := RunTrial(t.Context(), trialConfig(b, plan, RunOptions{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "results", got.Results, `{"k":"json","v":1.0}`, `{"v":20,"k":"avro","t":2}`)
	if len(got.DeadLetters) != 1 || !strings.Contains(string(got.DeadLetters[0]), "the schema id 9, which is not registered") {
		t.Errorf("dead letters %s", got.DeadLetters)
	}
}

// TestTopicEvolves: a topic's schema changes under a running query, which goes on reading
// as it began, over restarts of the process too, until it is restarted itself.
func TestTopicEvolves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := formatstest.New()
		v1 := registry.Register("in-value", formats.Avro, eventV1)
		b := newBus(t, []string{inAvro(t, v1, eventV1, `{"t":1,"k":"a","v":1,"old":"x"}`)})
		withFormats := func(c *ManagerConfig) { c.Formats = formats.New(registry) }
		m := startManager(t, b, "one", withFormats)
		m.create(`{"name":"q","source":{"topic":"in"}}`)
		rows := []string{`{"t":1,"k":"a","v":1,"old":"x"}`}
		m.wantResults(rows...)

		registry.Lag() // of this node behind the one that the schema is registered at
		v2 := registry.Register("in-value", formats.Avro, eventV2)
		appendRows(t, b, 0, inAvro(t, v2, eventV2, `{"t":2,"k":"b","v":2,"old":"y","extra":"z"}`), inAvro(t, 0, eventV1, `{"t":3,"k":"c","v":3,"old":"z"}`))
		rows = append(rows, `{"t":2,"k":"b","v":2,"old":"y"}`, `{"t":3,"k":"c","v":3,"old":"z"}`)
		m.wantResults(rows...)
		warning := `topic "in": the schema with the id 2 is read as it is written where it does not fit the schema in-value version 1: field "v" of Event: long cannot be read as int`
		if s := m.status("q"); len(s.Warnings) != 1 || s.Warnings[0] != warning {
			t.Errorf("warnings %q, want %q", s.Warnings, warning)
		}
		m.stop()

		m = startManager(t, b, "two", withFormats)
		appendRows(t, b, 0, inAvro(t, 0, eventV1, `{"t":4,"k":"d","v":4,"old":"o"}`))
		rows = append(rows, `{"t":4,"k":"d","v":4,"old":"o"}`)
		m.wantResults(rows...)
		plan, err := m.Plan(t.Context(), "q", "text")
		if err != nil || !strings.Contains(string(plan), "format: avro, schema in-value version 1") {
			t.Errorf("plan %s, %v", plan, err)
		}
		m.must(m.Restart)
		if plan, err = m.Plan(t.Context(), "q", "text"); err != nil || !strings.Contains(string(plan), "format: avro, schema in-value version 2") {
			t.Errorf("plan after a restart of the query %s, %v", plan, err)
		}
		synctest.Wait()
		if s := m.status("q"); s.Rows.In != 4 || len(s.Warnings) > 0 {
			t.Errorf("version 2 reads all, and the status is %+v", s)
		}
		m.stop()
	})
}

// A nested schema of which the second version widens what a query may or may not use.
const (
	tripV1 = `{"type":"record","name":"Trip","fields":[{"name":"t","type":"long"},{"name":"legs","type":{"type":"array","items":
		{"type":"record","name":"Leg","fields":[{"name":"from","aliases":["origin"],"type":"string"},{"name":"miles","type":"int"},
			{"name":"class","type":{"type":"enum","name":"Class","symbols":["OTHER","Y"],"default":"OTHER"}},{"name":"seat","type":"int"}]}}}]}`
	tripV2 = `{"type":"record","name":"Trip","fields":[{"name":"t","type":"long"},{"name":"legs","type":{"type":"array","items":
		{"type":"record","name":"Leg","fields":[{"name":"origin","type":"string"},{"name":"miles","type":"int"},
			{"name":"class","type":{"type":"enum","name":"Class","symbols":["Y","J"]}},{"name":"seat","type":"string"}]}}}]}`
)

// TestNestedEvolution: the schema of a topic changes below the top under a running query.
// What the query does not use may become anything; for what it uses aliases and defaults
// count all the same, and what of that does not fit is a warning.
func TestNestedEvolution(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := formatstest.New()
		v1 := registry.Register("in-value", formats.Avro, tripV1)
		b := newBus(t, []string{inAvro(t, v1, tripV1, `{"t":1,"legs":[{"from":"JFK","miles":1,"class":"Y","seat":7}]}`)})
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.Formats = formats.New(registry) })
		m.create(`{"name":"q","source":{"topic":"in"},"filter":"t < 3","select":{"from":"legs[0].from","class":"legs[0].class"}}`)
		rows := []string{`{"from":"JFK","class":"Y"}`}
		m.wantResults(rows...)
		v2 := registry.Register("in-value", formats.Avro, tripV2)
		appendRows(t, b, 0, inAvro(t, v2, tripV2, `{"t":2,"legs":[{"origin":"EWR","miles":2,"class":"J","seat":"7A"}]}`))
		rows = append(rows, `{"from":"EWR","class":"OTHER"}`)
		m.wantResults(rows...)
		if s := m.status("q"); len(s.Warnings) > 0 || s.Rows.DeadLettered > 0 {
			t.Errorf("what is not used does not fit, and the status is %+v", s)
		}
		m.must(m.Delete)

		m.create(`{"name":"q","source":{"topic":"in","schema":"in-value:1"},"select":{"from":"legs[0].from","seat":"legs[0].seat"}}`)
		m.wantResults(`{"from":"JFK","seat":7}`, `{"from":"EWR","seat":"7A"}`)
		m.stop()
		m = startManager(t, b, "two", func(c *ManagerConfig) { c.Formats = formats.New(registry) })
		want := `topic "in": the schema with the id 2 is read as it is written where it does not fit the schema in-value version 1: field "seat" of Leg: string cannot be read as int`
		if s := m.status("q"); len(s.Warnings) != 1 || s.Warnings[0] != want {
			t.Errorf("warnings after a restart of the process %q, want %q", s.Warnings, want)
		}
		m.stop()
	})
}

// TestRegistryAway: while nobody can say whether a schema is registered the rows wait.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := formatstest.New()
		registry.Register("in-value", formats.Avro, eventV3)
		b := newBus(t, []string{inAvro(t, 1, eventV3, `{"t":1,"k":"a","v":1}`)})
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.Formats = formats.New(registry) })
		m.create(`{"name":"q","source":{"topic":"in"},"select":{"k":"k"}}`)
		m.wantResults(`{"k":"a"}`)
		registry.Lag()
		v2 := registry.Register("in-value", formats.Avro, eventV2)
		registry.Break(fault.New(fault.Unavailable, "no_quorum", "nobody is there"))
		appendRows(t, b, 0, inAvro(t, v2, eventV2, `{"t":2,"k":"b","v":2,"old":"y"}`))
		if s := m.status("q"); s.State != "running" || s.Rows.DeadLettered != 0 || s.Rows.In != 1 {
			t.Errorf("status %+v", s)
		}
		registry.Break(nil)
		for range 60 { // of the bubble
			<-bubbleClock{}.After(firstRunBackoff)
		}
		m.wantResults(`{"k":"a"}`, `{"k":"b"}`)
		m.stop()
	})
}

// TestPreviewFormats: a preview reads as a query would.
func TestPreviewFormats(t *testing.T) {
	t.Parallel()
	registry := formatstest.New()
	v3 := registry.Register("in-value", formats.Avro, eventV3)
	b := newBus(t, []string{inAvro(t, v3, eventV3, `{"t":1,"k":"a","v":1}`), inAvro(t, 0, eventV3, `{"t":2,"k":"b","v":2}`)})
	m := NewManager(ManagerConfig{Topics: b, Docs: b, Clock: stillClock{}, Owner: "one", Formats: formats.New(registry)})
	p, err := m.Preview(context.Background(), []byte(`{"name":"q","source":{"topic":"in"},"select":{"k":"k","w":"v * 2"}}`), 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "preview", p.Rows, `{"k":"a","w":2}`, `{"k":"b","w":4}`)
}

// TestKeysThatNeverMatch: where schemas tell that the keys of a join are never equal, the
// answer to the spec warns of it.
func TestKeysThatNeverMatch(t *testing.T) {
	t.Parallel()
	side := func(topic, kind string) string {
		schema := `,"schema":{"type":"record","name":"R","fields":[{"name":"k","type":` + kind + `}]}`
		if kind == "" {
			schema = ""
		}
		return `{"topic":"` + topic + `"` + schema + `,"until":"end"}`
	}
	for _, c := range []struct{ left, right, warning string }{
		{`"string"`, `"int"`, "left.k is string and right.k is number: they are never equal, so no row matches another"},
		{`["null","boolean"]`, `["null","string"]`, "left.k is bool and right.k is string: they are never equal, so no row matches another"},
		{`"double"`, `"bytes"`, "left.k is number and right.k is value: they are never equal, so no row matches another"},
		{`"int"`, `"double"`, ""}, {`["string","int"]`, `"long"`, ""}, {`["null","string"]`, `"string"`, ""}, {`"int"`, ``, ""}, {``, ``, ""},
	} {
		_, plan, warnings, problems := Names{Topics: specTopics{}, Formats: formats.New(formatstest.New())}.Compile(t.Context(), []byte(
			`{"name":"q","join":{"on":[["k","k"]],"window":{"within":1},"left":`+side("flights", c.left)+`,"right":`+side("weather", c.right)+`}}`))
		if plan == nil {
			t.Fatal(problems)
		}
		if got := strings.Join(warnings, "\n"); got != c.warning {
			t.Errorf("%s and %s: %q, want %q", c.left, c.right, got, c.warning)
		}
	}
}

// silentFormats are formats whose registry has stopped to answer.
type silentFormats struct {
	Formats
	silent atomic.Bool
}

func (f *silentFormats) Source(ctx context.Context, spec codecs.FormatSpec) (codecs.Format, error) {
	if f.silent.Load() {
		<-ctx.Done()
		return nil, fault.New(fault.Unavailable, "no_quorum", "no majority answers")
	}
	return f.Formats.Source(ctx, spec)
}

// TestPlanEndsWithItsCall: a plan waits for schemas no longer than who asks for it.
func TestPlanEndsWithItsCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, []string{`{"t":1,"k":"a"}`})
		known := &silentFormats{Formats: formats.New(formatstest.New())}
		m := startManager(t, b, "one", func(c *ManagerConfig) { c.Formats = known })
		defer m.stop()
		m.create(liveSpec)
		known.silent.Store(true)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if plan, err := m.Plan(ctx, "q", "text"); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("plan %s, %v", plan, err)
		}
	})
}
