package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func (s *testServer) scrape(headers ...string) map[string]*dto.MetricFamily {
	s.t.Helper()
	a := s.do("GET", "/metrics", http.NoBody, headers...)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(a.body))
	if a.status != 200 || err != nil || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		s.t.Fatalf("%d %v %v: %.200s", a.status, err, a.header, a.body)
	}
	return families
}

// What is shown is what the table and docs/metrics.md say, by name, kind and labels.
func TestMetricsTable(t *testing.T) {
	t.Parallel()
	golden(t, "../docs/metrics.md", string(metricsMarkdown()))
	s := withTopic(t, nil)
	s.want(200, "", "POST", "/broker/topics/t/produce", "x")
	s.want(201, "", "POST", "/queries", `{"name":"q","source":{"topic":"t"}}`)
	families := s.scrape()
	for _, m := range metrics() {
		f := families[m.name]
		if f == nil {
			t.Errorf("%s is not shown", m.name)
			continue
		}
		delete(families, m.name)
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want := slices.Sorted(slices.Values(m.labels))
		if slices.Sort(labels); strings.ToLower(f.GetType().String()) != m.kind || !slices.Equal(labels, want) || f.GetHelp() != m.help {
			t.Errorf("%s: %v %q %q", m.name, f.GetType(), labels, f.GetHelp())
		}
	}
	for name := range families {
		t.Errorf("%s is not in the table", name)
	}
}

func TestMetricsCount(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	s.want(200, "", "POST", "/broker/topics/t/produce?partition=2", "x")
	s.want(200, "", "POST", "/broker/topics/t/produce-ndjson?partition=2", "x\ny\n")
	s.want(200, "", "POST", "/broker/topics/t/produce?mode=rocket", "x")
	s.want(404, "", "POST", "/broker/topics/no/produce", "x")
	s.want(400, "", "POST", "/broker/topics/t/produce?partition=77", "x")
	s.want(201, "", "POST", "/queries", `{"name":"q","source":{"topic":"t"}}`)
	families := s.scrape()
	for name, want := range map[string]uint64{
		"leat_produce_queue_seconds": 2, "leat_produce_commit_seconds": 2, "leat_produce_parse_seconds": 3, "leat_produce_total_seconds": 3,
	} {
		if got := families[name].GetMetric()[0].GetHistogram().GetSampleCount(); got != want {
			t.Errorf("%s counts %d, want %d", name, got, want)
		}
	}
	if sum := families["leat_produce_commit_seconds"].GetMetric()[0].GetHistogram().GetSampleSum(); sum < 9e-6 || sum > 11e-6 {
		t.Errorf("two commits of 5 µs took %v s", sum)
	}
	got := map[string]float64{}
	for _, name := range []string{
		"leat_http_requests_total", "leat_partition_next_offset", "leat_shard_queued_bytes", "leat_ready", "leat_query_rows_total",
		"leat_query_running", "leat_query_failed", "leat_query_state_bytes", "leat_query_lag_records", "leat_query_lag_seconds",
		"leat_query_holds", "leat_query_watermark_seconds",
	} {
		for _, m := range families[name].GetMetric() {
			key := name
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			got[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"leat_http_requests_total POST /broker/topics/{topic}/produce 200":        2,
		"leat_http_requests_total POST /broker/topics/{topic}/produce 404":        1,
		"leat_http_requests_total POST /broker/topics/{topic}/produce 400":        1,
		"leat_http_requests_total POST /broker/topics/{topic}/produce-ndjson 200": 1,
		"leat_partition_next_offset 2 t":                                          3,
		"leat_partition_next_offset 0 t":                                          0,
		"leat_shard_queued_bytes 2":                                               5,
		"leat_ready":                                                              1,
		"leat_query_rows_total q in":                                              2,
		"leat_query_rows_total q filtered":                                        1,
		"leat_query_running q":                                                    1,
		"leat_query_failed q":                                                     0,
		"leat_query_state_bytes q":                                                7,
		"leat_query_lag_records 0 q t":                                            3,
		"leat_query_lag_seconds 0 q t":                                            1.5,
		"leat_query_holds 0 q t":                                                  1,
		"leat_query_watermark_seconds 0 q t":                                      0,
	} {
		if value, ok := got[key]; !ok || value != want {
			t.Errorf("%s is %v, want %v", key, value, want)
		}
	}
}

// What a client sends never becomes a label, and names of topics are for those who
// may see them all.
func TestMetricsScope(t *testing.T) {
	t.Parallel()
	tokens, _, err := ParseTokens("all:reader@consume:some@admin=app.")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(c *Config) { c.Tokens = tokens })
	s.wantError(401, "unauthorized", "GET", "/metrics", "")
	s.wantError(403, "forbidden", "GET", "/metrics", "", "Authorization: Bearer reader")
	s.wantError(403, "forbidden", "GET", "/metrics", "", "Authorization: Bearer some")
	s.want(200, "", "GET", "/metrics_ha", "", "Authorization: Bearer reader")
	s.wantError(403, "forbidden", "GET", "/cluster", "", "Authorization: Bearer reader")
	s.wantError(404, "not_found", "GET", "/secret-path", "")
	s.want(403, "", "GET", "/broker/topics/secret-topic", "", "Authorization: Bearer some")
	for name, f := range s.scrape("Authorization: Bearer all") {
		if strings.Contains(f.String(), "secret") {
			t.Errorf("%s: %s", name, f.String())
		}
	}
}
