package state

import (
	"crypto/sha256"

	"leat/log"
)

// KeyWindow is how many idempotency keys a partition remembers. The oldest is
// forgotten when a new one comes to a full window: a retry that arrives after
// KeyWindow other keyed appends of its partition is stored again.
const KeyWindow = 1 << 16

// KeyHash is the first half of the SHA-256 of an idempotency key. It stands for
// the key: two keys with one hash are not to be expected.
type KeyHash [16]byte

// HashKey hashes an idempotency key.
func HashKey(key string) KeyHash {
	sum := sha256.Sum256([]byte(key))
	return KeyHash(sum[:16])
}

// BodyHash tells a repeated body from another one under the same key. It is the
// first eight bytes of the SHA-256 of the encoded block.
func BodyHash(block []byte) [8]byte {
	sum := sha256.Sum256(block)
	return [8]byte(sum[:8])
}

// KeyEntry is what an idempotency key stood for when it was first seen.
type KeyEntry struct {
	Base  log.Offset
	Count int
	Body  [8]byte
}

// keyWindow remembers the last KeyWindow keys in order of arrival.
type keyWindow struct {
	entries map[KeyHash]KeyEntry
	order   []KeyHash // ring once full; oldest at head
	head    int
}

func (w *keyWindow) find(key KeyHash) (KeyEntry, bool) {
	e, ok := w.entries[key]
	return e, ok
}

func (w *keyWindow) add(key KeyHash, e KeyEntry) {
	if w.entries == nil {
		w.entries = make(map[KeyHash]KeyEntry)
	}
	if _, known := w.entries[key]; known {
		return
	}
	w.entries[key] = e
	if len(w.order) < KeyWindow {
		w.order = append(w.order, key)
		return
	}
	delete(w.entries, w.order[w.head])
	w.order[w.head] = key
	w.head = (w.head + 1) % KeyWindow
}

// inOrder visits the keys from the oldest to the newest.
func (w *keyWindow) inOrder(visit func(KeyHash, KeyEntry)) {
	for i := range w.order {
		key := w.order[(w.head+i)%len(w.order)]
		visit(key, w.entries[key])
	}
}
