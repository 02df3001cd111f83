//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// query measures the engine alone, on one core: the benchmark of package queries.
func (b *bench) query() error {
	cmd := exec.CommandContext(b.ctx, "go", "test", "leat/queries", "-run", "^$", "-bench", "^BenchmarkJob$", "-cpu", "1", "-benchtime", "2x")
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run the benchmark of queries: %w: %s", err, clip(text))
	}
	lines := jobLines(text, "BenchmarkJob", "Mevents/s")
	if len(lines) == 0 {
		return errors.New("the benchmark of queries printed no figures")
	}
	for _, l := range lines {
		b.add(row{what: "query engine, " + l.name + ", 192 B rows, 1 core", rate: amount(l.perSecond) + " rows/s"})
	}
	return nil
}

type jobLine struct {
	name      string
	perSecond float64
}

// jobLines reads the lines of a benchmark that reports millions of events in a unit.
func jobLines(text []byte, benchmark, unit string) []jobLine {
	var lines []jobLine
	pattern := regexp.MustCompile(`(?m)^` + benchmark + `/(\S+).*\s([0-9.]+) ` + unit + `\b`)
	for _, m := range pattern.FindAllSubmatch(text, -1) {
		rate, err := strconv.ParseFloat(string(m[2]), 64)
		if err == nil {
			lines = append(lines, jobLine{string(m[1]), rate * 1e6})
		}
	}
	return lines
}

// restart fills a node, kills it, and measures how long it takes to answer again.
func (b *bench) restart() error {
	b.leat.kill()
	dir := b.data + "/filled"
	node, err := startLeat(b.ctx, b.binary, dir)
	if err != nil {
		return err
	}
	b.leat = node
	began := time.Now()
	if _, err := b.fill(b.records); err != nil {
		return err
	}
	filled := time.Since(began)
	before, err := node.residentBytes()
	if err != nil {
		return err
	}
	node.kill()
	size, err := diskBytes(dir)
	if err != nil {
		return err
	}
	began = time.Now()
	if b.leat, err = startLeat(b.ctx, b.binary, dir); err != nil {
		return err
	}
	ready := time.Since(began)
	after, err := b.leat.residentBytes()
	if err != nil {
		return err
	}
	records := float64(b.records)
	b.add(
		row{what: amount(records) + " records, ×1000, one after the other", rate: amount(records/filled.Seconds()) + " records/s"},
		row{what: "SIGKILL after them, until ready", rate: latency(ready)},
		row{what: "memory before, and after the restart", rate: fmt.Sprintf("%d, %d MiB", before>>20, after>>20)},
		row{what: "disk, raft log included", rate: fmt.Sprintf("%.1f bytes a record of %d", float64(size)/records, recordBytes)})
	return nil
}
