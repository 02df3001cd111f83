package codecs

import (
	"strings"
	"testing"
	"unsafe"

	"leat/internal/testenv"
)

func TestColumnsResetForgetsEverything(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	var c Columns
	for range 200 {
		rows, cols := r.IntN(20), r.IntN(5)
		c.Reset(rows, cols)
		if c.Rows != rows || len(c.Cols) != cols {
			t.Fatalf("%d×%d, want %d×%d", c.Rows, len(c.Cols), rows, cols)
		}
		for k, col := range c.Cols[:cap(c.Cols)][cols:] {
			if len(col.Strs) > 0 {
				t.Fatalf("column %d of %d still holds %q", cols+k, cols, col.Strs)
			}
		}
		for k := range c.Cols {
			col := &c.Cols[k]
			if len(col.Kinds) != rows || len(col.Nums) != rows || len(col.Strs) != rows {
				t.Fatalf("column %d has %d, %d, %d cells, want %d", k, len(col.Kinds), len(col.Nums), len(col.Strs), rows)
			}
			for row := range rows {
				if got := col.Value(row); got != (Value{}) {
					t.Fatalf("row %d of column %d is %v after Reset", row, k, got)
				}
				col.Set(row, Value{String, 7, "left over"})
			}
			for _, s := range col.Strs[:cap(col.Strs)][rows:] {
				if s != "" {
					t.Fatalf("memory beyond the column still holds %q", s)
				}
			}
		}
	}
}

func TestColumnsSetAndClearRow(t *testing.T) {
	t.Parallel()
	var c Columns
	c.Reset(2, 2)
	for k := range c.Cols {
		c.Cols[k].Set(0, StringValue("kept"))
		c.Cols[k].Set(1, IntValue(5))
	}
	c.ClearRow(1)
	for k := range c.Cols {
		if got := c.Cols[k].Value(0); got != StringValue("kept") {
			t.Errorf("row 0 is %v", got)
		}
		if got := c.Cols[k].Value(1); got != (Value{}) {
			t.Errorf("row 1 is %v", got)
		}
	}
}

func TestColumnsResetReusesMemory(t *testing.T) {
	t.Parallel()
	var c Columns
	c.Reset(100, 3)
	first := unsafe.SliceData(c.Cols[2].Strs)
	c.Reset(10, 1)
	c.Reset(100, 3)
	if unsafe.SliceData(c.Cols[2].Strs) != first {
		t.Error("a batch of the same size has new memory")
	}
}

func TestCloneDetaches(t *testing.T) {
	t.Parallel()
	memory := []byte("abc")
	v := StringValue(viewString(memory)).Clone()
	memory[0] = 'x'
	if v.Str != "abc" {
		t.Errorf("the clone changed to %q", v.Str)
	}
}

func TestValueAccessors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v            Value
		kind         string
		null, number bool
		asFloat      float64
	}{
		{Value{}, "missing", true, false, 0},
		{NullValue(), "null", true, false, 0},
		{BoolValue(true), "bool", false, false, 0},
		{IntValue(-3), "int", false, true, -3},
		{IntValue(1<<53 + 1), "int", false, true, 1 << 53},
		{FloatValue(2.5), "float", false, true, 2.5},
		{StringValue("1"), "string", false, false, 0},
		{BytesValue("1"), "bytes", false, false, 0},
		{ObjectValue("{}"), "object", false, false, 0},
		{ArrayValue("[]"), "array", false, false, 0},
	} {
		if c.v.Kind.String() != c.kind || c.v.IsNull() != c.null || c.v.IsNumber() != c.number || c.v.AsFloat() != c.asFloat {
			t.Errorf("%s: %s, null %v, number %v, as float %v", c.kind, c.v.Kind, c.v.IsNull(), c.v.IsNumber(), c.v.AsFloat())
		}
	}
	if IntValue(-3).Int() != -3 || FloatValue(2.5).Float() != 2.5 || !BoolValue(true).Bool() || BoolValue(false).Bool() {
		t.Error("a value does not give back what it was made of")
	}
	if got := Kind(99).String(); !strings.Contains(got, "invalid") {
		t.Errorf("kind 99 is called %s", got)
	}
}
