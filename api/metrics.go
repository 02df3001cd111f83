package api

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"leat/internal/bus"
)

// metric is one line of the table of metrics.
type metric struct {
	name   string
	kind   string
	labels []string
	help   string
}

// metrics is everything /metrics shows, sorted by name. Names and labels do not
// change; a line may be added.
func metrics() []metric {
	shard, partition := []string{"shard"}, []string{"topic", "partition"}
	return slices.Concat([]metric{
		{"leat_http_body_bytes", "gauge", nil, "Bytes of large request bodies being received or worked on."},
		{"leat_http_requests_total", "counter", []string{"route", "status"}, "Calls answered."},
		{"leat_http_streams", "gauge", nil, "Answers that stay open."},
		{"leat_node_reachable", "gauge", []string{"node"}, "1 if the node has answered this one lately."},
		{"leat_partition_bytes", "gauge", partition, "Bytes of the partition on disk."},
		{"leat_partition_first_offset", "gauge", partition, "Offset of the first record there is."},
		{"leat_partition_next_offset", "gauge", partition, "Offset of the next record."},
		{"leat_produce_commit_seconds", "histogram", nil, "Of a sealed produce call: from the proposal until the records are durable."},
		{"leat_produce_parse_seconds", "histogram", nil, "Of a produce call: from its arrival until its records are known."},
		{"leat_produce_queue_seconds", "histogram", nil, "Of a sealed produce call: waiting for a place in a proposal."},
		{"leat_produce_total_seconds", "histogram", nil, "Of a produce call: from its arrival to its answer."},
		{"leat_queries", "gauge", nil, "Queries there are."},
	}, queryMetrics(), []metric{
		{"leat_raft_log_bytes", "gauge", nil, "Bytes of the raft log on disk."},
		{"leat_ready", "gauge", nil, "1 if the node can serve."},
		{"leat_shard_applied_index", "gauge", shard, "Raft index of the last entry applied."},
		{"leat_shard_checkpointed_index", "gauge", shard, "Raft index that a power cut cannot take the state behind."},
		{"leat_shard_compared_index", "gauge", shard, "Raft index at which a majority of the nodes was last seen to have the state of this one."},
		{"leat_shard_diverged", "gauge", []string{"shard", "node"}, "1 if the node was seen with another state than the majority; it then stops for good."},
		{"leat_shard_document_bytes", "gauge", shard, "Memory of the documents, about, with those remembered as expired."},
		{"leat_shard_lag_entries", "gauge", []string{"shard", "node"}, "Raft entries that the node is behind the one that is furthest; of the nodes that are reachable."},
		{"leat_shard_leader", "gauge", shard, "1 if this node leads the shard."},
		{"leat_shard_log_time_seconds", "gauge", shard, "Log time, since the Unix epoch."},
		{"leat_shard_queued_bytes", "gauge", shard, "Bytes of writes not yet proposed. What was produced with mode=rocket is lost with them."},
		{"leat_shard_term", "gauge", shard, "Raft term."},
	})
}

// meters count what the server does. They are safe for concurrent use.
type meters struct {
	registry                    *prometheus.Registry
	requests                    *prometheus.CounterVec
	queue, parse, commit, total prometheus.Histogram
}

// newMeters makes the meters of a server.
func newMeters(s *Server) (*meters, error) {
	m := &meters{registry: prometheus.NewRegistry()}
	help := make(map[string]string)
	for _, line := range metrics() {
		help[line.name] = line.help
	}
	histogram := func(name string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name, Help: help[name], Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18), // to 6.5 s
		})
	}
	m.queue, m.parse = histogram("leat_produce_queue_seconds"), histogram("leat_produce_parse_seconds")
	m.commit, m.total = histogram("leat_produce_commit_seconds"), histogram("leat_produce_total_seconds")
	const requests = "leat_http_requests_total"
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: requests, Help: help[requests]}, []string{"route", "status"})
	for _, c := range []prometheus.Collector{m.queue, m.parse, m.commit, m.total, m.requests, newStanding(s)} {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// produced counts one produce call that was answered with 200.
func (m *meters) produced(done *bus.Appended, async bool, parse, total time.Duration) {
	m.parse.Observe(parse.Seconds())
	m.total.Observe(total.Seconds())
	if !async {
		m.queue.Observe(float64(done.QueueUs) / 1e6)
		m.commit.Observe(float64(done.CommitUs) / 1e6)
	}
}

// standing reads where the node stands when it is asked.
type standing struct {
	server *Server
	descs  map[string]*prometheus.Desc
}

func newStanding(s *Server) *standing {
	c := &standing{server: s, descs: make(map[string]*prometheus.Desc)}
	for _, m := range metrics() {
		if m.kind == "gauge" || m.name == queryRows {
			c.descs[m.name] = prometheus.NewDesc(m.name, m.help, m.labels, nil)
		}
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *standing) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *standing) Collect(out chan<- prometheus.Metric) {
	gauge := func(name string, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, float64(value), labels...)
	}
	s := c.server
	gauge("leat_http_body_bytes", s.inFlight.Load())
	gauge("leat_http_streams", s.open.Load())
	c.collectQueries(out)
	gauge("leat_raft_log_bytes", s.cluster.RaftLogBytes())
	gauge("leat_ready", oneIf(s.readiness.Ready() == nil && !s.stopped()))
	for _, shard := range s.cluster.Shards() {
		id := strconv.FormatUint(shard.ID, 10)
		gauge("leat_shard_applied_index", int64(shard.Applied), id)
		gauge("leat_shard_checkpointed_index", int64(shard.Checkpointed), id)
		gauge("leat_shard_compared_index", int64(shard.Compared), id)
		gauge("leat_shard_document_bytes", shard.DocBytes, id)
		gauge("leat_shard_leader", oneIf(shard.LeaderID == s.cluster.ID()), id)
		gauge("leat_shard_queued_bytes", shard.QueuedBytes, id)
		gauge("leat_shard_term", int64(shard.Term), id)
		out <- prometheus.MustNewConstMetric(c.descs["leat_shard_log_time_seconds"], prometheus.GaugeValue, float64(shard.LogTimeMs)/1000, id)
	}
	all := s.members()
	for i := range all {
		gauge("leat_node_reachable", oneIf(all[i].Reachable), all[i].ID)
		for _, shard := range s.cluster.Shards() {
			gauge("leat_shard_diverged", oneIf(slices.Contains(all[i].Diverged, shard.ID)), strconv.FormatUint(shard.ID, 10), all[i].ID)
			if all[i].Reachable {
				gauge("leat_shard_lag_entries", all[i].Lag[shard.ID], strconv.FormatUint(shard.ID, 10), all[i].ID)
			}
		}
	}
	for _, t := range s.topics.ListTopics() {
		for i := range t.Partitions {
			p, err := s.topics.Partition(t.Name, i)
			if t.Internal || err != nil {
				continue // it went away meanwhile
			}
			number := strconv.Itoa(int(i))
			gauge("leat_partition_bytes", p.Bytes, t.Name, number)
			gauge("leat_partition_first_offset", int64(p.First), t.Name, number)
			gauge("leat_partition_next_offset", int64(p.Next), t.Name, number)
		}
	}
}

func oneIf(holds bool) int64 {
	if holds {
		return 1
	}
	return 0
}

// metrics answers GET /metrics in the Prometheus text format.
func (c *call) metrics() error {
	if err := c.wholeAdmin(); err != nil {
		return err
	}
	families, err := c.server.meters.registry.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	out := bytes.NewBuffer(c.out())
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	encoder := expfmt.NewEncoder(out, format)
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return c.send(http.StatusOK, string(format), out.Bytes())
}

// metricsMarkdown is docs/metrics.md.
func metricsMarkdown() []byte {
	var b bytes.Buffer
	b.WriteString("# Metrics\n\n`GET /metrics` answers in the Prometheus text format. It needs a token with the scope `admin`.\n" +
		"Counters begin at 0 when the server starts; times are in seconds, sizes in bytes.\n\n" +
		"| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metrics() {
		labels := ""
		for i, l := range m.labels {
			if i > 0 {
				labels += ", "
			}
			labels += "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, m.help)
	}
	return b.Bytes()
}
