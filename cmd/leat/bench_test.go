package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestBenchCountsWhatItDid: what the load says was written is in the log, to the
// requests under way when its time was over; what it reads is there.
func TestBenchCountsWhatItDid(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	c := dial(t, server.url)
	c.mustPost(t, "/broker/topics", map[string]any{"name": "t", "partitions": 2})
	env := map[string]string{"LEAT_SERVER": server.url}
	if got := leat(t.Context(), "", env, "bench", "consume", "t"); got.exit != exitFailure || !strings.Contains(got.err, "empty_topic") && !strings.Contains(got.err, "nothing to read") {
		t.Errorf("an empty topic: exit %d, %s", got.exit, got.err)
	}
	const connections, batch, size = 3, 5, 20
	m := bench(t, env, "produce", "t", "--connections", "3", "--batch", "5", "--size", "20", "--duration", "300ms")
	topic, _, err := c.describeTopic(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	written := topic.Detail[0].Next + topic.Detail[1].Next
	if m.Records == 0 || m.Records != m.Requests*batch || m.Bytes != m.Records*size || written < m.Records || written > m.Records+connections*batch {
		t.Errorf("%d are written, and it says %+v", written, m)
	}
	if l := m.Latency; l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.Max+0.1 {
		t.Errorf("latencies %+v", l)
	}
	if m := bench(t, env, "consume", "t", "--connections", "2", "--duration", "200ms"); m.Records == 0 || m.Requests == 0 || m.Failed != 0 {
		t.Errorf("%+v", m)
	}
}

func bench(t *testing.T, env map[string]string, args ...string) (m measured) {
	t.Helper()
	got := leat(t.Context(), "", env, append([]string{"bench", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(got.out), &m); got.exit != exitOK || err != nil {
		t.Fatalf("exit %d, %v, %s%s", got.exit, err, got.out, got.err)
	}
	return m
}

// TestPageEnd: records that look like the members of a page do not count.
func TestPageEnd(t *testing.T) {
	t.Parallel()
	count, next := pageEnd([]byte(`{"messages":[{"offset":4,"partition":0,"value":"{\"count\":9,\"next_offset\":8}"}],"count":1,"next_offset":50,"committed_offset":null}`))
	if count != 1 || next != 50 {
		t.Errorf("%d records, then %d", count, next)
	}
}
