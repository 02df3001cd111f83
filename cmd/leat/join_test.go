package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedIdentity: a node of a cluster whose directory does not say for sure whose it is
// says so before it asks what it has joined, and what to do.
func TestDamagedIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	identity := "{\n  \"format\": 2,\n  \"raft_address\": \"c\",\n  \"sum\": \"00000000\"\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), []byte(identity), 0o600); err != nil {
		t.Fatal(err)
	}
	out := leat(t.Context(), "", nil, "serve", "--port", "0", "--data-dir", dir, "--node-id", "b", "--nodes", "a:127.0.0.1:7001:1,b:127.0.0.1:7002:1")
	if out.exit != exitFailure || !strings.Contains(out.err, "identity.json: the checksum does not hold") || !strings.Contains(out.err, "leat cluster rejoin") {
		t.Errorf("%+v", out)
	}
}
