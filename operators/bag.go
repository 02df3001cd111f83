package operators

import (
	"encoding/binary"

	"leat/codecs"
	"leat/dataflow"
)

// The bounds of what count_distinct, percentile, top_k and collect keep of one group
// in one window: the number of values, different ones except for collect, and the
// bytes they take, as canonical keys or as items of collect. A group beyond them has
// no result.
const (
	MaxBagValues = 10_000
	MaxBagBytes  = 256 << 10
)

// bag holds the values of one group that an aggregate has to keep: as a tally, as a
// list of items, or as a sketch, which has no bounds. One beyond the bounds gives up, and is empty from then on: whatever
// it is merged with is beyond them too.
type bag struct {
	tally  *panes // from canonical key to the word count
	list   []byte // items, see collect.go
	items  int
	sketch *sketch
	gaveUp bool
}

// size is about what a snapshot takes.
func (b *bag) size() int {
	n := len(b.list)
	if b.tally != nil {
		n += len(b.tally.keys) + 4*b.tally.len()
	}
	if b.sketch != nil {
		n += b.sketch.size()
	}
	return n
}

// memory is what the bag holds.
func (b *bag) memory() int64 {
	n := int64(cap(b.list))
	if b.tally != nil {
		n += b.tally.bytes()
	}
	if b.sketch != nil {
		n += int64(b.sketch.memory())
	}
	return n
}

func (b *bag) giveUp() { *b = bag{gaveUp: true} }

// bag is bag i of a slot.
func (p *panes) bag(slot uint32, i int) *bag { return &p.bags[int(slot)*p.bagWidth+i] }

// grown notes by how much a bag has grown, in memory and in the next snapshot.
func (p *panes) grown(b *bag, memory int64, size int) {
	p.bagBytes += b.memory() - memory
	p.growth += int64(max(0, b.size()-size))
}

// tally counts a value.
func (p *panes) tally(slot uint32, i int, v codecs.Value) {
	b := p.bag(slot, i)
	if b.gaveUp {
		return
	}
	memory, size := b.memory(), b.size()
	p.scratch = codecs.AppendKey(p.scratch[:0], v)
	b.count(p.scratch, 1)
	p.grown(b, memory, size)
}

// count adds n to the count of a key.
func (b *bag) count(key []byte, n uint64) {
	if b.gaveUp {
		return
	}
	if b.tally == nil {
		b.tally = newPanes(pane{}, layout{words: 1})
	}
	b.tally.words[b.tally.find(codecs.KeyHash(key), key)] += n
	if b.tally.len() > MaxBagValues || len(b.tally.keys) > MaxBagBytes {
		b.giveUp()
	}
}

// collect adds an item.
func (p *panes) collect(slot uint32, i int, in *operand) {
	b := p.bag(slot, i)
	if b.gaveUp {
		return
	}
	memory, size := b.memory(), b.size()
	b.list = binary.LittleEndian.AppendUint64(b.list, uint64(in.t))
	b.list = appendValue(b.list, in.v)
	b.items++
	if b.items > MaxBagValues || len(b.list) > MaxBagBytes {
		b.giveUp()
	}
	p.grown(b, memory, size)
}

func (a *accumulator) appendBag(dst []byte, b *bag) []byte {
	if b.gaveUp {
		return append(dst, 1)
	}
	dst = append(dst, 0)
	if a.fn == collect {
		dst = binary.AppendUvarint(dst, uint64(b.items))
		dst = binary.AppendUvarint(dst, uint64(len(b.list)))
		return append(dst, b.list...)
	}
	if a.fn == approxCountDistinct {
		if b.sketch == nil {
			return append(dst, 0)
		}
		return b.sketch.append(dst)
	}
	if b.tally == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(b.tally.len()))
	for slot := range uint32(b.tally.len()) {
		key := b.tally.key(slot)
		dst = binary.AppendUvarint(dst, uint64(len(key)))
		dst = append(dst, key...)
		dst = binary.AppendUvarint(dst, b.tally.words[slot])
	}
	return dst
}

func (r *reader) bag(a *accumulator, p *panes, slot uint32) {
	b := p.bag(slot, a.bag)
	memory := b.memory()
	*b = bag{}
	switch flag := r.byte(); {
	case flag == 1:
		b.gaveUp = true
		r.bad = a.fn == approxCountDistinct
	case flag > 1:
		r.bad = true
	case a.fn == collect:
		r.list(b)
	case a.fn == approxCountDistinct:
		b.sketch = &sketch{}
		r.sketch(b.sketch)
	default:
		r.tally(a, b)
	}
	if r.bad {
		*b = bag{}
	}
	p.bagBytes += b.memory() - memory
}

func (r *reader) list(b *bag) {
	items, n := r.uvarint(), r.uvarint()
	if items > MaxBagValues || n > MaxBagBytes {
		r.bad = true
		return
	}
	b.items, b.list = int(items), append([]byte(nil), r.take(int(n))...)
	for list := (reader{src: b.list}); items > 0 || len(list.src) > 0; items-- {
		if _, v := list.item(); items == 0 || list.bad || v.Kind == codecs.Missing {
			r.bad = true
			return
		}
	}
}

// item reads an item of collect.
func (r *reader) item() (t dataflow.Time, v codecs.Value) {
	return dataflow.Time(r.word()), r.value()
}

func (r *reader) tally(a *accumulator, b *bag) {
	n := r.uvarint()
	if n > MaxBagValues {
		r.bad = true
	}
	for ; n > 0 && !r.bad; n-- {
		size := r.uvarint()
		if size > MaxBagBytes {
			r.bad = true
			return
		}
		key := r.take(int(size))
		v, rest, err := codecs.DecodeKey(key)
		if err != nil || len(rest) > 0 || a.fn == percentile && !v.IsNumber() {
			r.bad = true
			return
		}
		b.count(key, r.uvarint())
	}
}
