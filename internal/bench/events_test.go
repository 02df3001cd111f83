//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestSums: the loop written by hand gives what encoding/json makes of the events.
func TestSums(t *testing.T) {
	t.Parallel()
	const number = 30_000
	text := newEvents().append(nil, number)
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) != number+1 || len(text) != number*(eventBytes+1) {
		t.Fatalf("%d lines, %d bytes", len(lines)-1, len(text))
	}
	want := newSums(false)
	for _, line := range lines[:number] {
		var e struct {
			TS     int64
			User   string
			Status string
			Amount float64
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Status == "ok" && e.Amount > enoughAmount {
			want.add([]byte(e.User), e.TS, e.Amount)
		}
	}
	for _, whole := range []bool{false, true} {
		got := newSums(whole)
		got.lines(text)
		if got.rows() != want.rows() || len(got.windows) != 3 {
			t.Errorf("%d rows, want %d", got.rows(), want.rows())
		}
		for start, users := range want.windows {
			for user, sum := range users {
				if g := got.windows[start][user]; g == nil || *g != *sum {
					t.Fatalf("whole %v, window %d, user %s: %+v, want %+v", whole, start, user, g, sum)
				}
			}
		}
	}
}

func BenchmarkSums(b *testing.B) {
	const number = 100_000
	text := newEvents().append(nil, number)
	for _, whole := range []bool{false, true} {
		b.Run(map[bool]string{false: "needed", true: "whole"}[whole], func(b *testing.B) {
			for b.Loop() {
				newSums(whole).lines(text)
			}
			b.ReportMetric(float64(number)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}
