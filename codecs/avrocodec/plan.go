package avrocodec

import "leat/codecs"

// wire is how a value lies in a record.
type wire uint8

const (
	wireNull wire = iota
	wireBool
	wireInt
	wireLong
	wireFloat
	wireDouble
	wireString
	wireBytes
	wireFixed
	wireEnum
	wireRecord
	wireArray
	wireMap
	wireUnion
	wireUint32 // little endian, in a duration
	wireRefuse // what the reader's schema has no place for
)

// conversion is how a value becomes a cell, where that is not the plain way of its wire.
type conversion uint8

const (
	plain     conversion = iota
	days                 // days to milliseconds
	micros               // microseconds to milliseconds, towards the past
	nanos                // nanoseconds to milliseconds, towards the past
	toFloat              // an integer or float as a double
	toSingle             // an integer rounded to a float
	toBytes              // a string as bytes
	toText               // bytes as a string
	toUUID               // 16 bytes as the text of a UUID
	toDecimal            // unscaled big-endian bytes as a number
)

// plan says how a value of the writer's schema is read as one of the reader's, which
// may be the same. The plans of recursive schemas form cycles. Immutable once it has been
// measured; plans are shared within one resolution.
type plan struct {
	wire   wire
	as     conversion
	size   int // of a fixed
	scale  int // of a decimal
	fields []planField
	items  *plan
	// parts are the items, by index or key, that are read in another way than the rest
	parts map[codecs.Step]*plan
	// branches of a union, by the writer's index
	branches []*plan
	symbols  []symbol // by the writer's index
	reason   string   // why wireRefuse refuses
	name     string   // of the type, for messages

	// recursive records are where a cycle is entered again.
	recursive bool
	min       int // fewest bytes of a value
	constant  int // bytes of every value, none of which can be wrong; -1 if there are others
	idle      int // values inside that take no bytes, at most
	height    int // records, arrays and maps inside each other, this one included
	filled    int // the most that are inside each other in what only the reader has
	measured  bool
	measuring bool
}

// planField is a field in the writer's order, or one that only the reader has.
type planField struct {
	name   string
	key    []byte // the name as JSON with a colon
	p      *plan
	unread bool   // only the writer has it
	absent bool   // only the reader has it: it is always value
	value  []byte // a record of p
	text   []byte // value as JSON
}

type symbol struct {
	text string
	ok   bool // the reader knows it, or has a default for it
}

// measure computes what a finished plan costs. all are the plans of one resolution.
func measure(root *plan, all []*plan) {
	for _, p := range all {
		p.min = beyond
	}
	for changed := true; changed; {
		changed = false
		for i := len(all) - 1; i >= 0; i-- { // children are mostly made after their parents
			if m := all[i].fewest(); m < all[i].min {
				all[i].min, changed = m, true
			}
		}
	}
	root.settle()
	for _, p := range all {
		p.settle()
	}
}

// item is the plan of the item at s.
func (p *plan) item(s codecs.Step) *plan {
	if part := p.parts[s]; part != nil {
		return part
	}
	return p.items
}

// beyond is more bytes than any record has.
const beyond = 1 << 31

// fewest is the minimum of p as its children stand now.
func (p *plan) fewest() int {
	switch p.wire {
	case wireNull:
		return 0
	case wireFloat, wireUint32:
		return 4
	case wireDouble:
		return 8
	case wireFixed:
		return p.size
	case wireRefuse:
		return beyond
	case wireRecord:
		sum := 0
		for i := range p.fields {
			if !p.fields[i].absent {
				sum = min(sum+p.fields[i].p.min, beyond)
			}
		}
		return sum
	case wireUnion:
		least := beyond
		for _, b := range p.branches {
			if b.wire != wireRefuse {
				least = min(least, b.min+1)
			}
		}
		return least
	}
	return 1
}

// settle finds the recursive records, the constant sizes and the idle values.
func (p *plan) settle() {
	if p.measured || p.measuring {
		p.recursive = p.recursive || p.measuring
		return
	}
	p.measuring = true
	p.constant, p.idle = -1, 0
	switch p.wire {
	case wireNull:
		p.constant, p.idle = 0, 1
	case wireFloat, wireUint32:
		p.constant = 4
	case wireDouble:
		p.constant = 8
	case wireFixed:
		p.constant = p.size
		if p.size == 0 {
			p.idle = 1
		}
	case wireRecord:
		p.settleRecord()
	case wireArray, wireMap:
		p.items.settle()
		p.rise(p.items, 1)
	case wireUnion:
		for _, b := range p.branches {
			b.settle()
			p.rise(b, 0)
			if !b.recursive {
				p.idle = max(p.idle, b.idle-1) // the branch's number takes a byte
			}
		}
	}
	p.measuring, p.measured = false, true
}

// rise makes p as high as its child and steps more; a cycle has no height.
func (p *plan) rise(child *plan, steps int) {
	if child.recursive {
		p.height = beyond
		return
	}
	p.height = min(max(p.height, child.height+steps), beyond)
}

func (p *plan) settleRecord() {
	constant, idle := 0, 0
	p.height = 1
	if len(p.fields) == 0 {
		idle = 1
	}
	for i := range p.fields {
		f := &p.fields[i]
		f.p.settle()
		if f.absent {
			var depth int
			f.text, depth = textOf(f.p, f.value)
			idle = min(idle+1+len(f.text)/8, beyond)
			p.filled = max(p.filled, depth)
			p.height = max(p.height, 1+depth)
			continue
		}
		p.rise(f.p, 1)
		if !f.p.recursive {
			idle = min(idle+f.p.idle, beyond)
		}
		if f.p.constant < 0 || f.p.measuring {
			constant = -1
		} else if constant >= 0 {
			constant = min(constant+f.p.constant, beyond)
		}
	}
	p.constant, p.idle = constant, idle
}

// kinds are what a cell of p can be.
func (p *plan) kinds() codecs.KindSet {
	switch p.wire {
	case wireNull:
		return codecs.Kinds(codecs.Null)
	case wireBool:
		return codecs.Kinds(codecs.Bool)
	case wireInt, wireLong, wireUint32:
		if p.as == toFloat || p.as == toSingle {
			return codecs.Kinds(codecs.Float)
		}
		return codecs.Kinds(codecs.Int)
	case wireFloat, wireDouble:
		return codecs.Kinds(codecs.Float)
	case wireEnum:
		return codecs.Kinds(codecs.String)
	case wireRecord, wireMap:
		return codecs.Kinds(codecs.Object)
	case wireArray:
		return codecs.Kinds(codecs.Array)
	case wireUnion:
		var all codecs.KindSet
		for _, b := range p.branches {
			all |= b.kinds()
		}
		return all
	case wireRefuse:
		return 0
	}
	return p.textKinds()
}

func (p *plan) textKinds() codecs.KindSet {
	switch {
	case p.as == toDecimal && p.scale == 0:
		return codecs.Kinds(codecs.Int, codecs.Float)
	case p.as == toDecimal:
		return codecs.Kinds(codecs.Float)
	case p.as == toUUID || p.as == toText || p.wire == wireString && p.as == plain:
		return codecs.Kinds(codecs.String)
	}
	return codecs.Kinds(codecs.Bytes)
}
