package api

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// QueryFigures are what /metrics shows of a query: what its status says, in numbers.
type QueryFigures struct {
	State      string           // running, paused, completed, failed
	Rows       map[string]int64 // in, used, filtered, late, dead_lettered, late_windows, out
	StateBytes int64
	Partitions []PartitionFigures
}

// PartitionFigures tell how far a query has read one source partition.
type PartitionFigures struct {
	Topic       string
	Partition   int32
	Lag         int64 // records
	LagMs       int64 // age of the first of them
	WatermarkMs *int64
	Holds       bool // it holds back the watermark of the query
}

const queryRows = "leat_query_rows_total"

// queryMetrics are the lines of the table of metrics about queries.
func queryMetrics() []metric {
	query, partition := []string{"query"}, []string{"query", "topic", "partition"}
	return []metric{
		{"leat_query_failed", "gauge", query, "1 if the query has failed."},
		{"leat_query_holds", "gauge", partition, "1 if the partition holds back the watermark of the query."},
		{"leat_query_lag_records", "gauge", partition, "Records the query has still to read."},
		{"leat_query_lag_seconds", "gauge", partition, "Age of the first record the query has still to read."},
		{queryRows, "counter", []string{"query", "rows"}, "Rows of the query since it began, by what became of them: in = used + filtered + late + dead_lettered."},
		{"leat_query_running", "gauge", query, "1 if the query is running."},
		{"leat_query_state_bytes", "gauge", query, "Memory of the state of the query, about."},
		{"leat_query_watermark_seconds", "gauge", partition, "Watermark of the partition in event time, since the Unix epoch; not shown before the first event time."},
	}
}

// collectQueries shows the figures of all queries.
func (c *standing) collectQueries(out chan<- prometheus.Metric) {
	show := func(name string, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.descs[name], kind, value, labels...)
	}
	gauge := func(name string, value float64, labels ...string) {
		show(name, prometheus.GaugeValue, value, labels...)
	}
	list := c.server.queries.List()
	gauge("leat_queries", float64(len(list)))
	for _, q := range list {
		f := &q.Figures
		gauge("leat_query_failed", float64(oneIf(f.State == "failed")), q.Name)
		gauge("leat_query_running", float64(oneIf(f.State == "running")), q.Name)
		gauge("leat_query_state_bytes", float64(f.StateBytes), q.Name)
		for what, n := range f.Rows {
			show(queryRows, prometheus.CounterValue, float64(n), q.Name, what)
		}
		for _, p := range onePerPartition(f.Partitions) {
			labels := []string{q.Name, p.Topic, strconv.Itoa(int(p.Partition))}
			gauge("leat_query_holds", float64(oneIf(p.Holds)), labels...)
			gauge("leat_query_lag_records", float64(p.Lag), labels...)
			gauge("leat_query_lag_seconds", float64(p.LagMs)/1000, labels...)
			if p.WatermarkMs != nil {
				gauge("leat_query_watermark_seconds", float64(*p.WatermarkMs)/1000, labels...)
			}
		}
	}
}

// onePerPartition has each partition once, as the join of a topic with itself reads both
// sides from it: the one that is further behind counts.
func onePerPartition(list []PartitionFigures) []PartitionFigures {
	type place struct {
		topic     string
		partition int32
	}
	at := make(map[place]int, len(list))
	var once []PartitionFigures
	for _, p := range list {
		i, twice := at[place{p.Topic, p.Partition}]
		if !twice {
			at[place{p.Topic, p.Partition}] = len(once)
			once = append(once, p)
			continue
		}
		o := &once[i]
		o.Lag, o.LagMs, o.Holds = max(o.Lag, p.Lag), max(o.LagMs, p.LagMs), o.Holds || p.Holds
		if o.WatermarkMs == nil || p.WatermarkMs == nil {
			o.WatermarkMs = nil
		} else {
			o.WatermarkMs = new(min(*o.WatermarkMs, *p.WatermarkMs))
		}
	}
	return once
}
