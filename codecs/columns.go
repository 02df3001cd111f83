package codecs

import "slices"

// Column is one field of a batch as a struct of arrays, one cell per row. The three
// slices have the same length. A cell obeys the invariants of Value: code that
// writes the slices directly keeps Num 0 and Str empty where the Kind has none.
type Column struct {
	Kinds []Kind
	Nums  []uint64
	Strs  []string
}

// Value is the cell of a row, a view where the cell is one.
func (c *Column) Value(row int) Value {
	return Value{Kind: c.Kinds[row], Num: c.Nums[row], Str: c.Strs[row]}
}

// Set replaces the cell of row. It keeps v.Str as it is, view or not.
func (c *Column) Set(row int, v Value) {
	c.Kinds[row], c.Nums[row], c.Strs[row] = v.Kind, v.Num, v.Str
}

// Copy has the cells of another column of as many rows.
func (c *Column) Copy(from *Column) {
	copy(c.Kinds, from.Kinds)
	copy(c.Nums, from.Nums)
	copy(c.Strs, from.Strs)
}

// reset makes the column rows long with all cells Missing.
// Invariant: memory beyond the length of a column is zero, so only the cells in use
// are cleared, and no view outlives its batch.
func (c *Column) reset(rows int) {
	clear(c.Kinds)
	clear(c.Nums)
	clear(c.Strs)
	c.Kinds = resize(c.Kinds, rows)
	c.Nums = resize(c.Nums, rows)
	c.Strs = resize(c.Strs, rows)
}

// resize returns s, already cleared, with length n; cells it gains are zero.
func resize[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return make([]T, n, max(n, 2*cap(s)))
}

// Columns is a batch of decoded rows: Cols[k] belongs to the k-th requested path and
// is Rows long. Not safe for concurrent use.
type Columns struct {
	Rows int
	Cols []Column
}

// Reset makes the batch rows × cols with all cells Missing, reusing memory.
func (c *Columns) Reset(rows, cols int) {
	for k := range c.Cols {
		c.Cols[k].reset(0)
	}
	if cols > cap(c.Cols) {
		c.Cols = slices.Grow(c.Cols[:cap(c.Cols)], cols-cap(c.Cols))
	}
	c.Cols = c.Cols[:cols]
	for k := range c.Cols {
		c.Cols[k].reset(rows)
	}
	c.Rows = rows
}

// Widen adds columns, all of whose cells are Missing, until there are at least cols.
func (c *Columns) Widen(cols int) {
	for k := len(c.Cols); k < cols; k++ {
		if k < cap(c.Cols) {
			c.Cols = c.Cols[:k+1]
		} else {
			c.Cols = append(c.Cols, Column{})
		}
		c.Cols[k].reset(c.Rows)
	}
}

// ClearRow makes all cells of row Missing.
func (c *Columns) ClearRow(row int) {
	for k := range c.Cols {
		c.Cols[k].Set(row, Value{})
	}
}

// RowError names a row that cannot be decoded and why, in one line of English
// without the row's number.
type RowError struct {
	Row    int
	Reason string
}

// Decoder turns records of one format into columns, one per path it was made for.
//
// Decode resets into to len(values) rows and fills one cell per (row, path): the
// value at the path, or Missing where the row has none. A row that cannot be decoded
// has all cells Missing and one RowError; the errors are in row order and belong to
// the decoder until the next Decode. Whether a row is good does not depend on the
// paths, but for one that has far more text than bytes in an object or array that is asked for.
//
// Strings are views into values, or into memory of the decoder that is reused by the
// next Decode: whatever outlives the batch is cloned. values may not be modified
// while the views are in use. Decode is not safe for concurrent use.
type Decoder interface {
	Decode(values [][]byte, into *Columns) []RowError
}
