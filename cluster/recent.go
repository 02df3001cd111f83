package cluster

import (
	"strings"

	"leat/cluster/state"
)

// What a shard keeps of the changes of its documents for those who watch: the last ones, so
// many and with so many bytes at most. A value that was replaced is held by nothing else.
const (
	recentKept  = 4096
	recentBytes = 32 << 20
)

// recentChanges are the last changes of a shard's documents, oldest first. It is
// not safe for concurrent use.
type recentChanges struct {
	kept  []state.Change
	bytes int    // of the keys and values kept
	since uint64 // versions up to this one are not kept
}

func changeBytes(c *state.Change) int { return len(c.Key) + len(c.Value) }

// reset forgets everything up to a version.
func (r *recentChanges) reset(version uint64) { *r = recentChanges{since: version} }

func (r *recentChanges) add(changes []state.Change) {
	for i := range changes {
		r.kept = append(r.kept, changes[i])
		r.bytes += changeBytes(&changes[i])
		for len(r.kept) > recentKept || r.bytes > recentBytes && len(r.kept) > 1 {
			oldest := &r.kept[0]
			r.since, r.bytes = oldest.Version, r.bytes-changeBytes(oldest)
			*oldest = state.Change{} // its memory is kept for a while, and not what it holds
			r.kept = r.kept[1:]
		}
	}
}

// after returns the changes with a version above since of documents whose key
// begins with prefix; ok is false where some of them may be forgotten.
func (r *recentChanges) after(since uint64, prefix string) (changes []state.Change, ok bool) {
	if since < r.since {
		return nil, false
	}
	for i := range r.kept {
		if c := &r.kept[i]; c.Version > since && strings.HasPrefix(c.Key, prefix) {
			changes = append(changes, *c)
		}
	}
	return changes, true
}
