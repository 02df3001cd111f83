package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// The two queries of the fault test, and what they have to give, computed from the
// log by the definitions alone.

const (
	evenSpec = `{"name":"even","source":{"topic":"events"},"filter":"v % 2 == 0","select":{"id":"id","v":"v"},
		"sink":{"topic":"` + sinkTopic + `","key":"id"}}`
	perKey = `{"name":"per_key","source":{"topic":"events","event_time":"t","max_out_of_orderness":"1s"},
		"filter":[{"field":"v","op":"ge","value":10}],
		"group_by":["k"],"window":{"tumbling":"1s"},
		"aggregate":{"n":"count()","total":"sum(v)","least":"min(v)","most":"max(v)"},
		"sink":{"kv":"` + sinkSpace + `","key":"k"}}`

	windowMs   = 1000
	disorderMs = 1000
	leastValue = 10
)

// event is a record of the fault test.
type event struct {
	ID string `json:"id"`
	K  string `json:"k"`
	T  int64  `json:"t"`
	V  int64  `json:"v"`
}

// expected is what the two queries give.
type expected struct {
	even     []string // rows, sorted: the order over partitions is free
	evenRows rowCounts
	keys     []string // rows, in order
	keyRows  rowCounts
}

// group is the state of one window and key.
type group struct {
	start          int64
	key            string
	n, total       int64
	least, highest int64
}

// evaluate computes what the queries have to give over the partitions of a log.
func evaluate(partitions [][]string) expected {
	var e expected
	groups := make(map[[2]any]*group)
	lowest, all := int64(0), true
	for i, records := range partitions {
		highest, any := int64(0), false
		for _, text := range records {
			e.evenRows.In++
			e.keyRows.In++
			var r event
			if json.Unmarshal([]byte(text), &r) != nil {
				e.evenRows.Dead++
				e.keyRows.Dead++
				continue
			}
			e.stateless(&r)
			before, had := highest-disorderMs, any
			if !any || r.T > highest {
				highest, any = r.T, true
			}
			start := r.T - r.T%windowMs
			switch {
			case r.V < leastValue:
				e.keyRows.Filtered++
			case had && start+windowMs <= before:
				e.keyRows.Late++
			default:
				e.keyRows.Used++
				add(groups, &r, start)
			}
		}
		if w := highest - disorderMs; i == 0 || w < lowest {
			lowest = w
		}
		all = all && any
	}
	slices.Sort(e.even)
	if all {
		e.close(groups, lowest)
	}
	return e
}

func (e *expected) stateless(r *event) {
	if r.V%2 != 0 {
		e.evenRows.Filtered++
		return
	}
	e.evenRows.Used++
	e.evenRows.Out++
	e.even = append(e.even, fmt.Sprintf(`{"id":%q,"v":%d}`, r.ID, r.V))
}

func add(groups map[[2]any]*group, r *event, start int64) {
	id := [2]any{start, r.K}
	g := groups[id]
	if g == nil {
		g = &group{start: start, key: r.K, least: r.V, highest: r.V}
		groups[id] = g
	}
	g.n++
	g.total += r.V
	g.least, g.highest = min(g.least, r.V), max(g.highest, r.V)
}

// close gives the rows of the windows that end at the watermark or before it.
func (e *expected) close(groups map[[2]any]*group, watermark int64) {
	var closed []*group
	for _, g := range groups {
		if g.start+windowMs <= watermark {
			closed = append(closed, g)
		}
	}
	slices.SortFunc(closed, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.key, b.key))
	})
	for _, g := range closed {
		e.keyRows.Out++
		e.keys = append(e.keys, fmt.Sprintf(`{"k":%q,"n":%d,"total":%d,"least":%d,"most":%d,"window_start":%d,"window_end":%d}`,
			g.key, g.n, g.total, g.least, g.highest, g.start, g.start+windowMs))
	}
}

// compareRows tells how rows differ from those expected.
func compareRows(query string, want, got []string) error {
	for i := range want {
		if i >= len(got) {
			return fmt.Errorf("%s: row %d, %s, is missing", query, i, want[i])
		}
		if want[i] != got[i] {
			return fmt.Errorf("%s: row %d is\n%s\nand should be\n%s", query, i, got[i], want[i])
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("%s: %d rows too many, the first is %s", query, len(got)-len(want), got[len(want)])
	}
	return nil
}
