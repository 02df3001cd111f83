package queries

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/dataflow"
	"leat/internal/fault"
	"leat/operators"
)

// LookupPlan puts beside each row what a key-value namespace has under a key.
type LookupPlan struct {
	KV      string
	Key     dataflow.Expr // over the rows in front of it
	KeyText string
	As      string
	Left    bool          // rows without a value stay
	Paths   []codecs.Path // of what is used of the values
	Columns []int         // of the rows: where they are

	whole int // column of the whole value, -1 where nothing uses it
}

func newLookupPlan(spec *LookupSpec, b *boundLookup) *LookupPlan {
	p := &LookupPlan{
		KV: spec.KV, Key: compileExpr(b.key), KeyText: b.key.String(), As: spec.As, Left: spec.Left,
		Paths: b.paths, Columns: b.columns, whole: -1,
	}
	if b.whole >= 0 {
		p.whole = b.columns[b.whole]
	}
	return p
}

// operator is the lookup for so many source partitions.
func (p *LookupPlan) operator(values Values, partitions int) *operators.Lookup {
	c := operators.LookupConfig{Key: p.Key, Inner: !p.Left, Columns: p.Columns}
	for range partitions + 1 {
		c.Tables = append(c.Tables, newLookupTable(p, values, lookupBytes/(partitions+1)))
	}
	return operators.NewLookup(c)
}

func (p *LookupPlan) kind() string {
	if p.Left {
		return "left"
	}
	return "inner"
}

func (p *LookupPlan) text() string {
	return fmt.Sprintf("%s in kv %s as %s, %s", p.KeyText, p.KV, memberText(p.As), p.kind())
}

// node is the step that looks up.
func (p *LookupPlan) node() planNode {
	fields := make([]string, len(p.Paths))
	for i, path := range p.Paths {
		fields[i] = codecs.NewPath(append([]codecs.Step{{Member: p.As}}, path.Steps()...)...).String()
	}
	return planNode{ID: "lookup", Kind: "lookup", Text: p.text(), Detail: map[string]any{
		"kv": p.KV, "key": p.KeyText, "as": p.As, "type": p.kind(), "fields": fields,
	}}
}

// freshValues has what is looked up from now on be as new as everything that had been
// acknowledged: a value is never older than the rows it is put beside.
func (j *Job) freshValues(ctx context.Context) error {
	if j.plan.Lookup == nil {
		return nil
	}
	if j.values == nil {
		return fault.New(fault.Unprocessable, codeUnsupported, "there are no key-value namespaces here to look up in")
	}
	if err := j.values.Fresh(ctx, j.plan.Lookup.KV); err != nil {
		return fmt.Errorf("look up in namespace %q: %w", j.plan.Lookup.KV, err)
	}
	return nil
}

// lookupBytes is about the memory for what a query remembers of values, beside those of
// the batches that are being processed.
const lookupBytes = 32 << 20

// lookupTable reads and decodes values. It remembers them as long as their versions stay
// the same.
type lookupTable struct {
	values    Values
	namespace string
	objects   *jsoncodec.Decoder // of values that are objects
	others    *jsoncodec.Decoder // of other values, as the member of an object
	columns   codecs.Columns
	record    [1][]byte
	wrapped   []byte

	known map[string]*lookedUpValue
	batch uint64
	bytes int // of known
	most  int
}

// lookedUpValue is what a key stands for.
type lookedUpValue struct {
	batch   uint64 // that it holds for
	version uint64 // of the value; 0 = there is none
	cells   []codecs.Value
	err     error
}

func newLookupTable(p *LookupPlan, values Values, most int) *lookupTable {
	within := make([]codecs.Path, len(p.Paths))
	for i, path := range p.Paths {
		within[i] = codecs.NewPath(append([]codecs.Step{{Member: "v"}}, path.Steps()...)...)
	}
	return &lookupTable{
		values: values, namespace: p.KV, objects: jsoncodec.New(p.Paths), others: jsoncodec.New(within),
		known: map[string]*lookedUpValue{}, most: most,
	}
}

// Begin implements operators.LookupTable.
func (t *lookupTable) Begin() {
	t.batch++
	if t.bytes > t.most {
		clear(t.known)
		t.bytes = 0
	}
}

// Find implements operators.LookupTable.
func (t *lookupTable) Find(key []byte) ([]codecs.Value, error) {
	e := t.known[string(key)]
	if e != nil && e.batch == t.batch {
		return e.cells, e.err
	}
	value, version, found := t.values.Value(t.namespace, string(key))
	if !found {
		version = 0
	}
	if e == nil {
		e = &lookedUpValue{}
		t.known[string(key)] = e
		t.bytes += len(key) + 160
	}
	e.batch = t.batch
	if e.version != version {
		t.bytes -= e.size()
		e.version, e.cells, e.err = version, nil, nil
		if found {
			e.cells, e.err = t.decode(key, value)
		}
		t.bytes += e.size()
	}
	return e.cells, e.err
}

func (e *lookedUpValue) size() (n int) {
	for i := range e.cells {
		n += len(e.cells[i].Str) + 32
	}
	return n
}

// decode reads a value as a record without a schema is read, but for that it can be any
// JSON.
func (t *lookupTable) decode(key, value []byte) ([]codecs.Value, error) {
	decoder, record := t.objects, value
	if !bytes.HasPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte("{")) {
		if wrong := (*jsoncodec.SyntaxError)(nil); errors.As(jsoncodec.Valid(value), &wrong) {
			return nil, t.unreadable(key, fmt.Sprintf("not valid JSON at offset %d: %s", wrong.Offset, wrong.Reason))
		}
		t.wrapped = append(append(append(t.wrapped[:0], `{"v":`...), value...), '}')
		decoder, record = t.others, t.wrapped
	}
	t.record[0] = record
	if bad := decoder.Decode(t.record[:], &t.columns); len(bad) > 0 {
		return nil, t.unreadable(key, bad[0].Reason)
	}
	cells := make([]codecs.Value, len(t.columns.Cols))
	for i := range cells {
		cells[i] = t.columns.Cols[i].Value(0).Clone()
	}
	return cells, nil
}

func (t *lookupTable) unreadable(key []byte, reason string) error {
	return fmt.Errorf("the value of key %q in namespace %q: %s", cutText(string(key), maxReasonBytes/4), t.namespace, reason)
}
