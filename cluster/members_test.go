package cluster

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat/cluster/peer"
	"leat/internal/fault"
)

// peersGolden is peers.json of a node that knows two others.
const peersGolden = "{\n  \"b\": \"4a1f6c02d95e7b38\",\n  \"d/5\": \"90c3e1a7f4b62d15\",\n  \"/sum\": \"05d3e9e1\"\n}\n"

// bookOf is the book of node a with a peers.json.
func bookOf(t *testing.T, peers string) (*book, error) {
	t.Helper()
	c := Config{Dir: t.TempDir(), NodeID: "a", Members: []Member{{ID: "a"}, {ID: "b"}, {ID: "c"}}}.withDefaults()
	must(t, os.WriteFile(filepath.Join(c.Dir, peersName), []byte(peers), 0o600))
	return openBook(c, seats(c.Members))
}

// TestPeersFormat: peers.json is as docs/formats/members.md has it; one without a checksum
// is of an older version and read, and has one from the next node on that is remembered.
func TestPeersFormat(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/formats/members.md")
	if err != nil || !strings.Contains(string(doc), peersGolden) {
		t.Errorf("docs/formats/members.md has another example: %v", err)
	}
	older := strings.Replace(peersGolden, ",\n  \"/sum\": \"05d3e9e1\"", "", 1)
	for _, peers := range []string{peersGolden, older} {
		b, err := bookOf(t, peers)
		if err != nil {
			t.Fatal(err)
		}
		kind(t, b.Greet(peer.Hello{Node: "b", Replica: 2, Incarnation: "other"}, false), fault.Conflict, "identity_lost")
		must(t, b.Greet(peer.Hello{Node: "c", Replica: 3, Incarnation: "90c3e1a7f4b62d15"}, false))
		content, err := os.ReadFile(b.name)
		if err != nil || !strings.Contains(string(content), peersMark) {
			t.Errorf("%s, %v", content, err)
		}
		again, err := bookOf(t, string(content))
		want := map[string]string{"b": "4a1f6c02d95e7b38", "c": "90c3e1a7f4b62d15", "d/5": "90c3e1a7f4b62d15"}
		if err != nil || !maps.Equal(again.incarnations, want) {
			t.Errorf("%v", err)
		}
	}
}

// TestDamagedPeers: whatever bit of peers.json is another one, the file is refused, or says
// the same of every node.
func TestDamagedPeers(t *testing.T) {
	t.Parallel()
	for bit := range 8 * len(peersGolden) {
		damaged := []byte(peersGolden)
		damaged[bit/8] ^= 1 << (bit % 8)
		b, err := bookOf(t, string(damaged))
		switch {
		case err != nil:
			kind(t, err, fault.Corrupt, "corrupt")
		case b.incarnations["b"] != "4a1f6c02d95e7b38" || b.incarnations["d/5"] != "90c3e1a7f4b62d15" || b.incarnations["c"] != "":
			t.Fatalf("with bit %d changed it is taken for %v", bit, b.incarnations)
		}
	}
}
