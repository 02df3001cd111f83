package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
)

// putSpec puts a query in the place of the one of its name, if there is one.
func (c *client) putSpec(t *testing.T, name, spec string) error {
	t.Helper()
	_, err := c.call(t.Context(), request{method: http.MethodDelete, path: "/queries/" + name})
	if err != nil && !strings.Contains(err.Error(), "there is no query") {
		t.Fatal(err)
	}
	_, err = c.call(t.Context(), request{method: http.MethodPut, path: "/queries/" + name, body: []byte(spec), json: true})
	return err
}

// TestSinkSchemas: the schema of a sink is registered with its query, another query reads
// what it writes, and a query in its place changes it as far as its level allows; a kill
// in between changes nothing.
func TestSinkSchemas(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"avro", "protobuf"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			server := start(t, dir)
			c := dial(t, server.url)
			c.mustPost(t, "/broker/topics", map[string]any{"name": "delays", "partitions": 1})
			c.mustPost(t, "/broker/topics", map[string]any{"name": "out", "partitions": 1})
			produce := func(record string) {
				t.Helper()
				if _, err := c.call(t.Context(), request{method: http.MethodPost, path: "/broker/topics/delays/produce", body: []byte(record)}); err != nil {
					t.Fatal(err)
				}
			}
			spec := func(selects string) string {
				return fmt.Sprintf(`{"name":"q","source":{"topic":"delays"},"select":{%s},"sink":{"topic":"out","format":%q}}`, selects, format)
			}
			err := c.putSpec(t, "q", spec(`"origin":"origin"`))
			if says := fmt.Sprint(err); !strings.Contains(says, `member "origin": its type is not known`) {
				t.Errorf("a type that is not known: %v", err)
			}
			if err := c.putSpec(t, "q", spec(`"origin":"string(origin)","late":"int(delay) > 15"`)); err != nil {
				t.Fatal(err)
			}
			c.mustStart(t, []byte(`{"name":"reader","source":{"topic":"out"},"filter":"late","select":{"o":"lower(origin)"}}`))
			produce(`{"origin":"JFK","delay":20}`)
			produce(`{"origin":"EWR","delay":5}`)
			c.awaitRows(t, "reader", 2)

			server.Kill()
			server = start(t, dir)
			c = dial(t, server.url)
			schemas := registryClient(t, server.url)
			produce(`{"origin":"LGA","delay":99}`)
			c.awaitRows(t, "reader", 3)
			if err := c.putSpec(t, "q", spec(`"late":"int(delay) > 15","minutes":"int(delay)","origin":"string(origin)"`)); err != nil {
				t.Fatal(err)
			}
			c.awaitRows(t, "reader", 6) // a query that is deleted starts anew
			var refused *failure
			err = c.putSpec(t, "q", spec(`"late":"string(delay)","minutes":"int(delay)","origin":"string(origin)"`))
			if refused, _ = err.(*failure); refused == nil || refused.code != "incompatible_schema" || refused.exit != exitConflict {
				t.Errorf("another type: %v", err)
			}
			versions, err := schemas.Schemas(t.Context(), "out-value")
			if err != nil || len(versions) != 2 || versions[0].ID == versions[1].ID {
				t.Fatalf("%v: %+v", err, versions)
			}
			if text := versions[1].Schema.Schema; format == "protobuf" && !strings.Contains(text, "optional int64 minutes = 3;") || versions[1].Type != map[string]sr.SchemaType{"avro": sr.TypeAvro, "protobuf": sr.TypeProtobuf}[format] {
				t.Errorf("version 2: %s", text)
			}
			body, err := c.get(t.Context(), "/queries/reader/results", nil)
			if want := `"rows":[{"o":"jfk"},{"o":"lga"},{"o":"jfk"},{"o":"lga"}]`; err != nil || !strings.Contains(string(body), want) {
				t.Errorf("%v: %s, want %s", err, body, want)
			}
		})
	}
}
