package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress draws a bar on a terminal. The nil progress draws nothing.
type progress struct {
	w       io.Writer
	total   int64 // bytes, 0 = not known
	started time.Time
	drawn   time.Time
}

// newProgress is nil where w is not a terminal.
func newProgress(w io.Writer, total int64) *progress {
	if !terminal(w) {
		return nil
	}
	return &progress{w: w, total: total, started: time.Now()}
}

// update draws at most ten times a second.
func (p *progress) update(done int64, records int64) {
	if p == nil || time.Since(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	rate := float64(records) / max(time.Since(p.started).Seconds(), 1e-3)
	fmt.Fprintf(p.w, "\r\x1b[K%s", progressLine(done, p.total, records, rate))
}

// finish removes the bar.
func (p *progress) finish() {
	if p != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func progressLine(done, total, records int64, rate float64) string {
	tail := fmt.Sprintf("%s records, %s/s", thousands(records), thousands(int64(rate)))
	if total <= 0 {
		return tail
	}
	const width = 30
	filled := int(min(max(done*width/total, 0), width))
	return fmt.Sprintf("[%s%s] %3d%%  %s", strings.Repeat("=", filled), strings.Repeat(" ", width-filled),
		min(done*100/total, 100), tail)
}
