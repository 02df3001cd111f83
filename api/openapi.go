package api

import (
	"html"
	"net/http"
	"strings"
)

// openAPI is the document about every route: OpenAPI 3.1.
func openAPI() schema {
	paths, table := schema{}, shapes()
	for _, r := range routes() {
		pattern := r.pattern()
		item, ok := paths[pattern].(schema)
		if !ok {
			item = schema{}
			paths[pattern] = item
		}
		item[strings.ToLower(r.method)] = operation(&r, table[r.method+" "+pattern])
	}
	schemas := schema{}
	for name, text := range components() {
		schemas[name] = parseSchema(text)
	}
	return schema{
		"openapi": "3.1.0",
		"info": schema{
			"title": "Leat", "version": "1",
			"description": "A replicated log with stream queries. Refusals have one form, the schema Error; GET /docs/errors lists the codes. Those of the schema registry have the form SchemaError.",
		},
		"paths": paths,
		"components": schema{
			"schemas":         schemas,
			"securitySchemes": schema{"token": schema{"type": "http", "scheme": "bearer"}},
		},
	}
}

// operation describes one route.
func operation(r *route, s shape) schema {
	content, main, refusal := schema{}, typeJSON, "#Error"
	if schemaPath(r.path) {
		main, refusal = typeSchemas, "#SchemaError"
	}
	if s.answer != "" {
		content[main] = schema{"schema": parseSchema(s.answer)}
	}
	for _, mediaType := range strings.Fields(s.types) {
		content[mediaType] = schema{"schema": schema{"type": "string"}}
	}
	status := s.status
	if status == "" {
		status = "200"
	}
	failed := schema{"description": "Refused.", "content": schema{main: schema{"schema": parseSchema(refusal)}}}
	op := schema{
		"operationId": operationID(r),
		"summary":     r.summary,
		"responses":   schema{status: schema{"description": r.summary, "content": content}, "default": failed},
	}
	if status != "200" { // where the same is there already
		op["responses"].(schema)["200"] = schema{"description": r.summary, "content": content}
	}
	if parameters := parametersOf(r); len(parameters) > 0 {
		op["parameters"] = parameters
	}
	switch {
	case s.body == "bytes":
		op["requestBody"] = schema{"content": schema{"application/octet-stream": schema{}}}
	case s.body != "":
		op["requestBody"] = schema{"required": true, "content": schema{typeJSON: schema{"schema": parseSchema(s.body)}}}
	}
	if r.scope != public {
		op["security"] = []any{schema{"token": []any{}}}
		op["description"] = "Needs a token with the scope " + r.scope.String() + ", unless the server has no tokens."
	}
	return op
}

// operationID is the method and path in words.
func operationID(r *route) string {
	words := strings.FieldsFunc(r.pattern(), func(c rune) bool { return strings.ContainsRune("/{}-_.", c) })
	return strings.Join(append([]string{strings.ToLower(r.method)}, words...), "_")
}

// parametersOf lists the parameters of the path and the address.
func parametersOf(r *route) (list []any) {
	for part := range strings.SplitSeq(r.pattern(), "/") {
		if name, found := strings.CutPrefix(part, "{"); found {
			list = append(list, schema{
				"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": schema{"type": "string"},
			})
		}
	}
	for _, name := range r.named() {
		if name, found := strings.CutSuffix(name, repeated); found {
			list = append(list, schema{"name": name, "in": "query", "schema": schema{"type": "array", "items": schema{"type": "string"}}})
			continue
		}
		list = append(list, schema{"name": name, "in": "query", "schema": parameterSchema(r, name)})
	}
	return list
}

// parameterSchema is the type of a parameter of the address.
func parameterSchema(r *route, name string) schema {
	words := map[string][]any{
		"mode": {"sealed", "rocket"}, "acks": {"async", "majority", "all"}, "encoding": {"b64", "text"}, "format": {"json", "text", "mermaid"},
	}
	switch name {
	case "partition", "timeout_ms", "offset", "limit", "records", "wait_ms", "cas", "ttl_ms":
		return schema{"type": "integer", "minimum": 0}
	case "window_start":
		return schema{"type": "integer"}
	case "timing", "follow", "watch", "stale", "deleted", "deletedOnly", "permanent", "normalize", "latestOnly", "fetchMaxId", "verbose", "defaultToGlobal", "force":
		return schema{"type": "string", "enum": []any{"0", "1", "false", "true"}}
	}
	if list := words[name]; list != nil {
		return schema{"type": "string", "enum": list}
	}
	return schema{"type": "string"}
}

// openAPI answers GET /openapi.json.
func (c *call) openAPI() error {
	return c.send(http.StatusOK, typeJSON, append(c.out(), c.server.openapi...))
}

// docs answers GET /docs: the calls for people.
func (c *call) docs() error {
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang=en><meta charset=utf-8><title>Leat: the calls</title><h1>The calls</h1>` +
		`<p><a href="/openapi.json">OpenAPI document</a> · <a href="/docs/errors">Error codes</a><dl>`)
	for _, r := range routes() {
		b.WriteString("<dt><code>" + html.EscapeString(r.method+" "+r.pattern()) + "</code>")
		for i, name := range r.named() {
			separator := "&"
			if i == 0 {
				separator = "?"
			}
			b.WriteString("<code>" + html.EscapeString(separator+strings.TrimSuffix(name, repeated)+"=") + "</code>")
		}
		b.WriteString("<dd>" + html.EscapeString(r.summary))
		if r.scope != public {
			b.WriteString(" Scope: " + html.EscapeString(r.scope.String()) + ".")
		}
	}
	b.WriteString("</dl></html>\n")
	return c.sendPage(b.String())
}
