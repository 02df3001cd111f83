package state

import (
	"crypto/sha256"

	"leat/log"
)

// A shard remembers ShardKeys idempotency keys at most, and each of its partitions
// the last KeyWindow at most: the oldest is forgotten when a new one comes to a full
// window, and a retry that arrives after that is stored again. Where more partitions
// use keys than there are full windows for, all windows are halved until there are:
// the same in each, see keyWindowOf. Whoever does not want young keys to be forgotten
// asks KeysAtRisk first.
const (
	KeyWindow = 1 << 16
	ShardKeys = 1 << 20

	keyShare = 8 // of a window, what is kept free of young keys
)

// keyWindowOf is how many keys each of so many partitions remembers, a power of two.
func keyWindowOf(partitions int) int {
	window := KeyWindow
	for window > 1 && window*partitions > ShardKeys {
		window /= 2
	}
	return window
}

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

// keyWindow remembers the last keys in order of arrival.
type keyWindow struct {
	kept   []keyed
	places map[KeyHash]uint64 // numbers of the keys, which count all that ever came
	gone   uint64             // the number of kept[0]: so many are forgotten
}

type keyed struct {
	key   KeyHash
	entry KeyEntry
}

func (w *keyWindow) find(key KeyHash) (KeyEntry, bool) {
	number, ok := w.places[key]
	if !ok {
		return KeyEntry{}, false
	}
	return w.kept[number-w.gone].entry, true
}

// add remembers a key that is new, and so many keys at most.
func (w *keyWindow) add(key KeyHash, e KeyEntry, window int) {
	if _, known := w.places[key]; known {
		return
	}
	if w.places == nil {
		w.places = make(map[KeyHash]uint64)
	}
	w.places[key] = w.gone + uint64(len(w.kept))
	w.kept = append(w.kept, keyed{key, e})
	if len(w.kept) > window {
		delete(w.places, w.kept[0].key)
		w.kept = w.kept[1:]
		w.gone++
	}
}

// atRisk is the youngest of the keys that a new one would have forgotten, and a share of
// the window more for those under way: ok is false where there is none.
func (w *keyWindow) atRisk(window int) (e KeyEntry, ok bool) {
	if i := len(w.kept) - window + window/keyShare - 1; i >= 0 {
		return w.kept[i].entry, true
	}
	return KeyEntry{}, false
}

// KeyPlace is where the record of an idempotency key lies.
type KeyPlace struct {
	ID   PartitionID
	Base log.Offset
}

// KeysAtRisk are the keys that would be forgotten soon after a new one, the youngest of
// each partition: none where the key is known. It is more than one only where the new
// one has all windows halved.
func (s *State) KeysAtRisk(id PartitionID, key KeyHash) []KeyPlace {
	p := s.partitions[id]
	if p == nil {
		return nil
	}
	if _, known := p.keys.find(key); known {
		return nil
	}
	now, then := keyWindowOf(s.keyed), keyWindowOf(s.keyed+1)
	if len(p.keys.kept) > 0 || now == then {
		if e, ok := p.keys.atRisk(now); ok {
			return []KeyPlace{{ID: id, Base: e.Base}}
		}
		return nil
	}
	var risks []KeyPlace
	for id, p := range s.partitions {
		if e, ok := p.keys.atRisk(then); ok {
			risks = append(risks, KeyPlace{ID: id, Base: e.Base})
		}
	}
	return risks
}

// shrink forgets the oldest keys but so many, with their memory.
func (w *keyWindow) shrink(window int) {
	if len(w.kept) <= window {
		return
	}
	kept := w.kept[len(w.kept)-window:]
	*w = keyWindow{}
	for _, k := range kept {
		w.add(k.key, k.entry, window)
	}
}

// shareKeys makes room for the keys of one partition more.
func (s *State) shareKeys() {
	s.keyed++
	window := keyWindowOf(s.keyed)
	if window == keyWindowOf(s.keyed-1) {
		return
	}
	for _, p := range s.partitions {
		p.keys.shrink(window)
	}
}
