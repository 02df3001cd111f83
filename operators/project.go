package operators

import (
	"fmt"

	"leat/codecs"
	"leat/dataflow"
)

// Member is one member of an output row: its name and what it holds.
type Member struct {
	Name string
	Expr dataflow.Expr
}

// WithdrawnMember is the last member of a row that is withdrawn, with the value true, and
// WithdrawnKey what its key begins with: no canonical key does.
const (
	WithdrawnMember = "withdrawn"
	WithdrawnKey    = 0xFF
)

// Project makes the output rows as JSON text without line feeds: an object with the
// members in the order given, or, without members, the record itself. A row whose
// members cannot be computed, or that is too long, is a dead letter.
type Project struct {
	prefixes [][]byte // {"a": and ,"b":
	members  []Member
	keyed    []int         // columns of the keys of rows
	fixed    []bool        // by member: it is known of a row that is withdrawn
	whole    int           // column of the record as a value; -1: it is taken as it is stored
	with     Member        // of the record as a value, if it has a name
	outputs  []*projection // by source + 1
}

// projection is the output of one batch.
type projection struct {
	text []byte
	ends []int
	keys struct {
		text []byte
		ends []int
	}
	out  dataflow.Batch
	dead []rejected
}

// NewProject makes a Project. Without members it reads Values, so there has to be a
// source batch. Batches come from so many source partitions, and from behind an
// exchange.
func NewProject(members []Member, partitions int) *Project {
	p := &Project{members: members, whole: -1}
	for range partitions + 1 {
		p.outputs = append(p.outputs, &projection{})
	}
	for i, m := range members {
		prefix := []byte{','}
		if i == 0 {
			prefix[0] = '{'
		}
		prefix = append(codecs.AppendJSONString(prefix, m.Name), ':')
		p.prefixes = append(p.prefixes, prefix)
	}
	return p
}

// KeyBy has each output row carry a key: the canonical keys of some columns of its
// input row, one after the other, that of null for column -1.
func (p *Project) KeyBy(columns ...int) { p.keyed = columns }

// Withdraw says of which members the value depends on nothing but group and window. Of a
// row that is withdrawn these are given, and the others are null.
func (p *Project) Withdraw(fixed []bool) { p.fixed = fixed }

// Whole has rows without members be the values of a column.
func (p *Project) Whole(column int) { p.whole = column }

// With gives rows that are the values of a column one more member, in place of one that
// has its name.
func (p *Project) With(m Member) { p.with = m }

// maxProjected bounds the text of one batch; together with one row beyond it it is
// what the memory for output may grow to.
const maxProjected = 4 << 20

// Process implements dataflow.Operator. It emits a batch whose Values are the rows.
func (p *Project) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	o := p.outputs[b.Source+1]
	o.text, o.ends, o.dead = o.text[:0], o.ends[:0], o.dead[:0]
	o.keys.text, o.keys.ends = o.keys.text[:0], o.keys.ends[:0]
	for _, row := range b.Selected {
		act := dataflow.PutOut
		if b.Acts != nil {
			act = b.Acts[row]
		}
		if act = o.act(p, b, int(row), act); act == dataflow.OnlyTry {
			continue
		}
		if o.ends = append(o.ends, len(o.text)); len(o.text) > maxProjected {
			return dataflow.ErrFull
		}
		if p.keyed != nil {
			o.appendKey(p.keyed, b, int(row), act == dataflow.Withdraw)
		}
	}
	if err := out.Emit(o.batch(b)); err != nil {
		return err
	}
	if b.Source >= 0 {
		out.Used(len(o.ends))
	}
	report(o.dead, b, out)
	return nil
}

// act appends the row where there is one to be put out or withdrawn, and says which:
// OnlyTry for neither.
func (o *projection) act(p *Project, b *dataflow.Batch, row int, act dataflow.Act) dataflow.Act {
	from := len(o.text)
	if act != dataflow.Withdraw {
		err := o.appendRow(p, b, row)
		if n := len(o.text) - from; err == nil && n > MaxRowBytes {
			err = fmt.Errorf("the output row has %d bytes, more than %d", n, MaxRowBytes)
		}
		if err == nil && act != dataflow.OnlyTry {
			return dataflow.PutOut
		}
		o.text = o.text[:from]
		if err != nil {
			o.dead = append(o.dead, rejected{row, err.Error()})
		}
		if act != dataflow.Replace {
			return dataflow.OnlyTry
		}
	}
	if err := o.appendWithdrawn(p, b, row); err != nil { // and so it never was put out
		o.text = o.text[:from]
		return dataflow.OnlyTry
	}
	return dataflow.Withdraw
}

func (o *projection) appendWithdrawn(p *Project, b *dataflow.Batch, row int) error {
	for i := range p.members {
		v := codecs.NullValue()
		if p.fixed[i] {
			var err error
			if v, err = p.members[i].Expr.Eval(b, row); err != nil {
				return err
			}
		}
		o.text = append(o.text, p.prefixes[i]...)
		o.text = codecs.AppendJSON(o.text, v)
	}
	o.text = append(o.text, `,"`+WithdrawnMember+`":true}`...)
	return nil
}

func (o *projection) appendRow(p *Project, b *dataflow.Batch, row int) error {
	if len(p.members) == 0 && p.with.Name != "" {
		v, err := p.with.Expr.Eval(b, row)
		o.text = codecs.AppendJSONWith(o.text, b.Columns.Cols[p.whole].Value(row), p.with.Name, v)
		return err
	}
	if len(p.members) == 0 && p.whole >= 0 {
		o.text = codecs.AppendJSON(o.text, b.Columns.Cols[p.whole].Value(row))
		return nil
	}
	if len(p.members) == 0 {
		o.text = codecs.AppendJSON(o.text, codecs.ObjectValue(view(b.Values[row])))
		return nil
	}
	for i := range p.members {
		m := &p.members[i]
		v, err := m.Expr.Eval(b, row)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		o.text = append(o.text, p.prefixes[i]...)
		o.text = codecs.AppendJSON(o.text, v)
	}
	o.text = append(o.text, '}')
	return nil
}

func (o *projection) appendKey(columns []int, b *dataflow.Batch, row int, withdrawn bool) {
	if withdrawn {
		o.keys.text = append(o.keys.text, WithdrawnKey)
	}
	for _, c := range columns {
		v := codecs.NullValue()
		if c >= 0 {
			v = b.Columns.Cols[c].Value(row)
		}
		o.keys.text = codecs.AppendKey(o.keys.text, v)
	}
	o.keys.ends = append(o.keys.ends, len(o.keys.text))
}

// batch is the output of the batch b.
func (o *projection) batch(b *dataflow.Batch) *dataflow.Batch {
	o.out.Source, o.out.Rows = b.Source, len(o.ends)
	o.out.Values, o.out.Selected = o.out.Values[:0], o.out.Selected[:0]
	from := 0
	for row, end := range o.ends {
		o.out.Values = append(o.out.Values, o.text[from:end:end])
		o.out.Selected = append(o.out.Selected, int32(row))
		from = end
	}
	o.out.Keys, from = o.out.Keys[:0], 0
	for _, end := range o.keys.ends {
		o.out.Keys = append(o.out.Keys, o.keys.text[from:end:end])
		from = end
	}
	return &o.out
}
