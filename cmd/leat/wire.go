package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"leat/api"
	"leat/cluster"
	"leat/codecs/formats"
	"leat/codecs/inline"
	"leat/codecs/registry"
	"leat/log"
	"leat/queries"
)

// Who satisfies which interface. Each is declared by the package that needs it.
var (
	_ api.Topics         = (*cluster.Node)(nil)
	_ api.Documents      = (*cluster.Node)(nil)
	_ api.Trimming       = (*cluster.Node)(nil)
	_ api.Cluster        = (*cluster.Node)(nil)
	_ api.Readiness      = (*cluster.Node)(nil)
	_ api.Queries        = (*queryCalls)(nil)
	_ api.Schemas        = (*registry.Registry)(nil)
	_ registry.Documents = (*cluster.Node)(nil)
	_ queries.Topics     = (*cluster.Node)(nil)
	_ queries.Documents  = (*cluster.Node)(nil)
	_ queries.SinkTopics = (*cluster.Node)(nil)
	_ queries.SinkSpaces = (*api.Namespaces)(nil)
	_ queries.Values     = (*api.Namespaces)(nil)
	_ queries.Formats    = (*formats.Library)(nil)
	_ queries.Leaders    = (*cluster.Node)(nil)
	_ queries.Clock      = wallClock{}

	_ queries.OneShotFormats = inline.Formats{}
)

// wire puts the queries and the server on top of the node.
func (e *engine) wire(c settings, logger *slog.Logger) (err error) {
	// Queries write wherever what they write to is led; clients are sent there.
	own, front := e.node.Forwarding(), e.node
	if c.proxyWrites {
		front = own
	}
	schemas := registry.New(own, registry.Limits{})
	spaces := api.NewNamespaces(e.node, e.node, c.limits)
	e.manager = queries.NewManager(queries.ManagerConfig{
		Topics: own, Docs: own, Sinks: own, Spaces: spaces, Values: spaces, Formats: formats.New(registeredSchemas{schemas}), Clock: wallClock{}, Leaders: own, Owner: rand.Text(), Logger: logger.With("component", "queries"),
		StateBytes: c.stateBytes,
	})
	limits := c.limits
	limits.Drain = drainTime
	e.server, err = api.New(api.Config{
		Topics: front, Documents: front, Trimming: front, Cluster: front, Readiness: e.node,
		Queries: &queryCalls{manager: e.manager, logger: logger}, Schemas: schemas, Formats: inline.Formats{}, URL: orText(c.url, e.url), NodeID: c.nodeID, Version: readBuild().Version, Rocket: c.rocket, Everywhere: c.everywhere,
		TLS: c.tls.server(), Tokens: c.tokens, Limits: limits, Dev: c.dev, Logger: logger.With("component", "api"),
	})
	if err != nil {
		return fmt.Errorf("make the server: %w", err)
	}
	return nil
}

// wallClock is the time of the machine.
type wallClock struct{}

// Now is the present time.
func (wallClock) Now() time.Time { return time.Now() }

// After sends the time once d has passed.
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// queryCalls is the manager in the words of the api.
type queryCalls struct {
	manager *queries.Manager
	logger  *slog.Logger
}

// Create starts a query.
func (q *queryCalls) Create(ctx context.Context, body []byte) (api.CreatedQuery, error) {
	name, warnings, existing, err := q.manager.Create(ctx, body)
	return api.CreatedQuery{Name: name, Warnings: warnings, Existing: existing}, err
}

// Validate checks a spec.
func (q *queryCalls) Validate(ctx context.Context, body []byte) ([]string, error) {
	return q.manager.Validate(ctx, body)
}

// Preview runs a spec over the last records.
func (q *queryCalls) Preview(ctx context.Context, body []byte, records, limit int) (api.Preview, error) {
	p, err := q.manager.Preview(ctx, body, records, limit)
	return api.Preview{Rows: p.Rows, Counts: p.Counts, Truncated: p.Truncated}, err
}

// Sources are the topics that a query reads.
func (q *queryCalls) Sources(name string) ([]string, error) { return q.manager.Sources(name) }

// Get answers the status of a query.
func (q *queryCalls) Get(name string) (api.QueryStatus, error) {
	status, err := q.manager.Get(name)
	return queryStatus(status), err
}

// List answers the status of all queries.
func (q *queryCalls) List() []api.QueryStatus {
	all, err := q.manager.List()
	if err != nil {
		q.logger.Error("a query could not be listed", "error", err)
	}
	list := make([]api.QueryStatus, len(all))
	for i := range all {
		list[i] = queryStatus(all[i])
	}
	return list
}

func queryStatus(s queries.Status) api.QueryStatus {
	figures := api.QueryFigures{
		State: s.State, StateBytes: s.StateBytes, Rows: map[string]int64{
			"in": s.Rows.In, "used": s.Rows.Used, "filtered": s.Rows.Filtered, "late": s.Rows.Late,
			"dead_lettered": s.Rows.DeadLettered, "late_windows": s.Rows.LateWindows, "out": s.Rows.Out,
		},
	}
	for _, p := range s.Partitions {
		figures.Partitions = append(figures.Partitions, api.PartitionFigures{
			Topic: p.Topic, Partition: p.Partition, Lag: p.Lag, LagMs: p.LagMs, WatermarkMs: p.Watermark, Holds: p.Holds,
		})
	}
	return api.QueryStatus{Name: s.Name, Topics: s.Topics, Status: s, Figures: figures}
}

// Delete stops a query and deletes what it kept.
func (q *queryCalls) Delete(ctx context.Context, name string) error {
	return q.manager.Delete(ctx, name)
}

// Pause stops a query until it is resumed.
func (q *queryCalls) Pause(ctx context.Context, name string) error { return q.manager.Pause(ctx, name) }

// Resume has a paused query go on.
func (q *queryCalls) Resume(ctx context.Context, name string) error {
	return q.manager.Resume(ctx, name)
}

// Restart starts a query anew.
func (q *queryCalls) Restart(ctx context.Context, name string) error {
	return q.manager.Restart(ctx, name)
}

// Plan prints the plan of a query.
func (q *queryCalls) Plan(ctx context.Context, name, format string) ([]byte, error) {
	return q.manager.Plan(ctx, name, format)
}

// Results reads the result log.
func (q *queryCalls) Results(_ context.Context, name string, offset log.Offset, limit int) (api.Rows, error) {
	return rowsOf(q.manager.Results(name, offset, limit))
}

// WaitResults tells when there is more to read.
func (q *queryCalls) WaitResults(name string, after log.Offset) (<-chan struct{}, error) {
	return q.manager.WaitResults(name, after)
}

// View reads the latest row of a group.
func (q *queryCalls) View(ctx context.Context, name string, keys []string, windowStart *int64) (json.RawMessage, error) {
	return q.manager.View(ctx, name, keys, windowStart)
}

// Late reads the late log.
func (q *queryCalls) Late(_ context.Context, name string, offset log.Offset, limit int) (api.Rows, error) {
	return rowsOf(q.manager.Late(name, offset, limit))
}

// DeadLetters reads the dead-letter log.
func (q *queryCalls) DeadLetters(_ context.Context, name string, offset log.Offset, limit int) (api.Rows, error) {
	return rowsOf(q.manager.DeadLetters(name, offset, limit))
}

func rowsOf(r queries.Rows, err error) (api.Rows, error) {
	return api.Rows{Rows: r.Rows, Next: r.Next, Run: r.Run, Complete: r.Complete, Watermark: r.Watermark, Stopped: r.Stopped}, err
}
