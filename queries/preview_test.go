package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
	"leat/queries/fakebus"
)

func previewManager(b *fakebus.Bus) *Manager {
	return NewManager(ManagerConfig{Topics: b, Docs: b, Clock: stillClock{}, Owner: "one"})
}

// TestPreview: what a bounded run over the last records gives, and nothing is left.
func TestPreview(t *testing.T) {
	t.Parallel()
	rows := []string{`{"t":1,"k":"a"}`, `broken`, `{"t":2,"k":"a"}`, `{"t":12,"k":"b"}`}
	b := newBus(t, rows)
	m := previewManager(b)
	for _, c := range []struct {
		records, limit int
		want           []string
		in             int64
	}{
		{100, 10, []string{`{"k":"a","n":2,"window_start":0,"window_end":10}`, `{"k":"b","n":1,"window_start":10,"window_end":20}`}, 4},
		{100, 1, []string{`{"k":"a","n":2,"window_start":0,"window_end":10}`}, 4},
		{2, 10, []string{`{"k":"a","n":1,"window_start":0,"window_end":10}`, `{"k":"b","n":1,"window_start":10,"window_end":20}`}, 2},
		{0, 10, nil, 0},
	} {
		p, err := m.Preview(t.Context(), []byte(strings.Replace(liveSpec, `"event_time"`, `"start":"latest","event_time"`, 1)), c.records, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		wantRows(t, fmt.Sprint(c), p.Rows, c.want...)
		if p.Truncated || p.Counts.In != c.in {
			t.Errorf("%v: %+v", c, p)
		}
	}
	if names := b.TopicNames(); !slices.Equal(names, []string{"in"}) {
		t.Errorf("topics are left: %v", names)
	}
	if docs := append(b.Docs(bus.MetaShard, ""), b.Docs(fakebus.DataShard, "")...); len(docs) != 0 {
		t.Errorf("documents are left: %v", docs)
	}
	_, err := m.Preview(t.Context(), []byte(`{"name":"q","source":{"topic":"no"}}`), 1, 1)
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("no such topic: %v", err)
	}
}

// TestPreviewLarge: over several epochs the answer is the same as of a real run.
func TestPreviewLarge(t *testing.T) {
	t.Parallel()
	var rows []string
	for i := range 9000 {
		rows = append(rows, fmt.Sprintf(`{"t":%d,"k":"k%d","pad":%q}`, i, i%7, strings.Repeat("x", 300)))
	}
	b := newBus(t, rows[:5000], rows[5000:])
	for _, spec := range []string{countSpec, `{"name":"q","source":{"topic":"in","until":"end"}}`} {
		p, err := previewManager(b).Preview(t.Context(), []byte(spec), MaxPreviewRecords, MaxPreviewRecords)
		if err != nil {
			t.Fatal(err)
		}
		want := runTrial(t, b, spec, RunOptions{FixedEpochs: true})
		want.Results = want.Results[:min(len(want.Results), max(len(p.Rows), 1000))]
		if p.Counts != want.Rows || !slices.EqualFunc(p.Rows, want.Results, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
			t.Errorf("%d rows, counts %+v; want %d rows, counts %+v", len(p.Rows), p.Counts, len(want.Results), want.Rows)
		}
		for _, name := range internalTopics("q1") {
			if err := b.DeleteTopic(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if err := deleteCheckpoint(b, "q1"); err != nil {
			t.Fatal(err)
		}
	}
}

func deleteCheckpoint(b *fakebus.Bus, id string) error {
	_, err := b.Transact(context.Background(), bus.Txn{Shard: fakebus.DataShard, Deletes: []string{checkpointKey(id)}})
	return err
}

// endedContext is over from the second look at it on.
type endedContext struct {
	context.Context
	looks *int
}

func (c endedContext) Err() error {
	if *c.looks++; *c.looks > 6 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestPreviewEndsWithItsTime(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"a":1}`}, []string{`{"a":1}`}, []string{`{"a":1}`}, []string{`{"a":1}`}, []string{`{"a":1}`}, []string{`{"a":1}`})
	looks := 0
	p, err := previewManager(b).Preview(endedContext{t.Context(), &looks}, []byte(`{"name":"q","source":{"topic":"in"}}`), 100, 100)
	if err != nil || !p.Truncated {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestLastRecordsAreSpread(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{"1", "2", "3", "4", "5", "6"}, nil, []string{"1"}, []string{"1", "2", "3", "4", "5"})
	if err := b.Trim("in", 0, 1); err != nil {
		t.Fatal(err)
	}
	for records, want := range map[int64][]log.Offset{0: {6, 0, 1, 5}, 1: {6, 0, 1, 4}, 5: {4, 0, 0, 3}, 100: {1, 0, 0, 0}} {
		start, err := lastRecords(b, "in", records)
		if err != nil {
			t.Fatal(err)
		}
		for p, offset := range want {
			if start[int32(p)] != offset {
				t.Errorf("%d records: %v, want %v", records, start, want)
				break
			}
		}
	}
}

// TestPreviewLooksUp: a preview reads the namespaces, and one without them says so.
func TestPreviewLooksUp(t *testing.T) {
	t.Parallel()
	b := newBus(t, []string{`{"o":"JFK"}`, `{"o":"x"}`})
	spec := []byte(`{"name":"q","source":{"topic":"in"},"lookup":{"kv":"airports","key":"o","as":"a","type":"left"},"select":{"n":"a.name"}}`)
	m := NewManager(ManagerConfig{Topics: b, Docs: b, Values: airports(), Clock: stillClock{}, Owner: "one"})
	p, err := m.Preview(t.Context(), spec, 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "rows", p.Rows, `{"n":"Kennedy"}`, `{"n":null}`)
	if _, err := previewManager(b).Preview(t.Context(), spec, 10, 10); fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("without namespaces: %v", err)
	}
}
