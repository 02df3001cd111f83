package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shrinkTries bounds how often Shrink asks.
const shrinkTries = 400

// Shrink makes a case smaller as long as fails says that it still fails.
func Shrink(c *Case, fails func(*Case) bool) *Case {
	tries := 0
	for smaller := true; smaller && tries < shrinkTries; {
		smaller = false
		for _, candidate := range candidates(c) {
			if tries++; tries > shrinkTries {
				break
			}
			if fails(candidate) {
				c, smaller = candidate, true
				break
			}
		}
	}
	return c
}

// candidates are smaller cases, those that are smaller by much first.
func candidates(c *Case) (list []*Case) {
	with := func(change func(q *Query)) {
		smaller, q := *c, *c.Query
		change(&q)
		smaller.Query = &q
		list = append(list, &smaller)
	}
	withLogs := func(logs [][]Record) {
		smaller := *c
		smaller.Logs = logs
		list = append(list, &smaller)
	}
	for p, log := range c.Logs {
		for size := len(log); size > 0; size /= 2 {
			for from := 0; from < len(log); from += size {
				logs := slices.Clone(c.Logs)
				logs[p] = slices.Concat(log[:from], log[min(from+size, len(log)):])
				if c.Trimmed[p] <= len(logs[p]) {
					withLogs(logs)
				}
			}
			if size > 1 && len(list) > 60 {
				break
			}
		}
	}
	if n := len(c.Logs); n > 1+c.Left && len(c.Logs[n-1]) == 0 {
		withLogs(c.Logs[:n-1])
	}
	for key := range c.Held {
		smaller := *c
		smaller.Held = maps.Clone(c.Held)
		delete(smaller.Held, key)
		list = append(list, &smaller)
	}
	if c.Query.Filter != nil {
		with(func(q *Query) { q.Filter = nil })
		if f := c.Query.Filter; f.Op == "and" || f.Op == "or" || f.Op == "not" {
			for _, a := range f.Args {
				with(func(q *Query) { q.Filter = a })
			}
		}
	}
	if c.Query.Having != nil {
		with(func(q *Query) { q.Having = nil })
	}
	if c.Query.Session && !c.Query.Running {
		with(func(q *Query) { q.Session = false })
	}
	if c.Query.Every > 0 {
		with(func(q *Query) { q.Every = 0 })
	}
	if c.Query.Select != nil {
		with(func(q *Query) { q.Select = nil })
	}
	for i := range c.Query.Select {
		if len(c.Query.Select) > 1 {
			with(func(q *Query) { q.Select = slices.Delete(slices.Clone(q.Select), i, i+1) })
		}
	}
	for i := range c.Query.GroupBy {
		with(func(q *Query) { q.GroupBy = slices.Delete(slices.Clone(q.GroupBy), i, i+1) })
	}
	for i := range c.Query.Aggregates {
		simplerAggregate(c.Query.Aggregates, i, func(aggregates []Aggregate) {
			with(func(q *Query) { q.Aggregates = aggregates })
		})
	}
	return list
}

// simplerAggregate tries lists that are simpler in aggregate i.
func simplerAggregate(list []Aggregate, i int, try func([]Aggregate)) {
	with := func(change func(a *Aggregate)) {
		simpler := slices.Clone(list)
		change(&simpler[i])
		try(simpler)
	}
	a := list[i]
	if len(list) > 1 {
		try(slices.Delete(slices.Clone(list), i, i+1))
	}
	if a.Filter != nil {
		with(func(a *Aggregate) { a.Filter = nil })
	}
	if a.Filter != nil && !a.FilterList && (a.Filter.Op == "and" || a.Filter.Op == "or" || a.Filter.Op == "not") {
		for _, part := range a.Filter.Args {
			with(func(a *Aggregate) { a.Filter = part })
		}
	}
	if a.Arg != nil {
		for _, part := range a.Arg.Args {
			with(func(a *Aggregate) { a.Arg = part })
		}
	}
}

// String prints the query and its logs.
func (c *Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", c.Query.JSON())
	for _, key := range slices.Sorted(maps.Keys(c.Held)) {
		fmt.Fprintf(&b, "key %q holds %q\n", key, c.Held[key])
	}
	for p, log := range c.Logs {
		for offset, r := range log {
			fmt.Fprintf(&b, "%d/%d at %d: %q\n", p, offset, r.AppendMs, r.Value)
			if r.Stored != nil {
				fmt.Fprintf(&b, "  stored as %q\n", r.Stored)
			}
		}
	}
	return b.String()
}
