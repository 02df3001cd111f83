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

// Project makes the output rows as JSON text without line feeds: an object with the
// members in the order given, or, without members, the record itself. A row whose
// members cannot be computed, or that is too long, is a dead letter.
type Project struct {
	prefixes [][]byte // {"a": and ,"b":
	members  []Member

	text []byte
	ends []int
	out  dataflow.Batch
	dead []rejected
}

// NewProject makes a Project. Without members it reads Values, so there has to be a
// source batch.
func NewProject(members []Member) *Project {
	p := &Project{members: members}
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

// maxProjected bounds the text of one batch; together with one row beyond it it is
// what the memory for output may grow to.
const maxProjected = 4 << 20

// Process implements dataflow.Operator. It emits a batch whose Values are the rows.
func (p *Project) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	p.text, p.ends, p.dead = p.text[:0], p.ends[:0], p.dead[:0]
	for _, row := range b.Selected {
		from := len(p.text)
		err := p.appendRow(b, int(row))
		if n := len(p.text) - from; err == nil && n > MaxRowBytes {
			err = fmt.Errorf("the output row has %d bytes, more than %d", n, MaxRowBytes)
		}
		if err != nil {
			p.text = p.text[:from]
			p.dead = append(p.dead, rejected{int(row), err.Error()})
			continue
		}
		if p.ends = append(p.ends, len(p.text)); len(p.text) > maxProjected {
			return dataflow.ErrFull
		}
	}
	if err := out.Emit(p.batch(b)); err != nil {
		return err
	}
	if b.Source >= 0 {
		out.Used(len(p.ends))
	}
	report(p.dead, b, out)
	return nil
}

func (p *Project) appendRow(b *dataflow.Batch, row int) error {
	if len(p.members) == 0 {
		p.text = codecs.AppendJSON(p.text, codecs.ObjectValue(view(b.Values[row])))
		return nil
	}
	for i := range p.members {
		m := &p.members[i]
		v, err := m.Expr.Eval(b, row)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		p.text = append(p.text, p.prefixes[i]...)
		p.text = codecs.AppendJSON(p.text, v)
	}
	p.text = append(p.text, '}')
	return nil
}

// batch is the output of the batch b.
func (p *Project) batch(b *dataflow.Batch) *dataflow.Batch {
	p.out.Source, p.out.Rows = b.Source, len(p.ends)
	p.out.Values, p.out.Selected = p.out.Values[:0], p.out.Selected[:0]
	from := 0
	for row, end := range p.ends {
		p.out.Values = append(p.out.Values, p.text[from:end:end])
		p.out.Selected = append(p.out.Selected, int32(row))
		from = end
	}
	return &p.out
}
