//go:build linux

package main

import "testing"

func TestPairs(t *testing.T) {
	t.Parallel()
	text := newEvents().append(nil, 25_000)
	p := newPairs()
	if p.lines(text, text); p.rows != 25_000 {
		t.Errorf("%d rows of 25000", p.rows)
	}
	const last = `{"id":"evt-00024999","user":"u`
	if got := string(p.out[:len(last)]); got != last {
		t.Errorf("the last row begins with %s", got)
	}
	_, later := cutLine(text)
	p = newPairs()
	if p.lines(text, later); p.rows != 24_999 {
		t.Errorf("%d rows of 24999", p.rows)
	}
}
