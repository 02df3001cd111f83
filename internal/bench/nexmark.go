//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
)

// flinkRates are what github.com/nexmark/nexmark publishes of Flink, in thousands of
// events in a second and core: of the first runner (GUIDE_V1.md, the column
// Throughput/Cores) and of the second one (GUIDE_V2.md, Throughput by Cores).
var flinkRates = map[string][2]float64{
	"q0": {155, 379}, "q1": {158, 395}, "q2": {175, 414}, "q5": {22.1, 74.5}, "q7": {12.3, 22.9},
	"q11": {39.7, 46.1}, "q12": {75.7, 194}, "q14": {161, 259}, "q15": {72.4, 168},
	"q16": {18.7, 45.2}, "q17": {117, 161}, "q21": {98.5, 147}, "q22": {130, 212},
}

// nexmark measures the queries of examples/nexmark, by processor time.
func (b *bench) nexmark() error {
	cmd := exec.CommandContext(b.ctx, "go", "test", "leat/examples/nexmark", "-run", "^$", "-bench", "^BenchmarkQueries$",
		"-cpu", "1", "-benchtime", "4x", "-count", strconv.Itoa(b.rounds))
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run the benchmark of examples/nexmark: %w: %s", err, clip(text))
	}
	rows := nexmarkRows(text)
	if len(rows) == 0 {
		return errors.New("the benchmark of examples/nexmark printed no figures")
	}
	b.add(rows...)
	return nil
}

// nexmarkRows are the medians of what the benchmark has printed, in its order.
func nexmarkRows(text []byte) (rows []row) {
	var names []string
	rounds := map[string][]float64{}
	for _, l := range jobLines(text, "BenchmarkQueries", "Mevents/core-s") {
		if rounds[l.name] == nil {
			names = append(names, l.name)
		}
		rounds[l.name] = append(rounds[l.name], l.perSecond)
	}
	for _, name := range names {
		r := row{what: "Nexmark " + name, rate: amount(median(rounds[name])) + " events/s per core"}
		if flink, known := flinkRates[name]; known {
			r.against = fmt.Sprintf("published of Flink: %s, %s", amount(flink[0]*1e3), amount(flink[1]*1e3))
		}
		rows = append(rows, r)
	}
	return rows
}
