package dataflow

import (
	"errors"

	"leat/log"
)

// A record of a query's state log:
//
//	key    +------+-------+-----------------+
//	       | node | group | operator's key  |
//	       | u8   | u8    |                 |
//	       +------+-------+-----------------+
//	value  +------+------------------+
//	       | live | operator's value |
//	       | u8   |                  |
//	       +------+------------------+
//
// node is the operator's number in the graph. group is the key group, by which
// state can be divided: codecs.KeyHash of the group key modulo 256, 0 for what
// belongs to no key. live is 1 for a value, 0 for a deletion, which has no value.

const (
	stateDeleted = 0
	stateLive    = 1
)

// KeyGroups is the number of key groups, fixed for good: an entry in the state log has its
// group in one byte.
const KeyGroups = 256

// StateEntry is one entry of an operator's state as Restore gets it. Key and Value are
// views that are valid until it returns; a deleted entry has no Value.
type StateEntry struct {
	Group   byte
	Key     []byte
	Value   []byte
	Deleted bool
}

// StateWriter collects the entries of a snapshot in blocks, the Chunks: an entry goes to
// the last one as long as that has fewer than ChunkBytes. The zero value with ChunkBytes
// set is ready to use. It is not safe for concurrent use.
type StateWriter struct {
	Full       bool // all entries are wanted, not only the changed ones
	ChunkBytes int
	Chunks     []log.Block
	// Ahead, if it is set, takes each chunk that another one follows, which then is not kept
	// in memory. The chunk is valid during the call. After an error nothing more is
	// written, and Snapshot of the graph returns it.
	Ahead func(log.Block) error

	node       byte
	key, value []byte
	bytes      int64
	err        error
}

// Put writes an entry, which takes the place of any earlier one with its group and key.
// key and value are copied; either may be empty.
func (w *StateWriter) Put(group byte, key, value []byte) {
	w.key = append(append(w.key[:0], w.node, group), key...)
	w.value = append(append(w.value[:0], stateLive), value...)
	w.add()
}

// Delete writes that there is no entry with a group and key any more. key is copied.
func (w *StateWriter) Delete(group byte, key []byte) {
	w.key = append(append(w.key[:0], w.node, group), key...)
	w.value = append(w.value[:0], stateDeleted)
	w.add()
}

func (w *StateWriter) add() {
	if w.err != nil {
		return
	}
	last := len(w.Chunks) - 1
	switch {
	case last >= 0 && len(w.Chunks[last].Bytes) < w.ChunkBytes:
	case last >= 0 && w.Ahead != nil:
		if w.err = w.Ahead(w.Chunks[last]); w.err != nil {
			return
		}
		w.Chunks[last] = log.Block{Bytes: w.Chunks[last].Bytes[:0]}
	default:
		w.Chunks = append(w.Chunks, log.Block{})
		last++
	}
	before := len(w.Chunks[last].Bytes)
	w.Chunks[last].Add(w.key, w.value)
	w.bytes += int64(len(w.Chunks[last].Bytes) - before)
}

// Bytes is the size of what has been written.
func (w *StateWriter) Bytes() int64 { return w.bytes }

func decodeState(key, value []byte) (e StateEntry, node int, err error) {
	if len(key) < 2 || len(value) < 1 || value[0] > stateLive {
		return StateEntry{}, 0, errors.New("damaged record in the state log")
	}
	return StateEntry{Group: key[1], Key: key[2:], Value: value[1:], Deleted: value[0] == stateDeleted}, int(key[0]), nil
}
