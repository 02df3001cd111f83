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

// KeyGroups is the number of key groups.
const KeyGroups = 256

// StateEntry is one entry of an operator's state. Key and Value are views.
type StateEntry struct {
	Group   byte
	Key     []byte
	Value   []byte
	Deleted bool
}

// StateWriter collects the entries of a snapshot in blocks of about ChunkBytes.
// The zero value with ChunkBytes set is ready to use.
type StateWriter struct {
	Full       bool // all entries are wanted, not only the changed ones
	ChunkBytes int
	Chunks     []log.Block

	node       byte
	key, value []byte
}

// Put writes an entry. key and value are copied.
func (w *StateWriter) Put(group byte, key, value []byte) {
	w.key = append(append(w.key[:0], w.node, group), key...)
	w.value = append(append(w.value[:0], stateLive), value...)
	w.add()
}

// Delete writes a deletion.
func (w *StateWriter) Delete(group byte, key []byte) {
	w.key = append(append(w.key[:0], w.node, group), key...)
	w.value = append(w.value[:0], stateDeleted)
	w.add()
}

func (w *StateWriter) add() {
	last := len(w.Chunks) - 1
	if last < 0 || len(w.Chunks[last].Bytes) >= w.ChunkBytes {
		w.Chunks = append(w.Chunks, log.Block{})
		last++
	}
	w.Chunks[last].Add(w.key, w.value)
}

// Bytes is the size of what has been written.
func (w *StateWriter) Bytes() int64 {
	var total int64
	for i := range w.Chunks {
		total += int64(len(w.Chunks[i].Bytes))
	}
	return total
}

func decodeState(key, value []byte) (e StateEntry, node int, err error) {
	if len(key) < 2 || len(value) < 1 || value[0] > stateLive {
		return StateEntry{}, 0, errors.New("damaged record in the state log")
	}
	return StateEntry{Group: key[1], Key: key[2:], Value: value[1:], Deleted: value[0] == stateDeleted}, int(key[0]), nil
}
