package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leat/internal/fault"
)

// TestGuardAlone: a node that nobody else remembers refuses to start with less than it
// had, each time by the one check that can tell.
func TestGuardAlone(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), CheckpointEvery: 10 * time.Millisecond}
	early := t.TempDir()
	write := func() {
		r := start(t, c)
		if _, err := r.CreateTopic(within(t, 20*time.Second), "orders", 1); err != nil && fault.KindOf(err) != fault.Conflict {
			t.Fatal(err)
		}
		g := &group{t: t, nodes: []*running{r}}
		for range 200 {
			g.append("orders", 0, "x")
		}
		r.compact(within(t, 20*time.Second))
		must(t, r.stop())
	}
	write()
	must(t, os.CopyFS(early, os.DirFS(c.Dir)))
	write()
	older := func(dir, name string) error {
		name = filepath.Join(dir, name)
		return errors.Join(os.RemoveAll(name), os.CopyFS(name, os.DirFS(strings.Replace(name, dir, early, 1))))
	}
	for _, lost := range []struct {
		name, code, says string
		do               func(dir string) error
	}{
		{"nothing", "", "", func(string) error { return nil }},
		{"the raft log and the state", "log_truncated", "is empty or gone", func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "raft")), os.RemoveAll(filepath.Join(dir, "shards")))
		}},
		{"the last half of the raft log", "log_truncated", "the raft log in ", func(dir string) error { return older(dir, "raft") }},
		{"the last half of the state", "corrupt", "the raft log relies on it", func(dir string) error { return older(dir, "shards") }},
		{"a byte of what names the directory for raft", "corrupt", "NODEHOST.ID or dragonboat.ds", func(dir string) error { return spoil(dir, "NODEHOST.ID") }},
		{"a byte of what describes the directory for raft", "corrupt", "NODEHOST.ID or dragonboat.ds", func(dir string) error { return spoil(dir, "dragonboat.ds") }},
		{"a bit of what the directory is", "corrupt", "the checksum does not hold", func(dir string) error {
			name := filepath.Join(dir, "identity.json")
			content, err := os.ReadFile(name)
			changed := strings.Replace(string(content), `"replica_id": 1`, `"replica_id": 3`, 1)
			return errors.Join(err, os.WriteFile(name, []byte(changed), 0o600))
		}},
	} {
		t.Run(lost.name, func(t *testing.T) {
			again := c
			again.Dir = t.TempDir()
			must(t, errors.Join(os.CopyFS(again.Dir, os.DirFS(c.Dir)), lost.do(again.Dir)))
			n, err := Open(again)
			if err == nil {
				must(t, serve(t, n).stop())
			}
			if f := fault.As(err); (lost.code == "") != (err == nil) || f != nil && f.Code != lost.code || err != nil && !strings.Contains(err.Error(), lost.says) {
				t.Fatalf("the node starts with %v", err)
			}
		})
	}
}

// TestExamine: what is damaged in what a directory is, or in what it remembers of others, is
// told without a start.
func TestExamine(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), NodeID: "a", Members: []Member{{ID: "a"}, {ID: "b"}, {ID: "c"}}}.withDefaults()
	id, _, err := loadIdentity(c)
	must(t, errors.Join(err, id.write(c, identityName(c)), os.WriteFile(peersFile(c), []byte(peersGolden), 0o600)))
	if node, err := Examine(c.Dir); err != nil || node != "a" {
		t.Errorf("%q, %v", node, err)
	}
	for name, change := range map[string][2]string{
		identityName(c): {`"replica_id": 1`, `"replica_id": 3`},
		peersFile(c):    {`"b": "4a`, `"b": "5a`},
	} {
		whole, err := os.ReadFile(name)
		must(t, err)
		must(t, os.WriteFile(name, []byte(strings.Replace(string(whole), change[0], change[1], 1)), 0o600))
		_, err = Examine(c.Dir)
		kind(t, err, fault.Corrupt, "corrupt")
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
		must(t, os.WriteFile(name, whole, 0o600))
	}
}

// spoil changes the last byte of a file of dragonboat's own.
func spoil(dir, name string) error {
	name = filepath.Join(dir, "nodehost", name)
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	content[len(content)-1] ^= 4
	return os.WriteFile(name, content, 0o600)
}
