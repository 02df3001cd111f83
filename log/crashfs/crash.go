package crashfs

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
)

// noSpace is the error of a disk that is full.
const noSpace = syscall.ENOSPC

// sectorBytes is what a disk writes in one piece.
const sectorBytes = 512

// How much of what was not synced a power cut leaves.
const (
	keepNothing = iota
	keepAll
	keepFirst
	keepSome
	fates
)

// Crash returns a disk with what a power cut at this moment could have left,
// which depends on the seed and on how many crashes there were. The disk itself
// goes on unharmed. Settings that make calls fail are not handed on.
func (d *Disk) Crash() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashes++
	rng := rand.New(rand.NewPCG(d.seed, d.crashes))
	names := make(map[string]*node, len(d.durable))
	for name, n := range d.durable {
		names[name] = n
	}
	for _, i := range survivors(rng, len(d.pending)) {
		d.pending[i].apply(names)
	}
	after := New(rng.Uint64())
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted) // the random numbers must not depend on the map
	for _, name := range sorted {
		if !reachable(names, name) {
			continue
		}
		n := names[name].crash(rng)
		after.entries[name], after.durable[name] = n, n
	}
	return after
}

// reachable tells whether every directory above a name is there.
func reachable(names map[string]*node, name string) bool {
	for name != "/" && name != "." {
		name = filepath.Dir(name)
		if n := names[name]; n == nil || !n.dir {
			return false
		}
	}
	return true
}

// crash returns what is left of a file or a directory.
func (n *node) crash(rng *rand.Rand) *node {
	if n.dir {
		return &node{dir: true}
	}
	data := slices.Clone(n.durable)
	kept := survivors(rng, len(n.pending))
	for _, i := range kept {
		op := n.pending[i]
		if len(op.data) == 0 || rng.IntN(4) != 0 {
			data = op.apply(data)
			continue
		}
		for _, piece := range op.tear(rng) {
			data = piece.apply(data)
		}
	}
	return &node{data: data, durable: slices.Clone(data)}
}

// tear returns the sectors of a write that reached the disk.
func (op dataOp) tear(rng *rand.Rand) []dataOp {
	if rng.IntN(2) == 0 {
		return []dataOp{{op.off, op.data[:1+rng.IntN(len(op.data))]}}
	}
	var pieces []dataOp
	for at := int64(0); at < int64(len(op.data)); {
		end := min(int64(len(op.data)), (op.off+at)/sectorBytes*sectorBytes+sectorBytes-op.off)
		if rng.IntN(2) == 0 {
			pieces = append(pieces, dataOp{op.off + at, op.data[at:end]})
		}
		at = end
	}
	return pieces
}

// survivors picks which of n steps a power cut leaves, in their order.
func survivors(rng *rand.Rand, n int) []int {
	fate := rng.IntN(fates)
	first := rng.IntN(n + 1)
	var kept []int
	for i := range n {
		switch {
		case fate == keepAll, fate == keepFirst && i < first, fate == keepSome && rng.IntN(2) == 0:
			kept = append(kept, i)
		}
	}
	return kept
}
