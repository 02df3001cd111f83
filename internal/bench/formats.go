//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"strings"
)

// formats measures one query over the same events in each format, by processor time, beside
// loops written by hand and loops around what libraries decode: the benchmarks of that
// name in package queries and in those of the formats.
func (b *bench) formats() error {
	var rounds []map[string]float64
	for range b.rounds {
		cmd := exec.CommandContext(b.ctx, "go", "test", "leat/queries", "leat/codecs/avrocodec", "leat/codecs/protocodec",
			"-p", "1", "-run", "^$", "-bench", "^BenchmarkFormats$", "-cpu", "1", "-benchtime", "4x")
		text, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("run the benchmarks of the formats: %w: %s", err, clip(text))
		}
		rounds = append(rounds, formatRound(text))
	}
	rows, err := formatRows(rounds)
	b.add(rows...)
	return err
}

// formatRound are the rates that the benchmarks have printed, by name.
func formatRound(text []byte) map[string]float64 {
	rates := map[string]float64{}
	for _, l := range jobLines(text, "BenchmarkFormats", "Mevents/core-s") {
		rates[strings.ReplaceAll(l.name, "_", " ")] = l.perSecond
	}
	return rates
}

// formatRows are the rows of what each round has printed.
func formatRows(rounds []map[string]float64) (rows []row, err error) {
	seriesOf := func(name string) (s series) {
		for _, round := range rounds {
			if round[name] == 0 {
				err = fmt.Errorf("the benchmarks of the formats printed no figure of %q", name)
			}
			s = append(s, outcome{perSecond: round[name]})
		}
		return s
	}
	add := func(what, name, against string) {
		rows = append(rows, row{what: what, rate: amount(seriesOf(name).perSecond()) + " events/s per core", against: against})
	}
	add("query engine, filter, 1000 keys, tumbling, JSON", "json", "")
	for _, f := range []struct{ title, name, library, libraryTitle, aim string }{
		{"Avro", "avro", "avro by hamba", "hamba/avro decodes into maps", "4 M"},
		{"Protobuf", "protobuf", "protobuf by dynamicpb", "dynamicpb decodes", "2.5 M"},
	} {
		engine, hand, library := seriesOf(f.name), seriesOf(f.name+" by hand"), seriesOf(f.library)
		add("query engine, the same, "+f.title, f.name, fmt.Sprintf("%.2f of the loop, %.1f of the library; aim %s or 0.50 of the loop",
			engine.ratio(hand), engine.ratio(library), f.aim))
		add("the same written by hand, "+f.title, f.name+" by hand", "")
		add("the same written by hand around what "+f.libraryTitle, f.library, "")
	}
	if err != nil {
		return nil, err
	}
	return rows, nil
}
