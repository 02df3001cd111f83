package avrocodec

// compiler makes the program of one decoder.
type compiler struct {
	width    int // columns of the decoder
	deep     bool
	texts    bool
	programs map[*plan]*program // of the records that may contain themselves, unread
	seen     map[*plan]bool     // records that are already passed by once
	branches map[asked]*program // of unions, of what is asked for inside
	pending  []func()           // programs that are still empty
}

// asked is what t asks for of a value of p. A trie stands for one place in a record.
type asked struct {
	p *plan
	t *trie
}

// compile makes the program that reads a value of p and sets what t asks for.
func compile(p *plan, t *trie, width int) *program {
	c := &compiler{
		width: width, deep: p.height > maxDepth,
		programs: map[*plan]*program{}, seen: map[*plan]bool{}, branches: map[asked]*program{},
	}
	main := &program{}
	c.value(main, scope{}, p, t)
	for len(c.pending) > 0 {
		next := c.pending[0]
		c.pending = c.pending[1:]
		next()
	}
	main.texts = c.texts
	return main
}

// scope is where in a record a step is compiled for.
type scope struct {
	where string
	level int // records, arrays and maps since the program started
}

func (s scope) field(name string) scope {
	if s.where != "" {
		name = s.where + "." + name
	}
	return scope{name, s.level}
}

func (s scope) items() scope { return scope{s.where + "[]", 0} }

func (pr *program) emit(s scope, st step) {
	pr.steps = append(pr.steps, st)
	pr.where = append(pr.where, s.where)
}

// skip emits a pass over n bytes, joined with one right before unless a jump leads
// between the two.
func (pr *program) skip(s scope, n int) {
	if n == 0 {
		return
	}
	if last := len(pr.steps) - 1; last >= pr.fence && pr.steps[last].op == opSkip {
		pr.steps[last].n += n
		return
	}
	pr.emit(s, step{op: opSkip, col: -1, n: n})
}

// value emits what reads a value of p. t is nil if nothing of it is asked for.
func (c *compiler) value(pr *program, s scope, p *plan, t *trie) {
	if t == nil && c.unchecked(p) >= 0 {
		pr.skip(s, p.constant)
		return
	}
	col := int32(-1)
	if t != nil {
		col = t.col
	}
	switch p.wire {
	case wireNull:
		if col >= 0 {
			pr.emit(s, step{op: opNull, col: col})
		}
	case wireRecord, wireArray, wireMap:
		c.composite(pr, s, p, t, col)
	case wireUnion:
		c.union(pr, s, p, t, col)
	case wireEnum:
		pr.emit(s, step{op: opEnum, col: col, n: len(p.symbols), x: &detail{symbols: p.symbols, name: p.name}})
	case wireRefuse:
		pr.emit(s, step{op: opRefuse, col: -1, x: &detail{name: p.reason}})
	default:
		c.scalar(pr, s, p, col)
	}
}

// unchecked is the size of every value of p if none can be wrong, not even too deep, else
// -1.
func (c *compiler) unchecked(p *plan) int {
	if c.deep && p.wire == wireRecord {
		return -1
	}
	return p.constant
}

func (c *compiler) scalar(pr *program, s scope, p *plan, col int32) {
	st := step{col: col, as: p.as, n: p.size}
	switch p.wire {
	case wireBool:
		st.op = opBool
	case wireInt:
		st.op = opInt
	case wireLong:
		st.op = opLong
	case wireFloat:
		st.op = opFloat
	case wireDouble:
		st.op = opDouble
	case wireUint32:
		st.op = opUint32
	case wireString:
		st.op = opString
	case wireBytes:
		st.op = opBytes
	case wireFixed:
		st.op = opFixed
	}
	switch p.as {
	case toDecimal:
		st.op, st.x = opJSONNum, &detail{scale: p.scale, fixed: -1}
		if p.wire == wireFixed {
			st.x.fixed = p.size
		}
	case toUUID:
		st.op = opUUID
	}
	pr.emit(s, st)
}

// composite emits a record, array or map: as JSON, as what is asked for inside, as both,
// or as neither.
func (c *compiler) composite(pr *program, s scope, p *plan, t *trie, col int32) {
	inside := t != nil && (p.wire == wireArray && len(t.elements) > 0 || p.wire != wireArray && len(t.members) > 0)
	if col < 0 {
		if !inside {
			t = nil
		}
		c.open(pr, s, p, t)
		return
	}
	if inside {
		body := &program{}
		pr.emit(s, step{op: opPeek, col: -1, n: s.level, x: &detail{body: body}})
		c.open(body, scope{s.where, 0}, p, t)
	}
	c.texts = true
	pr.emit(s, step{op: opText, col: col, n: s.level, x: &detail{plan: p}})
}

// open emits a record, array or map with what t asks for inside of it.
func (c *compiler) open(pr *program, s scope, p *plan, t *trie) {
	switch {
	case p.wire != wireRecord:
		c.loop(pr, s, p, t)
	case t == nil && (p.recursive || c.seen[p]):
		c.call(pr, s, p)
	default:
		c.seen[p] = true
		c.record(pr, s, p, t)
	}
}

// call emits a jump to the one program that passes by a record of p.
func (c *compiler) call(pr *program, s scope, p *plan) {
	body := c.programs[p]
	if body == nil {
		body = &program{}
		c.programs[p] = body
		c.pending = append(c.pending, func() { c.record(body, scope{where: p.name}, p, nil) })
	}
	pr.emit(s, step{op: opCall, col: -1, n: s.level, x: &detail{body: body}})
}

func (c *compiler) record(pr *program, s scope, p *plan, t *trie) {
	s.level++
	if c.deep {
		idle := 0
		if p.recursive {
			idle = p.idle
		}
		pr.emit(s, step{op: opEnter, col: -1, n: s.level + p.filled, x: &detail{idle: idle}})
	}
	for i := range p.fields {
		f := &p.fields[i]
		var ft *trie
		if t != nil && !f.unread {
			ft = t.members[f.name]
		}
		switch {
		case !f.absent:
			c.value(pr, s.field(f.name), f.p, ft)
		case ft != nil:
			pr.emit(s, step{op: opConst, col: -1, x: &detail{consts: c.constants(f, ft)}})
		}
	}
}

// constants are the cells that t asks for of a field that only the reader has.
func (c *compiler) constants(f *planField, t *trie) []constant {
	cells := decodeDefault(f, t, c.width)
	var consts []constant
	for _, col := range t.below() {
		consts = append(consts, constant{col, cells[col]})
	}
	return consts
}

func (c *compiler) union(pr *program, s scope, p *plan, t *trie, col int32) {
	if len(p.branches) == 2 && (p.branches[0].wire == wireNull) != (p.branches[1].wire == wireNull) {
		null := uint8(0)
		if p.branches[1].wire == wireNull {
			null = 1
		}
		at := len(pr.steps)
		pr.emit(s, step{op: opNullable, col: col, null: null})
		c.value(pr, s, p.branches[1-null], t)
		pr.steps[at].n = len(pr.steps) - at - 1
		pr.fence = len(pr.steps)
		return
	}
	x := &detail{name: p.name}
	for _, b := range p.branches {
		x.branches = append(x.branches, c.branch(s, b, t))
	}
	pr.emit(s, step{op: opUnion, col: -1, n: s.level, x: x})
}

// branch is the program of a branch of a union. Where branches lead to each other there
// are many ways to a place, but one program for each of them that ends there.
func (c *compiler) branch(s scope, p *plan, t *trie) *program {
	body := c.branches[asked{p, t}]
	if t == nil || body == nil {
		body = &program{}
		c.value(body, scope{s.where, 0}, p, t)
		c.branches[asked{p, t}] = body
	}
	return body
}

func (c *compiler) loop(pr *program, s scope, p *plan, t *trie) {
	item := p.items
	x := &detail{isMap: p.wire == wireMap, min: item.min, idle: item.itemIdle(), fixed: c.unchecked(item), body: &program{}}
	if x.isMap {
		x.min++ // the length of the key
		x.fixed = -1
	}
	inside := s.items()
	c.value(x.body, inside, item, nil)
	for at, asked := range t.steps(!x.isMap) {
		part := p.item(at)
		x.idle = max(x.idle, part.itemIdle())
		if at.IsIndex {
			x.elements = append(x.elements, element{int64(at.Index), *c.target(inside, part, asked)})
			continue
		}
		if x.members == nil {
			x.members = map[string]*target{}
		}
		x.members[at.Member] = c.target(inside, part, asked)
	}
	pr.emit(s, step{op: opLoop, col: -1, n: s.level + 1, x: x})
}

func (c *compiler) target(s scope, item *plan, t *trie) *target {
	body := &program{}
	c.value(body, s, item, t)
	return &target{body, t.below()}
}

// itemIdle is the idle values of an item of p in an array or map.
func (p *plan) itemIdle() int {
	if p.recursive {
		return 0 // counted where it is entered
	}
	return p.idle
}
