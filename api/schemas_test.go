package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"leat/codecs/registry"
	"leat/internal/fault"
)

const personSchema = `{"type":"record","name":"Person","fields":[{"name":"name","type":"string"}]}`

// schemaBody is a body that registers an Avro schema.
func schemaBody(text string) string {
	body, err := json.Marshal(map[string]string{"schema": text})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// wantSchemaError sends a request and checks the status and the number of the error.
func (s *testServer) wantSchemaError(number int, method, path, send string, headers ...string) string {
	s.t.Helper()
	a := s.do(method, path, strings.NewReader(send), headers...)
	m := a.json(s.t)
	status, _ := strconv.Atoi(strconv.Itoa(number)[:3])
	if message, _ := m["message"].(string); a.status != status || m["error_code"] != float64(number) || message == "" ||
		len(m) != 2 || a.header.Get("Content-Type") != typeSchemas {
		s.t.Errorf("%s %s: got %d %s, want %d", method, clip(path), a.status, a.body, number)
	}
	return a.body
}

// A walk through the calls, with the answers that clients of the Confluent Schema
// Registry expect.
func TestSchemaCalls(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	address := `{"type":"record","name":"Address","fields":[{"name":"city","type":"string"}]}`
	home := strings.Replace(personSchema, `"string"`, `"Address"`, 1)
	for _, c := range []struct{ method, path, send, want string }{
		{"GET", "/subjects", "", `[]`},
		{"GET", "/schemas", "", `[]`},
		{"GET", "/schemas/types", "", `["AVRO","JSON","PROTOBUF"]`},
		{"POST", "/subjects/person-value/versions", schemaBody(personSchema), `{"id":1}`},
		{"POST", "/subjects/person-value/versions?normalize=true&unheard=of", schemaBody(personSchema), `{"id":1}`},
		{"POST", "/subjects/other/versions", `{"schema":"\"int\"","schemaType":"AVRO","references":[],"id":-1,"version":-1,"metadata":{"tags":{}},"ruleSet":null}`, `{"id":2}`},
		{"POST", "/subjects/address/versions", schemaBody(address), `{"id":3}`},
		{"POST", "/subjects/home%2Fof/versions", `{"schema":` + strconv.Quote(home) + `,"references":[{"name":"Address","subject":"address","version":1}]}`, `{"id":4}`},
		{"POST", "/subjects/event/versions", `{"schemaType":"JSON","schema":"{\"type\": \"object\"}"}`, `{"id":5}`},
		{"GET", "/subjects", "", `["address","event","home/of","other","person-value"]`},
		{"GET", "/subjects?subjectPrefix=o", "", `["other"]`},
		{"GET", "/subjects?offset=1&limit=2", "", `["event","home/of"]`},
		{"GET", "/subjects?offset=4&limit=-1", "", `["person-value"]`},
		{"GET", "/schemas/ids/1", "", `{"schema":` + strconv.Quote(personSchema) + `}`},
		{"GET", "/schemas/ids/1?fetchMaxId=true&format=", "", `{"maxId":5,"schema":` + strconv.Quote(personSchema) + `}`},
		{"GET", "/schemas/ids/4", "", `{"references":[{"name":"Address","subject":"address","version":1}],"schema":` + strconv.Quote(home) + `}`},
		{"GET", "/schemas/ids/5", "", `{"schemaType":"JSON","schema":"{\"type\": \"object\"}"}`},
		{"GET", "/schemas/ids/1/schema", "", personSchema},
		{"GET", "/schemas/ids/1/subjects", "", `["person-value"]`},
		{"GET", "/schemas/ids/1/versions", "", `[{"subject":"person-value","version":1}]`},
		{"GET", "/schemas/ids/1/versions?subject=other", "", `[]`},
		{"GET", "/subjects/person-value/versions", "", `[1]`},
		{"GET", "/subjects/person-value/versions/1", "", `{"subject":"person-value","version":1,"id":1,"schema":` + strconv.Quote(personSchema) + `}`},
		{"GET", "/subjects/person-value/versions/latest/schema", "", personSchema},
		{"GET", "/subjects/home%2Fof/versions/-1", "", `{"subject":"home/of","version":1,"id":4,"references":[{"name":"Address","subject":"address","version":1}],"schema":` + strconv.Quote(home) + `}`},
		{"GET", "/subjects/address/versions/1/referencedby", "", `[4]`},
		{"GET", "/schemas?subjectPrefix=person&latestOnly=true", "", `[{"subject":"person-value","version":1,"id":1,"schema":` + strconv.Quote(personSchema) + `}]`},
		{"POST", "/subjects/person-value", schemaBody(" " + personSchema), `{"subject":"person-value","version":1,"id":1,"schema":` + strconv.Quote(personSchema) + `}`},
		{"POST", "/compatibility/subjects/person-value/versions/latest", schemaBody(personSchema), `{"is_compatible":true}`},
		{"POST", "/compatibility/subjects/person-value/versions?verbose=true", schemaBody(personSchema), `{"is_compatible":true,"messages":[]}`},
		{"POST", "/compatibility/subjects/person-value/versions/1", schemaBody(`"int"`), `{"is_compatible":false}`},
		{"POST", "/compatibility/subjects/none/versions/latest", schemaBody(`"int"`), `{"is_compatible":true}`},
		{"GET", "/config", "", `{"compatibilityLevel":"BACKWARD"}`},
		{"PUT", "/config", `{"compatibility":"full"}`, `{"compatibility":"FULL"}`},
		{"GET", "/config/other?defaultToGlobal=true", "", `{"compatibilityLevel":"FULL"}`},
		{"PUT", "/config/other", `{"compatibility":"NONE","alias":""}`, `{"compatibility":"NONE"}`},
		{"GET", "/config/other", "", `{"compatibilityLevel":"NONE"}`},
		{"DELETE", "/config/other", "", `{"compatibilityLevel":"NONE","compatibility":"NONE"}`},
		{"DELETE", "/config", "", `{"compatibilityLevel":"FULL","compatibility":"FULL"}`},
		{"GET", "/mode", "", `{"mode":"READWRITE"}`},
		{"PUT", "/mode/new", `{"mode":"IMPORT"}`, `{"mode":"IMPORT"}`},
		{"POST", "/subjects/new/versions", `{"schema":"\"long\"","id":70,"version":4}`, `{"id":70}`},
		{"GET", "/mode/new", "", `{"mode":"IMPORT"}`},
		{"DELETE", "/mode/new", "", `{"mode":"IMPORT"}`},
		{"PUT", "/mode?force=true", `{"mode":"READONLY"}`, `{"mode":"READONLY"}`},
		{"DELETE", "/mode", "", `{"mode":"READONLY"}`},
		{"DELETE", "/subjects/other/versions/latest", "", `1`},
		{"GET", "/subjects/other/versions/1?deleted=true", "", `{"subject":"other","version":1,"id":2,"schema":"\"int\"","deleted":true}`},
		{"GET", "/subjects?deletedOnly=true", "", `["other"]`},
		{"DELETE", "/subjects/other/versions/1?permanent=true", "", `1`},
		{"DELETE", "/subjects/person-value", "", `[1]`},
		{"DELETE", "/subjects/person-value?permanent=true", "", `[1]`},
	} {
		a := s.do(c.method, c.path, strings.NewReader(c.send))
		if a.status != 200 || a.body != c.want || a.header.Get("Content-Type") != typeSchemas {
			t.Errorf("%s %s:\n got %d %s\nwant %s", c.method, c.path, a.status, a.body, c.want)
		}
	}
}

func TestSchemaRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(200, `{"id":1}`, "POST", "/subjects/s/versions", schemaBody(personSchema))
	s.want(200, `{"id":2}`, "POST", "/subjects/r/versions", `{"schema":`+strconv.Quote(strings.Replace(personSchema, `"name":"Person"`, `"name":"P2"`, 1))+
		`,"references":[{"name":"Person","subject":"s","version":1}]}`)
	s.want(200, `{"id":3}`, "POST", "/subjects/gone/versions", schemaBody(`"int"`))
	s.want(200, `[1]`, "DELETE", "/subjects/gone", "")
	s.want(200, "", "PUT", "/mode/quiet", `{"mode":"READONLY"}`)
	more := strings.Replace(personSchema, `]}`, `,{"name":"age","type":"int"}]}`, 1)
	for _, c := range []struct {
		number             int
		method, path, send string
	}{
		{40401, "GET", "/subjects/none/versions", ""},
		{40401, "GET", "/subjects/gone/versions/1", ""},
		{40401, "POST", "/subjects/none", schemaBody(personSchema)},
		{40401, "DELETE", "/subjects/none", ""},
		{40402, "GET", "/subjects/s/versions/2", ""},
		{40402, "POST", "/compatibility/subjects/s/versions/9", schemaBody(personSchema)},
		{40403, "GET", "/schemas/ids/99", ""},
		{40403, "GET", "/schemas/ids/x", ""},
		{40403, "GET", "/schemas/ids/99/versions", ""},
		{40403, "POST", "/subjects/s", schemaBody(`"long"`)},
		{40404, "DELETE", "/subjects/gone", ""},
		{40405, "DELETE", "/subjects/s?permanent=true", ""},
		{40406, "DELETE", "/subjects/gone/versions/1", ""},
		{40407, "DELETE", "/subjects/s/versions/1?permanent=true", ""},
		{40408, "GET", "/config/s", ""},
		{40409, "GET", "/mode/s", ""},
		{409, "POST", "/subjects/s/versions", schemaBody(more)},
		{42201, "POST", "/subjects/s/versions", schemaBody(`{"type":"record"}`)},
		{42201, "POST", "/subjects/s/versions", `{}`},
		{42201, "POST", "/subjects/s/versions", `{"schema":"x","schemaType":"XML"}`},
		{42201, "POST", "/subjects/s/versions", `{"schema":"\"int\"","references":[{"name":"a","subject":"b","version":1}]}`},
		{42201, "POST", "/compatibility/subjects/s/versions/1", schemaBody("{")},
		{42202, "GET", "/subjects/s/versions/0", ""},
		{42202, "GET", "/subjects/s/versions/first/schema", ""},
		{42203, "PUT", "/config", `{"compatibility":"SIDEWAYS"}`},
		{42203, "PUT", "/config/s", `{}`},
		{42204, "PUT", "/mode", `{"mode":"OFF"}`},
		{42205, "POST", "/subjects/quiet/versions", schemaBody(`"int"`)},
		{42205, "PUT", "/mode/s", `{"mode":"IMPORT"}`},
		{42206, "DELETE", "/subjects/s", ""},
		{42208, "GET", "/subjects/a%0Ab/versions", ""},
		{42209, "POST", "/subjects/s/versions", schemaBody(strings.Repeat("x", 1<<20+1))},
		{413, "POST", "/subjects/s/versions", strings.Repeat("x", maxSchemaBody+1)},
		{400, "POST", "/subjects/s/versions", `{"schema":`},
		{400, "POST", "/subjects/s/versions", `{"schema":12}`},
		{400, "POST", "/subjects/s/versions", "{\"schema\":\"\xff\"}"},
		{400, "POST", "/subjects/s/versions", `{"schema":"\"int\"","version":99999999999999999999}`},
		{400, "GET", "/subjects?deleted=perhaps", ""},
		{404, "GET", "/subjects/s/nothing", ""},
		{405, "PATCH", "/config", ""},
	} {
		s.wantSchemaError(c.number, c.method, c.path, c.send)
	}
	for send, want := range map[string]string{
		`[]`:                            `The body has to be a JSON object, not array`,
		`"x"`:                           `The body has to be a JSON object, not string`,
		`{"schema":12}`:                 `Member \"schema\" cannot be of the kind number`,
		`{"schema":"","references":{}}`: `Member \"references\" cannot be of the kind object`,
		`{"schema":"","references":[{"name":[]}]}`: `Member \"references.name\" cannot be of the kind array`,
	} {
		if got := s.wantSchemaError(400, "POST", "/subjects/s/versions", send); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", send, got, want)
		}
	}
	// What only resembles these paths has the one form of errors.
	s.wantError(404, "not_found", "GET", "/subjectsx", "")
	s.wantError(404, "not_found", "GET", "/modes/x", "")
	a := s.do("POST", "/compatibility/subjects/s/versions?verbose=1", strings.NewReader(schemaBody(more)))
	if a.status != 200 || !strings.Contains(a.body, `"is_compatible":false,"messages":["{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE'`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.want(200, `{"is_compatible":false,"messages":["the Avro schema is not JSON: offset 1: the text ends where a member name in double quotes is expected"]}`,
		"POST", "/compatibility/subjects/s/versions?verbose=1", schemaBody("{"))
	s.documents.set(func(f *fakeDocuments) { f.unsure = fault.New(fault.Unavailable, "no_quorum", "nobody answers") })
	s.wantSchemaError(503, "GET", "/subjects", "")
}

// A token that is limited to topics sees and changes the schemas of those.
func TestSchemaScopes(t *testing.T) {
	t.Parallel()
	tokens, _, err := ParseTokens("root:admin@admin=or:prod@produce=orders:cons@consume=orders:kv@kv:query@query=pay")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(c *Config) { c.Tokens = tokens })
	as := func(token string) string { return "Authorization: Bearer " + token }
	s.wantSchemaError(401, "GET", "/subjects", "")
	s.wantSchemaError(403, "GET", "/subjects", "", as("kv"))
	s.want(200, `{"id":1}`, "POST", "/subjects/orders-value/versions", schemaBody(`"string"`), as("prod"))
	s.want(200, `{"id":2}`, "POST", "/subjects/orders-eu-key/versions", schemaBody(`"long"`), as("admin"))
	s.want(200, `{"id":3}`, "POST", "/subjects/payments-value/versions", schemaBody(`"int"`), as("root"))
	for _, c := range []struct {
		token, method, path, send string
		status                    int
	}{
		{"cons", "POST", "/subjects/orders-value/versions", schemaBody(`"bytes"`), 403},
		{"prod", "POST", "/subjects/payments-value/versions", schemaBody(`"bytes"`), 403},
		{"prod", "POST", "/subjects/orders-value/versions", `{"schema":"\"string\"","references":[{"name":"x","subject":"payments-value","version":1}]}`, 403},
		{"cons", "GET", "/subjects/orders-value/versions/1", "", 200},
		{"cons", "POST", "/subjects/orders-value", schemaBody(`"string"`), 200},
		{"cons", "POST", "/compatibility/subjects/orders-value/versions/1", schemaBody(`"bytes"`), 200},
		{"cons", "GET", "/subjects/payments-value/versions/1", "", 403},
		{"cons", "GET", "/schemas/ids/1", "", 200},
		{"cons", "GET", "/schemas/ids/2/versions", "", 200},
		{"cons", "GET", "/schemas/ids/3", "", 403},
		{"cons", "GET", "/schemas/ids/9", "", 404},
		{"query", "GET", "/schemas/ids/3/schema", "", 200},
		{"prod", "DELETE", "/subjects/orders-value", "", 403},
		{"prod", "PUT", "/config/orders-value", `{"compatibility":"NONE"}`, 403},
		{"admin", "PUT", "/config/orders-value", `{"compatibility":"NONE"}`, 200},
		{"admin", "PUT", "/config", `{"compatibility":"NONE"}`, 403},
		{"admin", "PUT", "/mode", `{"mode":"READONLY"}`, 403},
		{"cons", "GET", "/config", "", 200},
		{"admin", "DELETE", "/subjects/orders-eu-key", "", 200},
		{"root", "PUT", "/mode", `{"mode":"READWRITE"}`, 200},
	} {
		a := s.do(c.method, c.path, strings.NewReader(c.send), as(c.token))
		if a.status != c.status {
			t.Errorf("%s: %s %s: %d %s", c.token, c.method, c.path, a.status, a.body)
		}
	}
	s.want(200, `["orders-value"]`, "GET", "/subjects", "", as("cons"))
	s.want(200, `["payments-value"]`, "GET", "/subjects", "", as("query"))
	s.want(200, `[{"subject":"payments-value","version":1,"id":3,"schema":"\"int\""}]`, "GET", "/schemas", "", as("query"))
}

// The numbers are those that clients know, and every code of the registry has one.
func TestSchemaErrorTable(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, e := range schemaErrors() {
		status := e.Number
		if status > 999 {
			status /= 100
		}
		kinds := map[int]fault.Kind{404: fault.NotFound, 409: fault.Conflict, 422: fault.Unprocessable}
		if kind, ok := kinds[status]; !ok || statusOf(&fault.Error{Kind: kind, Code: e.Code}) != status || known[e.Code] {
			t.Errorf("%+v", e)
		}
		known[e.Code] = true
	}
	source, err := os.ReadFile("../codecs/registry/faults.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(source)) {
		if name, value, ok := strings.Cut(line, "= \""); ok && strings.HasPrefix(strings.TrimSpace(name), "Code") {
			if code, _, _ := strings.Cut(value, "\""); !known[code] {
				t.Errorf("%s has no number", code)
			}
		}
	}
	doc, err := os.ReadFile("../docs/schemas.md")
	if err != nil || !strings.Contains(string(doc), string(schemaErrorsMarkdown())) {
		t.Errorf("docs/schemas.md lacks the table, %v:\n%s", err, schemaErrorsMarkdown())
	}
}

func TestTopicSchema(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(200, "", "POST", "/broker/topics", `{"name":"t","partitions":1}`)
	s.wantPart("/broker/topics/t", `"schema":null}`)
	s.want(200, "", "POST", "/subjects/t-value/versions", schemaBody(`"string"`))
	s.wantPart("/broker/topics/t", `"schema":{"subject":"t-value","version":1,"id":1,"type":"AVRO"}}`)
}

// Whatever a body holds, the answer is one of the statuses of the contract.
func FuzzSchemaBodies(f *testing.F) {
	for _, body := range []string{`{"schema":"\"int\""}`, `{"schema":"{}","schemaType":"JSON"}`, `{"compatibility":"FULL"}`, `{"mode":"IMPORT"}`,
		`{"schema":"\"int\"","references":[{"name":"a","subject":"s","version":-1}],"id":3,"version":2}`, `[`, `{"schema":[]}`} {
		f.Add(uint8(0), body)
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		s := serve(t, func(c *Config) { c.Schemas = registry.New(newFakeDocuments(), registry.Limits{}) })
		calls := []string{"POST /subjects/s/versions", "POST /subjects/s", "POST /compatibility/subjects/s/versions", "PUT /config/s", "PUT /mode/s"}
		method, path, _ := strings.Cut(calls[int(which)%len(calls)], " ")
		a := s.do(method, path, strings.NewReader(body))
		switch a.status {
		case 200, 400, 404, 409, 422:
		default:
			t.Errorf("%s %s %q: %d %s", method, path, body, a.status, a.body)
		}
		if a.status != http.StatusOK && fmt.Sprint(a.json(t)["error_code"]) == "" {
			t.Errorf("%s", a.body)
		}
	})
}
