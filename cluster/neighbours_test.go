package cluster

import (
	"slices"
	"testing"
)

// TestTurnsStay: who leads what: those with the highest priority that are reached and have
// room. One of them that cannot lead for a while is stood in for, and what belongs to the
// others stays theirs: nobody hands over a shard because of somebody else.
func TestTurnsStay(t *testing.T) {
	t.Parallel()
	n := &Node{core: &core{}}
	n.identity.ReplicaID = 1
	r := &roster{peers: make(map[uint64]*neighbour)}
	for i, priority := range []int{2, 2, 1, 2} {
		s := Seat{ID: string(rune('a' + i)), ReplicaID: uint64(i + 1), Priority: priority, State: stateVoting}
		r.Members = append(r.Members, s)
		if s.ReplicaID != n.identity.ReplicaID {
			r.peers[s.ReplicaID] = new(neighbour)
		}
	}
	n.roster.Store(r)
	set := func(replica uint64, stand *Standing) {
		if replica == n.identity.ReplicaID {
			n.space.short.Store(stand.Short)
			return
		}
		r.peers[replica].stand.Store(stand)
	}
	turns := func() (all []uint64) {
		for i := range 9 {
			all = append(all, n.preferred(i))
		}
		return all
	}
	all := []uint64{1, 2, 3, 4}
	for _, replica := range all {
		set(replica, &Standing{})
	}
	usual := turns()
	if want := []uint64{1, 2, 4, 1, 2, 4, 1, 2, 4}; !slices.Equal(usual, want) {
		t.Fatalf("%v, not %v", usual, want)
	}
	check := func(out uint64, why *Standing) {
		t.Helper()
		set(out, why)
		for i, replica := range turns() {
			if replica == out || replica == 3 || usual[i] != out && replica != usual[i] {
				t.Errorf("without %d shard %d goes from %d to %d", out, i, usual[i], replica)
			}
		}
		set(out, &Standing{})
	}
	for _, out := range []uint64{2, 4} {
		check(out, nil)
	}
	for _, out := range []uint64{1, 2, 4} {
		check(out, &Standing{Short: true})
	}
	for _, replica := range []uint64{1, 2, 4} {
		set(replica, &Standing{Short: true})
	}
	if got := turns(); slices.ContainsFunc(got, func(r uint64) bool { return r != 3 }) {
		t.Errorf("only 3 has room: %v", got)
	}
	set(3, &Standing{Short: true})
	if got := turns(); slices.ContainsFunc(got, func(r uint64) bool { return r != n.identity.ReplicaID }) {
		t.Errorf("nobody has room, and it goes to %v", got)
	}
}
