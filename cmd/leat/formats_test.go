package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"leat/codecs"
	"leat/codecs/avrocodec"
)

const (
	delaysV1 = `{"type":"record","name":"Delay","fields":[{"name":"t","type":"long"},{"name":"origin","type":"string"},{"name":"delay","type":"int"}]}`
	delaysV2 = `{"type":"record","name":"Delay","fields":[{"name":"t","type":"long"},{"name":"carrier","type":["null","string"],"default":null},` +
		`{"name":"origin","type":"string"},{"name":"delay","type":"long"}]}`
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

// TestFormatsInQueries: one query over JSON and two versions of an Avro schema, which a
// registry client registers meanwhile; a kill changes nothing of what it reads with.
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

	for spec, says := range map[string]string{
		`{"name":"x","source":{"topic":"delays"},"filter":"dealy > 1"}`:  `no field \"dealy\" in the schema; did you mean \"delay\"?`,
		`{"name":"x","source":{"topic":"delays"},"filter":"origin > 1"}`: "cannot compare string with int",
	} {
		_, err := c.call(t.Context(), request{method: http.MethodPost, path: "/queries", body: []byte(spec), json: true})
		if err == nil || !strings.Contains(fmt.Sprint(err), strings.ReplaceAll(says, `\"`, `"`)) {
			t.Errorf("%s: %v, want %s", spec, err, says)
		}
	}

	c.mustStart(t, []byte(`{"name":"q","source":{"topic":"delays","event_time":"t"},"filter":"delay > 0","select":{"o":"origin","d":"delay * 2"}}`))
	produce(delayInAvro(t, v1, delaysV1, `{"t":1,"origin":"JFK","delay":1}`))
	v2 := register("delays-value", sr.Schema{Schema: delaysV2})
	produce(delayInAvro(t, v2, delaysV2, `{"t":2,"origin":"EWR","delay":5000000000}`))
	text := register("texts-value", sr.Schema{Schema: `{}`, Type: sr.TypeJSON})
	produce(append(codecs.AppendConfluent(nil, uint32(text)), `{"t":4,"origin":"BOS","delay":4}`...))
	produce(append(codecs.AppendConfluent(nil, 99), 2))
	c.awaitRows(t, "q", 4)

	server.kill()
	server = start(t, dir)
	c = dial(t, server.url)
	produce(delayInAvro(t, v1, delaysV1, `{"t":5,"origin":"ORD","delay":6}`)[5:]) // bare, as the query's own schema
	q := c.awaitRows(t, "q", 5)
	if q.Rows.Dead != 1 {
		t.Errorf("%d dead letters, want that of the unknown id", q.Rows.Dead)
	}
	body, err := c.get(t.Context(), "/queries/q/results", nil)
	if err != nil {
		t.Fatal(err)
	}
	var results struct{ Rows []json.RawMessage }
	if err := json.Unmarshal(body, &results); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, r := range results.Rows {
		rows = append(rows, string(r))
	}
	want := `{"o":"JFK","d":2} {"o":"EWR","d":10000000000} {"o":"BOS","d":8} {"o":"ORD","d":12}`
	if got := strings.Join(rows, " "); got != want {
		t.Errorf("rows\n%s, want\n%s", got, want)
	}
}
