package operators

import (
	"bytes"
	"unsafe"

	"leat/codecs"
	"leat/dataflow"
)

// panes holds the partial aggregates of one pane of one source partition: a hash
// table from group key to slot, and per slot its key and a row of accumulator words.
// All of it but the bags lies in a few slices without pointers, and goes at once.
type panes struct {
	pane
	width    int // words a slot
	bagWidth int // bags a slot

	table  []uint32 // slot+1, 0 = free; open addressing, a power of two long
	hashes []uint64 // of each slot's key
	ends   []int    // end of each slot's key in keys
	keys   []byte
	words  []uint64 // len(hashes) * width
	text   []byte   // strings of extremes
	unused int      // bytes of text no longer referred to

	bags     []bag // len(hashes) * bagWidth
	bagBytes int64 // memory they hold
	growth   int64 // bytes by which they grew, not yet in changedBytes
	scratch  []byte
	settled  int64 // memory as its share has counted it

	changed      []uint32 // slots changed since the last snapshot
	isChanged    []uint64 // bit set of the same
	changedBytes int64

	dirty   []uint32 // slots changed since changes were given, where they are
	isDirty []uint64 // bit set of the same
}

func newPanes(of pane, size layout) *panes {
	return &panes{pane: of, width: size.words, bagWidth: size.bags, table: make([]uint32, 8)}
}

// recycle makes p as good as new for another pane, with its memory. Invariant: the
// table of a recycled p is free throughout.
func (p *panes) recycle() {
	clear(p.table)
	p.hashes, p.ends, p.keys, p.words, p.text = p.hashes[:0], p.ends[:0], p.keys[:0], p.words[:0], p.text[:0]
	p.changed, p.isChanged, p.changedBytes, p.unused = p.changed[:0], p.isChanged[:0], 0, 0
	clear(p.bags)
	p.bags, p.bagBytes, p.growth, p.settled = p.bags[:0], 0, 0, 0
}

// find returns the slot of key, making one if there is none.
func (p *panes) find(hash uint64, key []byte) uint32 {
	mask := uint64(len(p.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		entry := p.table[i]
		if entry == 0 {
			return p.insert(i, hash, key)
		}
		if slot := entry - 1; p.hashes[slot] == hash && bytes.Equal(p.key(slot), key) {
			return slot
		}
	}
}

func (p *panes) insert(at, hash uint64, key []byte) uint32 {
	slot := p.addSlot(hash)
	p.table[at] = slot + 1
	p.keys = append(p.keys, key...)
	p.ends = append(p.ends, len(p.keys))
	if 3*len(p.hashes) > 2*len(p.table) {
		p.grow()
	}
	return slot
}

// addSlot makes a slot without key.
func (p *panes) addSlot(hash uint64) uint32 {
	slot := uint32(len(p.hashes))
	p.hashes = append(p.hashes, hash)
	for range p.width {
		p.words = append(p.words, 0)
	}
	for range p.bagWidth {
		p.bags = append(p.bags, bag{})
	}
	if int(slot)>>6 >= len(p.isChanged) {
		p.isChanged = append(p.isChanged, 0)
	}
	return slot
}

func (p *panes) grow() {
	p.table = make([]uint32, 2*len(p.table))
	mask := uint64(len(p.table) - 1)
	for slot, hash := range p.hashes {
		i := hash & mask
		for p.table[i] != 0 {
			i = (i + 1) & mask
		}
		p.table[i] = uint32(slot) + 1
	}
}

func (p *panes) len() int { return len(p.hashes) }

// key is the canonical key of a slot, a view.
func (p *panes) key(slot uint32) []byte {
	from := 0
	if slot > 0 {
		from = p.ends[slot-1]
	}
	return p.keys[from:p.ends[slot]:p.ends[slot]]
}

func (p *panes) row(slot uint32) []uint64 {
	return p.words[int(slot)*p.width : (int(slot)+1)*p.width]
}

func (p *panes) group(slot uint32) byte { return byte(p.hashes[slot] % dataflow.KeyGroups) }

// markChanged remembers that a slot has to be written, and returns by how much the
// next snapshot grows.
func (p *panes) markChanged(slot uint32) int64 {
	word, bit := &p.isChanged[slot>>6], uint64(1)<<(slot&63)
	size := p.growth
	p.growth = 0
	if *word&bit == 0 {
		*word |= bit
		p.changed = append(p.changed, slot)
		size = int64(len(p.key(slot)) + stateKeyBytes + 8*p.width)
		for i := range p.bagWidth {
			size += int64(p.bag(slot, i).size())
		}
	}
	p.changedBytes += size
	return size
}

func (p *panes) forgetChanges() {
	for _, slot := range p.changed {
		p.isChanged[slot>>6] = 0
	}
	p.changed, p.changedBytes = p.changed[:0], 0
}

// bytes is the memory held. What p itself takes counts too: there may be few rows in each
// of many panes, and a tally in each of many groups.
func (p *panes) bytes() int64 {
	return p.bagBytes + int64(int(unsafe.Sizeof(*p))+4*cap(p.table)+8*cap(p.hashes)+8*cap(p.ends)+cap(p.keys)+8*cap(p.words)+
		cap(p.text)+4*cap(p.changed)+8*cap(p.isChanged)+4*cap(p.dirty)+8*cap(p.isDirty)+int(unsafe.Sizeof(bag{}))*cap(p.bags))
}

const (
	textLengthBits = 24
	textLengthMask = 1<<textLengthBits - 1
)

// Invariant: every text fits the length of a place.
const _ = uint(textLengthMask - MaxTextBytes)

// extremeValue is the value in the words kind, number and place, a view into text.
func (p *panes) extremeValue(words []uint64) codecs.Value {
	at, n := words[2]>>textLengthBits, words[2]&textLengthMask
	v := codecs.Value{Kind: codecs.Kind(words[0]), Num: words[1]}
	if v.Kind >= codecs.String {
		v.Str = view(p.text[at : at+n])
	}
	return v
}

// store puts s into text, over the text at place where it fits, and returns its
// place.
func (p *panes) store(place uint64, s string) uint64 {
	at, n := place>>textLengthBits, place&textLengthMask
	if uint64(len(s)) <= n {
		copy(p.text[at:], s)
		p.unused += int(n) - len(s)
		return at<<textLengthBits | uint64(len(s))
	}
	p.unused += int(n)
	at = uint64(len(p.text))
	p.text = append(p.text, s...)
	return at<<textLengthBits | uint64(len(s))
}

// compact rewrites text once more than half of it is unused.
func (p *panes) compact(list []accumulator) {
	if p.unused < 64<<10 || 2*p.unused < len(p.text) {
		return
	}
	text := make([]byte, 0, 2*(len(p.text)-p.unused))
	for slot := range p.len() {
		row := p.row(uint32(slot))
		for i := range list {
			for _, word := range list[i].places {
				place := &row[word]
				at, n := *place>>textLengthBits, *place&textLengthMask
				*place = uint64(len(text))<<textLengthBits | n
				text = append(text, p.text[at:at+n]...)
			}
		}
	}
	p.text, p.unused = text, 0
}

// clearSlot makes a slot as good as new.
func (p *panes) clearSlot(slot uint32, list []accumulator) {
	row := p.row(slot)
	for i := range list {
		for _, word := range list[i].places {
			p.unused += int(row[word] & textLengthMask)
		}
	}
	clear(row)
	for i := range p.bagWidth {
		b := p.bag(slot, i)
		p.bagBytes -= b.memory()
		*b = bag{}
	}
}
