package cluster

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"leat/cluster/peer"
	"leat/internal/fault"
	"leat/log"
)

// Member is one node of a cluster, as it is configured.
type Member struct {
	ID          string // its name for good
	RaftAddress string // host:port where the others reach it; may change between starts
	URL         string // where clients reach it until it has said so itself
	Priority    int    // shards are led by the members with the highest, where those are there
}

// seat is a member as the directory was made for it.
type seat struct {
	ID        string `json:"id"`
	ReplicaID uint64 `json:"replica_id"`
}

// seats gives the members their replica numbers: the same on every node, whatever
// the order of its list.
func seats(members []Member) []seat {
	all := make([]seat, len(members))
	for i, m := range members {
		all[i].ID = m.ID
	}
	slices.SortFunc(all, func(a, b seat) int { return strings.Compare(a.ID, b.ID) })
	for i := range all {
		all[i].ReplicaID = uint64(i + 1)
	}
	return all
}

// foremost is how many members have the highest priority.
func foremost(members []Member) int {
	most, n := 0, 0
	for _, m := range members {
		switch {
		case n == 0 || m.Priority > most:
			most, n = m.Priority, 1
		case m.Priority == most:
			n++
		}
	}
	return n
}

// clusterName is the same for all nodes that were first started with the same list and
// so have the same shards.
func clusterName(all []seat, dataShards int) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte{byte(dataShards)})
	for _, s := range all {
		_, _ = h.Write(append([]byte(s.ID), 0))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// peersName is the file that remembers the data directories of the other members: a JSON
// object of incarnations by name, and peersMark before the checksum of all that is before
// it (docs/formats/members.md). No node's name begins with a slash.
const (
	peersName = "peers.json"
	peersMark = ",\n  \"/sum\": "
)

// book is what a node knows of the members. It is safe for concurrent use.
type book struct {
	self  string
	files log.FS
	name  string // of the file
	lost  chan error
	log   *slog.Logger

	mu           sync.Mutex
	members      map[string]*Member
	roster       *membership
	founders     []seat
	seen         map[uint64]map[uint64]uint64 // how far a replica had come in each shard
	incarnations map[string]string            // by name, and number where that is not a founder's
	refusals     map[string]string            // by which member, the last one
}

var _ peer.Members = (*book)(nil)

func openBook(c Config, first []seat) (*book, error) {
	b := &book{
		self: c.NodeID, files: c.FS, name: peersFile(c), lost: make(chan error, 1), log: c.Logger,
		refusals: make(map[string]string), members: make(map[string]*Member), founders: first, seen: make(map[uint64]map[uint64]uint64),
	}
	m := founders(&c, first)
	b.know(&m)
	var err error
	b.incarnations, err = readPeers(c.FS, b.name)
	return b, err
}

func peersFile(c Config) string { return filepath.Join(c.Dir, peersName) }

// readPeers reads the incarnations that a node remembers, none where there is no file.
func readPeers(files log.FS, name string) (map[string]string, error) {
	incarnations := make(map[string]string)
	data, err := readFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return incarnations, nil
	}
	if err != nil {
		return nil, err
	}
	if err := checkSeal(name, data, peersMark); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &incarnations); err != nil {
		return nil, fault.New(fault.Corrupt, "corrupt", "%s: %w", name, err)
	}
	maps.DeleteFunc(incarnations, func(name, _ string) bool { return strings.HasPrefix(name, "/") })
	return incarnations, nil
}

// know has the book go by a membership, which nobody changes. Where members have said
// they are reached stays.
func (b *book) know(m *membership) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.members
	b.roster, b.members = m, make(map[string]*Member)
	for i := range m.Members {
		s := m.named(m.Members[i].ID)
		b.members[s.ID] = &Member{ID: s.ID, RaftAddress: s.RaftAddress, URL: s.URL, Priority: s.Priority}
		if old := was[s.ID]; old != nil && old.URL != "" {
			b.members[s.ID].URL = old.URL
		}
	}
}

// saw notes how far a member says it has come in each shard.
func (b *book) saw(replica uint64, applied map[uint64]uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.seen[replica]
	if was == nil {
		was = make(map[uint64]uint64)
		b.seen[replica] = was
	}
	for shard, index := range applied {
		was[shard] = max(was[shard], index)
	}
}

// Address is where a member's raft port is.
func (b *book) Address(node string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.members[node]
	if m == nil {
		return "", false
	}
	return m.RaftAddress, true
}

// url is where clients reach a member.
func (b *book) url(node string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.members[node]; m != nil {
		return m.URL
	}
	return ""
}

// Greet lets members in whose data directory is the one they have always had: a
// member that comes with another has forgotten what it voted for and what it said it
// had stored.
func (b *book) Greet(h peer.Hello, probe bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	key, err := b.judge(&h)
	if err != nil || probe {
		return err
	}
	if h.URL != "" {
		b.members[h.Node].URL = h.URL
	}
	if b.incarnations[key] != "" {
		return nil
	}
	b.incarnations[key] = h.Incarnation
	data, err := sealed(b.incarnations, peersMark)
	if err == nil {
		err = writeFile(b.files, b.name, data)
	}
	if err != nil {
		delete(b.incarnations, key)
		return fault.New(fault.Internal, "internal", "remember node %q: %w", h.Node, err)
	}
	return nil
}

// judge says under which key a node is remembered, or why it is not let in. It needs mu.
func (b *book) judge(h *peer.Hello) (key string, err error) {
	m := b.roster.named(h.Node)
	if m != nil && h.Replica != 0 { // a node of an older version tells no number
		if m = b.roster.seated(h.Replica); m != nil && m.ID != h.Node {
			m = nil
		}
	}
	switch {
	case h.Node == b.self:
	case m == nil && b.roster.wasRemoved(h.Replica):
		return "", errRemoved(h.Node, h.Replica)
	case m != nil:
		key = h.Node
		if !slices.Contains(b.founders, seat{ID: m.ID, ReplicaID: m.ReplicaID}) {
			key += "/" + strconv.FormatUint(m.ReplicaID, 10)
		}
		if known := b.incarnations[key]; known != "" && known != h.Incarnation {
			return "", fault.New(fault.Conflict, "identity_lost",
				"node %q comes with another data directory than before; with this one it must not take part: give it its old one back, or have it begin again with \"leat cluster rejoin\"", h.Node)
		}
		return key, b.remembers(h, m.ReplicaID)
	}
	return "", fault.New(fault.Forbidden, "not_a_member", "node %q is no other member of this cluster", h.Node)
}

// remembers refuses a member whose raft log ends before what it had applied of it.
func (b *book) remembers(h *peer.Hello, replica uint64) error {
	if h.Ends == nil {
		return nil
	}
	for shard, index := range b.seen[replica] {
		if end := h.Ends[shard]; end < index {
			return fault.New(fault.Conflict, "log_truncated",
				"the raft log of node %q ends at entry %d of shard %d, and it had applied entry %d: its data directory is an old copy; give it the right one back, or have it begin again with \"leat cluster rejoin\"",
				h.Node, end, shard, index)
		}
	}
	return nil
}

func errRemoved(node string, replica uint64) error {
	return fault.New(fault.Conflict, "member_removed",
		"node %q was taken out of the cluster, replica %d, and takes no part any more: to have it join again, add it with \"leat cluster members add\", then start it with --join and an empty data directory", node, replica)
}

// Refused notes that another member did not let this node in. Without its identity
// the node cannot go on.
func (b *book) Refused(by string, refusal *fault.Error) {
	b.mu.Lock()
	again := b.refusals[by] == refusal.Message
	b.refusals[by] = refusal.Message
	b.mu.Unlock()
	if !again {
		b.log.Warn("another node does not let this one in", "node", by, "reason", refusal.Message)
	}
	if refusal.Code == "identity_lost" || refusal.Code == "member_removed" {
		b.end(refusal)
	}
}

// end tells why this node cannot go on.
func (b *book) end(why error) {
	select {
	case b.lost <- why:
	default:
	}
}

// byPriority orders members: first those with the highest priority.
func byPriority(a, b Seat) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(a.ID, b.ID))
}
