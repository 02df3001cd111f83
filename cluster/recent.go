package cluster

import (
	"strings"

	"leat/cluster/state"
)

// recentKept is how many changes of documents a shard keeps for those who watch.
const recentKept = 4096

// recentChanges are the last changes of a shard's documents, oldest first. It is
// not safe for concurrent use.
type recentChanges struct {
	ring  []state.Change
	head  int    // of the oldest, once the ring is full
	since uint64 // versions up to this one are not in the ring
}

// reset forgets everything up to a version.
func (r *recentChanges) reset(version uint64) { r.ring, r.head, r.since = nil, 0, version }

func (r *recentChanges) add(changes []state.Change) {
	for _, c := range changes {
		if len(r.ring) < recentKept {
			r.ring = append(r.ring, c)
			continue
		}
		r.since = r.ring[r.head].Version
		r.ring[r.head] = c
		r.head = (r.head + 1) % recentKept
	}
}

// after returns the changes with a version above since of documents whose key
// begins with prefix; ok is false where some of them may be forgotten.
func (r *recentChanges) after(since uint64, prefix string) (changes []state.Change, ok bool) {
	if since < r.since {
		return nil, false
	}
	for i := range r.ring {
		c := &r.ring[(r.head+i)%len(r.ring)]
		if c.Version > since && strings.HasPrefix(c.Key, prefix) {
			changes = append(changes, *c)
		}
	}
	return changes, true
}
