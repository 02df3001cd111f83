package oracle

import (
	"strings"
	"testing"
)

// TestGenerateRepeats: a seed says all of a case.
func TestGenerateRepeats(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		if a, b := Generate(seed).String(), Generate(seed).String(); a != b {
			t.Fatalf("seed %d makes two cases:\n%s\n%s", seed, a, b)
		}
	}
}

// TestGenerateReaches: the cases reach every fate a row can have.
func TestGenerateReaches(t *testing.T) {
	t.Parallel()
	reached := map[string]int{}
	note := func(what string, really bool) {
		if really {
			reached[what]++
		}
	}
	for seed := range uint64(500) {
		c := Generate(seed)
		o := Evaluate(c)
		if n := o.Counts; n.In != n.Used+n.Filtered+n.Late+n.DeadLettered {
			t.Fatalf("seed %d: %+v", seed, n)
		}
		for _, letters := range append(o.Dead, o.Failed) {
			for _, l := range letters {
				words := strings.Fields(l)
				note(words[max(0, len(words)-2)]+" fails", true)
			}
		}
		note("rows late", o.Counts.Late > 0)
		note("rows filtered", o.Counts.Filtered > 0)
		note("a live query closes windows", !c.Query.UntilEnd && len(o.Rows) > 0)
		note("a stateless query has rows", c.Query.Window == 0 && o.Counts.Out > 0)
		note("groups fail", o.Counts.FailedPanes > 0)
		note("rows miss windows", o.Counts.LateWindows > 0)
		note("rows lie in several windows", c.Query.Every > 0 && o.Counts.Out > 0)
		note("sessions leave", c.Query.Session && o.Counts.Out > 0)
		note("sessions have several rows", c.Query.Session && o.Counts.Out > 0 && o.Counts.Used > 2*o.Counts.Out)
		note("running groups end", c.Query.Running && o.Counts.Out > 0)
		note("running groups begin anew", c.Query.Running && c.Query.Window != endless && !c.Query.Changes && len(c.Query.GroupBy) == 0 && o.Counts.Out > 1)
		note("running groups give changes", c.Query.Running && c.Query.Changes && len(o.Rows)+len(o.Present) > 0)
		note("running groups have no end", c.Query.Running && c.Query.Window == endless && o.Counts.Used > 0)
		note("having drops some", c.Query.Having != nil && o.Counts.Out > 0 && o.Counts.Used > 0)
		for _, a := range c.Query.Aggregates {
			note(a.Fn+" gives rows", o.Counts.Out > 1 && c.Query.Window > 0)
			note("an aggregate has a filter", a.Filter != nil && o.Counts.Out > 1)
		}
		if l := c.Query.Lookup; l != nil {
			note("looked up "+map[bool]string{true: "left", false: "inner"}[l.Left], o.Counts.Out > 0)
			note("looked up behind a join", c.Query.Join != nil && o.Counts.Out > 0)
			note("looked up for groups", c.Query.Window > 0 && o.Counts.Out > 0)
			note("looked up for whole records", c.Query.Window == 0 && c.Query.Select == nil && c.Query.Join == nil && o.Counts.Out > 0)
		}
		note("a crowd leaves", c.Crowd && len(o.Rows) > 1024)
		note("logs are trimmed", c.Trimmed != [2 * maxPartitions]int{})
		note("begins "+c.Query.Start.Kind, true)
	}
	for _, what := range []string{
		"decode fails", "event_time fails", "filter fails", "aggregate fails", "select fails", "rows late", "rows filtered",
		"a live query closes windows", "a stateless query has rows", "groups fail", "a crowd leaves", "logs are trimmed",
		"rows miss windows", "rows lie in several windows", "sessions leave", "sessions have several rows", "running groups end", "running groups begin anew",
		"running groups give changes", "running groups have no end", "having drops some", "stddev gives rows", "first gives rows", "last gives rows",
		"min_by gives rows", "max_by gives rows", "count_distinct gives rows", "approx_count_distinct gives rows", "an aggregate has a filter", "percentile gives rows", "top_k gives rows", "collect gives rows",
		"lookup fails", "looked up left", "looked up inner", "looked up behind a join", "looked up for groups", "looked up for whole records",
		"begins ", "begins latest", "begins offset", "begins timestamp",
	} {
		if reached[what] == 0 {
			t.Errorf("no case in which %s", what)
		}
	}
}

// TestShrink finds the one record that matters.
func TestShrink(t *testing.T) {
	t.Parallel()
	c := Generate(3)
	for seed := uint64(3); len(c.Logs) < 3 || len(c.Logs[2]) < 30; seed++ {
		c = Generate(seed)
	}
	c.Trimmed = [2 * maxPartitions]int{}
	c.Logs[2][17].Value = []byte(`{"the":"one"}`)
	small := Shrink(c, func(c *Case) bool { return strings.Contains(c.String(), `the\":\"one`) })
	records := 0
	for _, log := range small.Logs {
		records += len(log)
	}
	if records != 1 || small.Query.Filter != nil || small.Query.Select != nil || len(small.Query.GroupBy) > 0 {
		t.Errorf("shrunk to %s", small)
	}
}
