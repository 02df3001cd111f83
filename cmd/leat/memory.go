package main

import (
	"bufio"
	"bytes"
	"io/fs"
	"strconv"
	"strings"
)

// defaultStateBytes is the memory that the state of all queries may take where nothing is
// set: half of what the machine has, or of what the process's control group may have where
// that is less. root is the file system of the machine. Where neither can be read it is
// 1 GiB.
func defaultStateBytes(root fs.FS) int64 {
	most := int64(2 << 30)
	if text, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			if len(words) < 2 || words[0] != "MemTotal:" {
				continue
			}
			if kib, err := strconv.ParseInt(words[1], 10, 64); err == nil && kib > 0 {
				most = kib << 10
			}
		}
	}
	for _, name := range []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 {
			most = min(most, limit)
		}
	}
	return most / 2
}
