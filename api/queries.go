package api

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"leat/codecs"
	"leat/internal/fault"
	"leat/log"
	"leat/queries"
)

// queryName decodes and checks the name in the path.
func (c *call) queryName() (string, error) {
	name, ok := c.text("query")
	if !ok || !validName(name, maxQueryName) {
		return "", fault.New(fault.Invalid, "invalid_query_name", "%q is not a valid name of a query", clip(name))
	}
	return name, nil
}

// query is queryName of a query that the token covers. Names of queries are no
// secret, so one it does not cover is forbidden, not unknown.
func (c *call) query() (name string, err error) {
	if name, err = c.queryName(); err != nil {
		return "", err
	}
	var topics []string
	err = c.heard(func() (err error) { topics, err = c.server.queries.Sources(name); return err })
	if err != nil {
		return "", err
	}
	if topic, ok := c.coversAll(topics); !ok {
		return "", forbidden(ScopeQuery, topic)
	}
	return name, nil
}

// heard does what may fail because this node has yet to hear of a query or topic that was made
// through another one: in a cluster it is done once more after that.
func (c *call) heard(do func() error) error {
	err := do()
	if !isUnknown(err) {
		return err
	}
	switch others, late := c.catchUp(); {
	case late != nil:
		return late
	case !others:
		return err
	}
	return do()
}

// isUnknown tells whether an error is that there is no query of a name, or no topic that a
// spec names.
func isUnknown(err error) bool {
	f := fault.As(err)
	if f == nil {
		return false
	}
	problems, _ := f.Detail["problems"].([]queries.Problem)
	return f.Code == "unknown_query" || slices.ContainsFunc(problems, func(p queries.Problem) bool { return p.Code == "unknown_topic" })
}

// coversAll tells whether the token covers queries over all the topics, and names
// one where it does not.
func (c *call) coversAll(topics []string) (topic string, ok bool) {
	for _, topic := range topics {
		if !allows(c.grants, ScopeQuery, topic) {
			return topic, false
		}
	}
	return "", len(topics) > 0 || !limited(c.grants, ScopeQuery)
}

// readSpec reads a query spec, and checks its topics where the token is limited to
// some.
func (c *call) readSpec() ([]byte, error) {
	body, err := c.readJSON()
	if err != nil || !limited(c.grants, ScopeQuery) {
		return body, err
	}
	if topic, ok := c.coversAll(specTopics(body)); !ok {
		return nil, forbidden(ScopeQuery, topic)
	}
	return body, nil
}

// specTopics names the topics and namespaces a spec reads and writes: the members
// "topic" and "kv" of any object in it. A spec that is not JSON names none.
func specTopics(spec []byte) []string {
	var tree any
	if json.Unmarshal(spec, &tree) != nil {
		return nil
	}
	var topics []string
	for pending := []any{tree}; len(pending) > 0; {
		node := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		switch node := node.(type) {
		case map[string]any:
			for _, member := range []string{"topic", "kv"} {
				if name, ok := node[member].(string); ok {
					topics = append(topics, name)
				}
			}
			for _, child := range node {
				pending = append(pending, child)
			}
		case []any:
			pending = append(pending, node...)
		}
	}
	return topics
}

// createQuery answers POST /queries: 201, or 200 where the same query was there.
func (c *call) createQuery() error {
	spec, err := c.readSpec()
	if err != nil {
		return err
	}
	return c.create(spec)
}

// putQuery answers PUT /queries/{name} as POST /queries with a spec of that name.
func (c *call) putQuery() error {
	name, err := c.queryName()
	if err != nil {
		return err
	}
	spec, err := c.readSpec()
	if err != nil {
		return err
	}
	var named struct {
		Name string `json:"name"`
	}
	// A spec that cannot be read, or has no name, is refused with all its problems.
	if json.Unmarshal(spec, &named) == nil && named.Name != "" && named.Name != name {
		return fault.New(fault.Invalid, "invalid_query", "The spec is that of query %q, the address that of %q", clip(named.Name), name).
			With("pointer", "/name")
	}
	return c.create(spec)
}

func (c *call) create(spec []byte) error {
	ctx, cancel := c.deadline()
	defer cancel()
	var created CreatedQuery
	err := c.heard(func() (err error) { created, err = c.server.queries.Create(ctx, spec); return err })
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if created.Existing {
		status = http.StatusOK
	}
	c.http.Context().Response.Header.Set("Location", "/queries/"+created.Name)
	out := append(c.out(), `{"ok":true,"name":`...)
	out = codecs.AppendJSONString(out, created.Name)
	return c.send(status, typeJSON, append(appendWarnings(out, created.Warnings), '}'))
}

func appendWarnings(dst []byte, warnings []string) []byte {
	dst = append(dst, `,"warnings":[`...)
	for i, w := range warnings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = codecs.AppendJSONString(dst, w)
	}
	return append(dst, ']')
}

// validateQuery answers POST /queries/validate.
func (c *call) validateQuery() error {
	spec, err := c.readSpec()
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	var warnings []string
	err = c.heard(func() (err error) { warnings, err = c.server.queries.Validate(ctx, spec); return err })
	if err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true`...)
	return c.send(http.StatusOK, typeJSON, append(appendWarnings(out, warnings), '}'))
}

// The bounds of a preview.
const (
	defaultPreview = 1000 // records read
	maxPreview     = 10_000
	previewTime    = 3 * time.Second
)

// previewQuery answers POST /queries/preview.
func (c *call) previewQuery() error {
	records, err := c.params.integer("records", 1, maxPreview, defaultPreview)
	if err != nil {
		return err
	}
	limit, err := c.params.integer("limit", 1, math.MaxInt64, defaultLimit)
	if err != nil {
		return err
	}
	spec, err := c.readSpec()
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	done, err := c.ask(ctx)
	if err != nil {
		return err
	}
	defer done()
	reading, stop := context.WithTimeout(ctx, previewTime)
	defer stop()
	var p Preview
	err = c.heard(func() (err error) {
		p, err = c.server.queries.Preview(reading, spec, int(records), int(min(limit, maxLimit)))
		return err
	})
	if err != nil {
		return err
	}
	counts, err := marshal(p.Counts)
	if err != nil {
		return err
	}
	out := appendRows(append(c.out(), `{"ok":true`...), p.Rows)
	out = append(append(out, `,"counts":`...), counts...)
	out = strconv.AppendBool(append(out, `,"truncated":`...), p.Truncated)
	return c.send(http.StatusOK, typeJSON, append(out, '}'))
}

// listQueries answers GET /queries with the queries the token covers.
func (c *call) listQueries() error {
	out := append(c.out(), `{"ok":true,"queries":[`...)
	first := true
	for _, q := range c.server.queries.List() {
		if _, ok := c.coversAll(q.Topics); !ok {
			continue
		}
		status, err := marshal(q.Status)
		if err != nil {
			return err
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, status...)
	}
	return c.send(http.StatusOK, typeJSON, append(out, "]}"...))
}

// getQuery answers GET /queries/{name}.
func (c *call) getQuery() error {
	name, err := c.query()
	if err != nil {
		return err
	}
	q, err := c.server.queries.Get(name)
	if err != nil {
		return err
	}
	status, err := marshal(q.Status)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, typeJSON, append(c.out(), status...))
}

// deleteQuery answers DELETE /queries/{name}.
func (c *call) deleteQuery() error { return c.changeQuery(c.server.queries.Delete) }

// pauseQuery answers POST /queries/{name}/pause.
func (c *call) pauseQuery() error { return c.changeQuery(c.server.queries.Pause) }

// resumeQuery answers POST /queries/{name}/resume.
func (c *call) resumeQuery() error { return c.changeQuery(c.server.queries.Resume) }

// restartQuery answers POST /queries/{name}/restart.
func (c *call) restartQuery() error { return c.changeQuery(c.server.queries.Restart) }

func (c *call) changeQuery(change func(ctx context.Context, name string) error) error {
	name, err := c.query()
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	if err := change(ctx, name); err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true,"name":`...)
	return c.send(http.StatusOK, typeJSON, append(codecs.AppendJSONString(out, name), '}'))
}

// plan answers GET /queries/{name}/plan.
func (c *call) plan() error {
	name, err := c.query()
	if err != nil {
		return err
	}
	format, err := c.params.choice("format", "json", "json", "text", "mermaid")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	text, err := c.server.queries.Plan(ctx, name, format)
	if err != nil {
		return err
	}
	contentType := typeText
	if format == "json" {
		contentType = typeJSON
	}
	return c.send(http.StatusOK, contentType, append(c.out(), text...))
}

// page is what the address of a call for rows asks for.
type page struct {
	query  string
	offset log.Offset
	limit  int
}

func (c *call) page(absentLimit int64) (page, error) {
	name, err := c.query()
	if err != nil {
		return page{}, err
	}
	offset, err := c.params.integer("offset", 0, math.MaxInt64, 0)
	if err != nil {
		return page{}, err
	}
	limit, err := c.params.integer("limit", 1, math.MaxInt64, absentLimit)
	return page{query: name, offset: log.Offset(offset), limit: int(limit)}, err
}

// results answers GET /queries/{name}/results.
func (c *call) results() error {
	follow, err := c.params.flag("follow")
	if err != nil {
		return err
	}
	if follow {
		return c.follow()
	}
	return c.rows(c.server.queries.Results, true)
}

// view answers GET /queries/{name}/view.
func (c *call) view() error {
	name, err := c.query()
	if err != nil {
		return err
	}
	start, err := c.params.time("window_start")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	row, err := c.server.queries.View(ctx, name, c.params.list, start)
	if err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true,"row":`...)
	return c.send(http.StatusOK, typeJSON, append(append(out, row...), '}'))
}

// late answers GET /queries/{name}/late.
func (c *call) late() error { return c.rows(c.server.queries.Late, false) }

// deadLetters answers GET /queries/{name}/dead-letters.
func (c *call) deadLetters() error { return c.rows(c.server.queries.DeadLetters, false) }

func appendRows(dst []byte, rows []json.RawMessage) []byte {
	dst = append(dst, `,"rows":[`...)
	for i, row := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, row...)
	}
	return append(dst, ']')
}

type readRows func(ctx context.Context, name string, offset log.Offset, limit int) (Rows, error)

func (c *call) rows(read readRows, complete bool) error {
	p, err := c.page(defaultLimit)
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	rows, err := read(ctx, p.query, p.offset, min(p.limit, maxLimit))
	if err != nil {
		return err
	}
	out := appendRows(append(c.out(), `{"ok":true`...), rows.Rows)
	out = appendField(out, "next_offset", int64(rows.Next))
	if complete {
		out = append(out, `,"complete":`...)
		out = strconv.AppendBool(out, rows.Complete)
	}
	return c.send(http.StatusOK, typeJSON, append(out, '}'))
}
