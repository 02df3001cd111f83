package main

import (
	"runtime"
	"testing"
)

func TestBallast(t *testing.T) {
	for _, c := range []struct {
		name  string
		env   map[string]string
		carry bool
	}{
		{"by default", nil, true},
		{"with GOGC", map[string]string{"GOGC": "100"}, false},
		{"with GOMEMLIMIT", map[string]string{"GOMEMLIMIT": "1GiB"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			drop := carryBallast(func(name string) string { return c.env[name] })
			runtime.ReadMemStats(&after)
			drop()
			if carried := after.TotalAlloc-before.TotalAlloc >= ballastBytes; carried != c.carry {
				t.Errorf("%d bytes were allocated", after.TotalAlloc-before.TotalAlloc)
			}
		})
	}
}
