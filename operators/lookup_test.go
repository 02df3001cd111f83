package operators

import (
	"math"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// TestLookupKeys: values that are equal as group keys have one text, and kinds that have
// none are refused.
func TestLookupKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    codecs.Value
		want string
	}{
		{codecs.StringValue("a/b c"), "a/b c"}, {codecs.StringValue(""), ""},
		{codecs.IntValue(-17), "-17"}, {codecs.FloatValue(-17), "-17"}, {codecs.FloatValue(0.5), "0.5"},
		{codecs.IntValue(1 << 53), "9007199254740992"}, {codecs.FloatValue(1 << 53), "9007199254740992"},
		{codecs.IntValue(0), "0"}, {codecs.FloatValue(math.Copysign(0, -1)), "0"}, {codecs.FloatValue(1e300), "1e+300"},
		{codecs.BoolValue(true), "true"},
	} {
		if got, err := AppendLookupKey(nil, c.v); err != nil || string(got) != c.want {
			t.Errorf("%v: %q, %v, want %q", c.v, got, err, c.want)
		}
	}
	for _, v := range []codecs.Value{
		codecs.ObjectValue("{}"), codecs.ArrayValue("[]"), codecs.BytesValue("x"), codecs.FloatValue(math.NaN()), codecs.FloatValue(math.Inf(-1)),
	} {
		if got, err := AppendLookupKey(nil, v); err == nil {
			t.Errorf("%v has the key %q", v, got)
		}
	}
}

// table is a LookupTable of fixed cells that counts batches.
type table struct {
	cells  map[string][]codecs.Value
	begins int
}

func (t *table) Begin() { t.begins++ }

func (t *table) Find(key []byte) ([]codecs.Value, error) { return t.cells[string(key)], nil }

// TestLookupFillsColumns: cells go behind the columns of a record or into blank ones,
// each source has its own table, and those of a row without a value are missing, whatever
// the batch before held.
func TestLookupFillsColumns(t *testing.T) {
	t.Parallel()
	tables := []*table{{}, {cells: map[string][]codecs.Value{"k": {codecs.IntValue(1)}}}, {cells: map[string][]codecs.Value{"k": {codecs.IntValue(2)}}}}
	config := LookupConfig{Key: dataflow.Column(0), Columns: []int{1}}
	for _, t := range tables {
		config.Tables = append(config.Tables, t)
	}
	l := NewLookup(config)
	b := &dataflow.Batch{}
	for _, c := range []struct {
		source int
		keys   []string
		want   []codecs.Value
	}{
		{0, []string{"k", "k", "x"}, []codecs.Value{codecs.IntValue(1), codecs.IntValue(1), {}}},
		{1, []string{"x", "k"}, []codecs.Value{{}, codecs.IntValue(2)}},
		{0, []string{"x", "x", "x", "k"}, []codecs.Value{{}, {}, {}, codecs.IntValue(1)}},
	} {
		b.Source, b.Rows, b.Selected = c.source, len(c.keys), nil
		b.Columns.Reset(len(c.keys), 1)
		for i, k := range c.keys {
			b.Columns.Cols[0].Set(i, codecs.StringValue(k))
			b.Selected = append(b.Selected, int32(i))
		}
		begins := tables[c.source+1].begins
		if err := l.Process(0, b, &collector{}); err != nil {
			t.Fatal(err)
		}
		if got := tables[c.source+1].begins; got != begins+1 {
			t.Errorf("a batch has begun %d times", got-begins)
		}
		for i, want := range c.want {
			if got := b.Columns.Cols[1].Value(i); got != want {
				t.Errorf("source %d, row %d: %v, want %v", c.source, i, got, want)
			}
		}
	}
}
