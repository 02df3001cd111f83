package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/protocodec"
	"leat/internal/testenv"
)

const (
	delaysV1 = `{"type":"record","name":"Delay","fields":[{"name":"t","type":"long"},{"name":"origin","type":"string"},{"name":"delay","type":"int"}]}`
	delaysV2 = `{"type":"record","name":"Delay","fields":[{"name":"t","type":"long"},{"name":"carrier","type":["null","string"],"default":null},` +
		`{"name":"origin","type":"string"},{"name":"delay","type":"long"}]}`
	delaysProto = `syntax = "proto3"; message Delay { int64 t = 1; string origin = 2; sint32 delay = 3; }`
	outProto    = `syntax = "proto3"; message Out { string o = 1; int64 d = 2; }`
)

// delayInAvro is a row behind the frame of an id.
func delayInAvro(t *testing.T, id int, schema, row string) []byte {
	t.Helper()
	s, err := avrocodec.ParseSchema(schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	record, err := avrocodec.NewEncoder(s).AppendJSON(codecs.AppendConfluent(nil, uint32(id)), []byte(row))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func delayInProtobuf(t *testing.T, id int, row string) []byte {
	t.Helper()
	s, err := protocodec.ParseSchema(t.Context(), delaysProto, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Message("")
	if err != nil {
		t.Fatal(err)
	}
	record, err := protocodec.NewEncoder(m).AppendJSON(protocodec.AppendIndex(codecs.AppendConfluent(nil, uint32(id)), m.Index()), []byte(row))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// refusedSpecs posts queries that the schema of the topic has no place for.
func refusedSpecs(t *testing.T, c *client) {
	t.Helper()
	for spec, says := range map[string]string{
		`{"name":"x","source":{"topic":"delays"},"filter":"dealy > 1"}`:  `no field \"dealy\" in the schema; did you mean \"delay\"?`,
		`{"name":"x","source":{"topic":"delays"},"filter":"origin > 1"}`: "cannot compare string with int",
	} {
		_, err := c.call(t.Context(), request{method: http.MethodPost, path: "/queries", body: []byte(spec), json: true})
		if err == nil || !strings.Contains(fmt.Sprint(err), strings.ReplaceAll(says, `\"`, `"`)) {
			t.Errorf("%s: %v, want %s", spec, err, says)
		}
	}
}

// TestFormatsInQueries: one query over JSON, two versions of an Avro schema and Protobuf,
// which a registry client registers meanwhile, into a topic that has Protobuf; a kill
// changes nothing of what it reads and writes with.
func TestFormatsInQueries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := start(t, dir)
	c, schemas := dial(t, server.url), registryClient(t, server.url)
	register := func(subject string, s sr.Schema) int {
		t.Helper()
		created, err := schemas.CreateSchema(t.Context(), subject, s)
		if err != nil {
			t.Fatal(err)
		}
		return created.ID
	}
	produce := func(record []byte) {
		t.Helper()
		if _, err := c.call(t.Context(), request{method: http.MethodPost, path: "/broker/topics/delays/produce", query: map[string][]string{"partition": {"0"}}, body: record}); err != nil {
			t.Fatal(err)
		}
	}
	c.mustPost(t, "/broker/topics", map[string]any{"name": "delays", "partitions": 1})
	v1 := register("delays-value", sr.Schema{Schema: delaysV1})

	refusedSpecs(t, c)
	out := register("out-value", sr.Schema{Schema: outProto, Type: sr.TypeProtobuf})
	c.mustStart(t, []byte(`{"name":"q","source":{"topic":"delays","event_time":"t"},"filter":"delay > 0","select":{"o":"origin","d":"delay * 2"},"sink":{"topic":"out","format":"protobuf"}}`))
	produce(delayInAvro(t, v1, delaysV1, `{"t":1,"origin":"JFK","delay":1}`))
	v2 := register("delays-value", sr.Schema{Schema: delaysV2})
	produce(delayInAvro(t, v2, delaysV2, `{"t":2,"origin":"EWR","delay":5000000000}`))
	proto := register("other-value", sr.Schema{Schema: delaysProto, Type: sr.TypeProtobuf})
	produce(delayInProtobuf(t, proto, `{"t":3,"origin":"LGA","delay":3}`))
	text := register("texts-value", sr.Schema{Schema: `{}`, Type: sr.TypeJSON})
	produce(append(codecs.AppendConfluent(nil, uint32(text)), `{"t":4,"origin":"BOS","delay":4}`...))
	produce(append(codecs.AppendConfluent(nil, 99), 2))
	c.awaitRows(t, "q", 5)

	server.Kill()
	server = start(t, dir)
	c = dial(t, server.url)
	produce(delayInAvro(t, v1, delaysV1, `{"t":5,"origin":"ORD","delay":6}`)[5:]) // bare, as the query's own schema
	q := c.awaitRows(t, "q", 6)
	if q.Rows.Dead != 1 {
		t.Errorf("%d dead letters, want that of the unknown id", q.Rows.Dead)
	}
	rows := c.resultRows(t, "q")
	want := `{"o":"JFK","d":2} {"o":"EWR","d":10000000000} {"o":"LGA","d":6} {"o":"BOS","d":8} {"o":"ORD","d":12}`
	if got := strings.Join(rows, " "); got != want {
		t.Errorf("rows\n%s, want\n%s", got, want)
	}
	c.awaitFramed(t, "out", len(rows), uint32(out))
}

// TestNestedEvolutionOverHTTP: the schema of a topic changes below the top under a running
// query, within what the registry allows. The query goes on with the names and defaults of
// its own, and its status tells what of it no longer fits.
func TestNestedEvolutionOverHTTP(t *testing.T) {
	t.Parallel()
	const (
		v1 = `{"type":"record","name":"Trip","fields":[{"name":"t","type":"long"},{"name":"leg","type":["null",{"type":"record","name":"Leg","fields":[
			{"name":"from","aliases":["origin"],"type":"string"},{"name":"miles","type":"int"},{"name":"gate","type":"string"},
			{"name":"class","type":{"type":"enum","name":"Class","symbols":["OTHER","Y"],"default":"OTHER"}}]}]}]}`
		v2 = `{"type":"record","name":"Trip","fields":[{"name":"t","type":"long"},{"name":"leg","type":["null",{"type":"record","name":"Leg","fields":[
			{"name":"origin","aliases":["from"],"type":"string"},{"name":"miles","type":"long"},
			{"name":"class","type":{"type":"enum","name":"Class","symbols":["OTHER","Y","J"],"default":"OTHER"}}]}]}]}`
	)
	dir := t.TempDir()
	server := start(t, dir)
	c, schemas := dial(t, server.url), registryClient(t, server.url)
	c.mustPost(t, "/broker/topics", map[string]any{"name": "trips", "partitions": 1})
	produce := func(schema, row string) {
		t.Helper()
		created, err := schemas.CreateSchema(t.Context(), "trips-value", sr.Schema{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		record := delayInAvro(t, created.ID, schema, row)
		if _, err := c.call(t.Context(), request{method: http.MethodPost, path: "/broker/topics/trips/produce", body: record}); err != nil {
			t.Fatal(err)
		}
	}
	produce(v1, `{"t":1,"leg":{"from":"JFK","miles":1,"gate":"A","class":"Y"}}`)
	c.mustStart(t, []byte(`{"name":"q","source":{"topic":"trips"},"select":{"from":"leg.from","class":"leg.class"}}`))
	c.mustStart(t, []byte(`{"name":"r","source":{"topic":"trips"},"select":{"from":"leg.from","miles":"leg.miles * 2","gate":"leg.gate"}}`))
	c.awaitRows(t, "r", 1)
	produce(v2, `{"t":2,"leg":{"origin":"EWR","miles":5000000000,"class":"J"}}`)
	c.awaitRows(t, "q", 2)
	c.awaitRows(t, "r", 2)
	server.Kill()
	server = start(t, dir)
	c = dial(t, server.url)
	for name, want := range map[string][]string{
		"q": {`{"from":"JFK","class":"Y"} {"from":"EWR","class":"OTHER"}`},
		"r": {
			`{"from":"JFK","miles":2,"gate":"A"} {"from":"EWR","miles":10000000000,"gate":null}`,
			`topic "trips": the schema with the id 2 is read as it is written where it does not fit the schema trips-value version 1: Leg as written has no field "gate", and the field has no default`,
			`topic "trips": the schema with the id 2 is read as it is written where it does not fit the schema trips-value version 1: field "miles" of Leg: long cannot be read as int`,
		},
	} {
		got := append([]string{strings.Join(c.resultRows(t, name), " ")}, c.awaitRows(t, name, 2).Warnings...)
		if !slices.Equal(got, want) {
			t.Errorf("query %s gives\n%s, want\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// resultRows are the first results of a query.
func (c *client) resultRows(t *testing.T, name string) (rows []string) {
	t.Helper()
	body, err := c.get(t.Context(), "/queries/"+name+"/results", nil)
	if err != nil {
		t.Fatal(err)
	}
	var results struct{ Rows []json.RawMessage }
	if err := json.Unmarshal(body, &results); err != nil {
		t.Fatal(err)
	}
	for _, r := range results.Rows {
		rows = append(rows, string(r))
	}
	return rows
}

// values are the values of the records of partition 0 of a topic that a query picks.
func (c *client) values(t *testing.T, topic string, query url.Values) (values [][]byte, err error) {
	t.Helper()
	query.Set("encoding", "b64")
	body, err := c.get(t.Context(), "/broker/consume/"+topic+"/g/0", query)
	if err != nil {
		return nil, err
	}
	var page struct {
		Messages []struct {
			Value []byte `json:"value_b64"`
		}
	}
	err = json.Unmarshal(body, &page)
	for _, m := range page.Messages {
		values = append(values, m.Value)
	}
	return values, err
}

// awaitFramed waits until the topic has so many records, all behind the same id.
func (c *client) awaitFramed(t *testing.T, topic string, records int, id uint32) {
	t.Helper()
	testenv.Succeeds(t, "the sink has all rows", func() error {
		values, err := c.values(t, topic, url.Values{})
		if err != nil {
			return err
		}
		if n := len(values); n != records {
			return fmt.Errorf("there are %d records of %d", n, records)
		}
		for _, value := range values {
			if got, _, framed := codecs.CutConfluent(value); !framed || got != id {
				t.Fatalf("record %q is not framed with the schema %d", value, id)
			}
		}
		return nil
	})
}
