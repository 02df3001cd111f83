package main

import (
	"testing"
	"testing/fstest"
)

func TestDefaultStateBytes(t *testing.T) {
	t.Parallel()
	machine := &fstest.MapFile{Data: []byte("MemFree:  1 kB\nMemTotal:        8388608 kB\n")}
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int64
	}{
		"nothing known":       {fstest.MapFS{}, 1 << 30},
		"the machine":         {fstest.MapFS{"proc/meminfo": machine}, 4 << 30},
		"a control group":     {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": text("536870912\n")}, 256 << 20},
		"an unbounded one":    {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": text("max\n")}, 4 << 30},
		"one of version 1":    {fstest.MapFS{"sys/fs/cgroup/memory/memory.limit_in_bytes": text("1073741824")}, 512 << 20},
		"one above the whole": {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory/memory.limit_in_bytes": text("9223372036854771712")}, 4 << 30},
	} {
		if got := defaultStateBytes(c.files); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
