package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"leat/internal/bus"
	"leat/queries/fakebus"
)

// markKeeper collects the idle marks that a query commits, and checks them.
type markKeeper struct {
	e     evaluation
	marks []Mark
	last  []standing
	err   error
}

// standing is a source partition in a checkpoint.
type standing struct {
	Offset  int    `json:"offset"`
	Highest *int64 `json:"max_time"`
	Idle    *struct {
		Offset    int   `json:"offset"`
		Watermark int64 `json:"watermark"`
	} `json:"idle"`
}

// watchMarks keeps the marks of all transactions that the bus applies from now on.
func watchMarks(b *fakebus.Bus, c *Case) *markKeeper {
	k := &markKeeper{e: evaluation{c: c, q: c.Query}}
	b.Watch(func(t bus.Txn) {
		for _, d := range t.Puts {
			if d.Key == "checkpoint/"+queryID {
				k.commit(d.Value)
			}
		}
	})
	return k
}

// commit takes the marks that a checkpoint has more than the one before.
func (k *markKeeper) commit(checkpoint []byte) {
	if len(k.marks) == 0 && !bytes.Contains(checkpoint, []byte(`"idle"`)) {
		return
	}
	var saved struct {
		Sources []struct {
			Partitions []standing `json:"partitions"`
		} `json:"sources"`
	}
	if err := json.Unmarshal(checkpoint, &saved); err != nil {
		k.err = fmt.Errorf("the checkpoint %s: %w", checkpoint, err)
		return
	}
	var all []standing
	for _, source := range saved.Sources {
		all = append(all, source.Partitions...)
	}
	if k.last == nil {
		k.last = make([]standing, len(all))
	}
	marked := make([]bool, len(all))
	lowest, some := int64(0), false // of the partitions that get no mark now
	for p, s := range all {
		before := k.last[p].Idle
		switch {
		case s.Idle == nil && before == nil || s.Idle != nil && before != nil && *s.Idle == *before:
		case s.Idle == nil || before != nil && s.Idle.Watermark <= before.Watermark:
			k.err = fmt.Errorf("the mark of partition %d went back: %s", p, checkpoint)
		default:
			marked[p] = true
			k.marks = append(k.marks, Mark{Partition: p, Offset: s.Idle.Offset, Watermark: s.Idle.Watermark})
		}
		if w, moved := k.e.watermark(p, s.Highest, s.Offset, k.of(p)); !marked[p] && (!some || !moved || w < lowest) {
			if lowest, some = w, true; !moved {
				lowest = -1 << 63
			}
		}
	}
	for p, s := range all {
		if marked[p] && (!some || s.Idle.Watermark != lowest || s.Idle.Offset != s.Offset) {
			k.err = fmt.Errorf("partition %d got a mark that is not the minimum of those without, or not at its end: %s", p, checkpoint)
		}
	}
	k.last = all
}

func (k *markKeeper) of(p int) []Mark {
	return slices.DeleteFunc(slices.Clone(k.marks), func(m Mark) bool { return m.Partition != p })
}

func TestEvaluateMarks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		logs  [][]Record
		marks []Mark
		rows  string
		late  string
	}{
		{"a partition without rows holds all", [][]Record{times(5, 30), nil}, nil, "", ""},
		{"a mark passes over it", [][]Record{times(5, 30), nil}, []Mark{{1, 0, 30}}, "0:1", ""},
		{"up to the mark", [][]Record{times(5, 30), nil}, []Mark{{1, 0, 9}}, "", ""},
		{"its rows are judged against it", [][]Record{times(5, 30), times(7, 20)}, []Mark{{1, 0, 10}}, "0:1", "1/0"},
		{"from its offset on", [][]Record{times(5, 30), times(7, 8)}, []Mark{{1, 1, 10}}, "0:2", "1/1"},
		{"the latest counts", [][]Record{times(5, 30), times(7, 25)}, []Mark{{1, 0, 10}, {1, 1, 30}}, "0:1", "1/0 1/1"},
	} {
		got := Evaluate(&Case{Query: counting(10, 0, false), Logs: c.logs}, c.marks...)
		var rows, late string
		for _, r := range got.Rows {
			var n, start, end int64
			if _, err := fmt.Sscanf(r, `{"n":%d,"window_start":%d,"window_end":%d}`, &n, &start, &end); err != nil {
				t.Fatal(r)
			}
			rows += fmt.Sprintf(" %d:%d", start, n)
		}
		for p, letters := range got.Late {
			for _, l := range letters {
				var letter letter
				if err := json.Unmarshal([]byte(l), &letter); err != nil {
					t.Fatal(err)
				}
				late += fmt.Sprintf(" %d/%d", p, *letter.Offset)
			}
		}
		if rows != " "+c.rows && rows+c.rows != "" || late != " "+c.late && late+c.late != "" {
			t.Errorf("%s: rows %s, late %s, not %s and %s", c.name, rows, late, c.rows, c.late)
		}
	}
}
