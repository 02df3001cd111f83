package api

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// contract is the document, closed: a member that a schema does not name is a
// mistake, in the schema or in the answer.
type contract struct {
	doc    *openapi3.T
	routes []contractRoute
	err    error
}

type contractRoute struct {
	method  string
	pattern *regexp.Regexp
	op      *openapi3.Operation
}

// loadContract reads the document once.
var loadContract = sync.OnceValue(func() (c contract) {
	text, err := json.Marshal(openAPI())
	if err != nil {
		return contract{err: err}
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return contract{err: err}
	}
	closeObjects(tree)
	if text, err = json.Marshal(tree); err != nil {
		return contract{err: err}
	}
	if c.doc, err = openapi3.NewLoader().LoadFromData(text); err != nil {
		return contract{err: err}
	}
	for _, r := range routes() {
		if strings.HasSuffix(r.path, "*") {
			defer func() { c.routes = append(c.routes, c.route(&r)) }() // after those that are longer
			continue
		}
		c.routes = append(c.routes, c.route(&r))
	}
	return c
})

func (c *contract) route(r *route) contractRoute {
	pattern := strings.ReplaceAll(regexp.MustCompile(`:\w+`).ReplaceAllString(regexp.QuoteMeta(r.path), `[^/]+`), `\*`, ".+")
	return contractRoute{r.method, regexp.MustCompile("^" + pattern + "$"), c.doc.Paths.Value(r.pattern()).GetOperation(r.method)}
}

// closeObjects forbids members that are not named wherever a schema does not allow
// them itself.
func closeObjects(tree any) {
	switch node := tree.(type) {
	case map[string]any:
		if _, object := node["properties"]; object && node["type"] == "object" && node["additionalProperties"] == nil {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// conforms checks an answer against the document.
func conforms(t *testing.T, method, path string, a answer) {
	t.Helper()
	c := loadContract()
	if c.err != nil {
		t.Error(c.err)
		return
	}
	path, _, _ = strings.Cut(path, "?")
	if method == http.MethodHead || a.status == http.StatusNotModified {
		return
	}
	for _, r := range c.routes {
		if r.method != method || !r.pattern.MatchString(path) {
			continue
		}
		response := r.op.Responses.Value(strconv.Itoa(a.status))
		if response == nil && a.status < 300 {
			t.Errorf("%s %s: the document has no status %d", method, path, a.status)
			return
		}
		if response == nil {
			response = r.op.Responses.Default()
		}
		mediaType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
		media := response.Value.Content[mediaType]
		if media == nil {
			t.Errorf("%s %s: the document has no %s", method, path, mediaType)
			return
		}
		if mediaType != typeJSON && mediaType != typeSchemas {
			return
		}
		var value any
		if err := json.Unmarshal([]byte(a.body), &value); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return
		}
		if err := c.doc.ValidateSchemaJSON(media.Schema.Value, value, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s %s: %.300s is not what the document says: %v", method, path, a.body, err)
		}
		return
	}
}

func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Dev = true })
	a := s.do("GET", "/openapi.json", http.NoBody, "Authorization: Bearer dev")
	doc, err := openapi3.NewLoader().LoadFromData([]byte(a.body))
	if err != nil || a.status != 200 {
		t.Fatalf("%d %v", a.status, err)
	}
	if err := doc.Validate(t.Context()); err != nil || !doc.IsOpenAPI31OrLater() {
		t.Errorf("%s: %v", doc.OpenAPI, err)
	}
	table := shapes()
	for _, r := range routes() {
		name := r.method + " " + r.pattern()
		if _, ok := table[name]; !ok {
			t.Errorf("%s has no shape", name)
		}
		delete(table, name)
		if op := doc.Paths.Value(r.pattern()).GetOperation(r.method); op == nil || (op.Security == nil) != (r.scope == public) {
			t.Errorf("%s: %+v", name, op)
		}
	}
	for name := range table {
		t.Errorf("there is a shape for %s, and no such route", name)
	}
}

// The check of answers notices what is wrong with them.
func TestConformsNotices(t *testing.T) {
	t.Parallel()
	c := loadContract()
	if c.err != nil {
		t.Fatal(c.err)
	}
	for _, r := range c.routes {
		if r.op.OperationID != "post_broker_commit" {
			continue
		}
		media := r.op.Responses.Value("200").Value.Content[typeJSON].Schema.Value
		for body, ok := range map[string]bool{
			`{"ok":true,"committed_offset":7}`:           true,
			`{"ok":true,"committed_offset":"7"}`:         false,
			`{"ok":true}`:                                false,
			`{"ok":false,"committed_offset":7}`:          false,
			`{"ok":true,"committed_offset":7,"extra":1}`: false,
		} {
			var value any
			_ = json.Unmarshal([]byte(body), &value)
			if err := c.doc.ValidateSchemaJSON(media, value, openapi3.EnableJSONSchema2020()); (err == nil) != ok {
				t.Errorf("%s: %v", body, err)
			}
		}
		return
	}
	t.Error("the call is not there")
}

// Where there are tokens, only health and readiness need none.
func TestPagesNeedAToken(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Dev = true })
	for _, r := range routes() {
		if r.method != "GET" || strings.ContainsAny(r.path, ":*") {
			continue
		}
		want := 401
		if r.path == "/health" || r.path == "/ready" {
			want = 200
		}
		if a := s.do("GET", r.path, http.NoBody); a.status != want {
			t.Errorf("GET %s without a token: %d", r.path, a.status)
		}
	}
}

func TestDocsPage(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Dev = true })
	a := s.do("GET", "/docs", http.NoBody, "Authorization: Bearer dev")
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %v", a.status, a.header)
	}
	for _, r := range routes() {
		if !strings.Contains(a.body, r.method+" "+r.pattern()+"</code>") || !strings.Contains(a.body, r.summary) {
			t.Errorf("%s %s is not on the page", r.method, r.path)
		}
	}
}
