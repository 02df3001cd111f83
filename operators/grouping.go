package operators

import (
	"fmt"
	"slices"

	"leat/codecs"
	"leat/dataflow"
)

// grouping is what operators that aggregate by key have in common: how a row gives its
// key and operands, and how the partials of a group make a grouped row, which has a
// column per key, one per aggregate and, where groups have windows, window_start and
// window_end.
type grouping struct {
	keys    []int // columns that form the group key
	list    []accumulator
	layout  layout
	having  dataflow.Expr // nil = every row leaves
	changes bool          // present rows of what is open are given too
	bounds  int           // columns of the window: two or, of running groups, none
	shown   *shown        // where rows may have to be withdrawn; nil = nowhere

	out  dataflow.Batch // grouped rows on their way out
	dead []rejected     // those of them that cannot be given
	rows []groupRow     // whose they are, where changes are given
}

func newGrouping(keys []int, aggregates []AggregateSpec, having dataflow.Expr) (grouping, error) {
	list, size, err := compileAccumulators(aggregates)
	if err != nil {
		return grouping{}, err
	}
	return grouping{keys: keys, list: list, layout: size, having: having, bounds: 2}, nil
}

// fillKey writes the group_by columns of a row.
func (g *grouping) fillKey(row int, key []byte) {
	for k := range g.keys {
		v, rest, err := codecs.DecodeKey(key)
		if err != nil { // the key was made by AppendKey
			panic("undecodable group key: " + err.Error())
		}
		g.out.Columns.Cols[k].Set(row, v)
		key = rest
	}
}

// groupRow names the row of a group. key is a view.
type groupRow struct {
	key   []byte
	start dataflow.Time // of the window, 0 of running groups
}

// given is what a row gives to a group. It belongs to one source partition.
type given struct {
	key      []byte // canonical
	operands []operand
}

// evaluate fills in from a row, or says why it cannot.
func (g *grouping) evaluate(in *given, b *dataflow.Batch, row int) (reason string) {
	in.key = in.key[:0]
	for _, c := range g.keys {
		in.key = codecs.AppendKey(in.key, b.Columns.Cols[c].Value(row))
	}
	if len(in.key) > MaxKeyBytes {
		return fmt.Sprintf("the group key has %d bytes, more than %d", len(in.key), MaxKeyBytes)
	}
	for i := range g.list {
		if reason := g.list[i].evaluate(&in.operands[i], b, row); reason != "" {
			return reason
		}
	}
	return ""
}

// isGroupKey tells whether key is made up of as many values as there are keys.
func (g *grouping) isGroupKey(key []byte) bool {
	for range g.keys {
		var err error
		if _, key, err = codecs.DecodeKey(key); err != nil {
			return false
		}
	}
	return len(key) == 0
}

// beginChunk makes room in out for a chunk of at most so many rows.
func (g *grouping) beginChunk(limit int) {
	g.out.Source, g.dead = -1, g.dead[:0]
	g.out.Columns.Reset(limit, len(g.keys)+len(g.list)+g.bounds)
	g.out.Selected = g.out.Selected[:0]
	if g.rows = g.rows[:0]; g.changes {
		g.out.Acts = resize(g.out.Acts, limit)
		clear(g.out.Acts)
	}
}

// endChunk says how many rows the chunk has.
func (g *grouping) endChunk(rows int) { g.out.Columns.Rows, g.out.Rows = rows, rows }

// fillRow writes the grouped row of a key in the window from start to end and returns
// the size of its texts. The order of the partials is that in which they are merged. act
// is PutOut or OnlyTry.
func (g *grouping) fillRow(row int, key []byte, parts []partial, start, end dataflow.Time, act dataflow.Act) int {
	cols := g.out.Columns.Cols
	g.fillKey(row, key)
	size, reason := 0, ""
	for i := range g.list {
		v, err := g.list[i].mergeAll(parts)
		if err != nil && reason == "" {
			reason = err.Error()
		}
		size += len(v.Str)
		cols[len(g.keys)+i].Set(row, v)
	}
	if g.bounds > 0 {
		cols[len(cols)-2].Set(row, codecs.IntValue(int64(start)))
		cols[len(cols)-1].Set(row, codecs.IntValue(int64(end)))
	}
	keep := true
	if g.having != nil && reason == "" {
		v, err := g.having.Eval(&g.out, row)
		switch {
		case err != nil:
			reason = failed("having", err)
		default:
			keep = v.Kind == codecs.Bool && v.Num != 0
		}
	}
	switch {
	case reason != "":
		g.dead = append(g.dead, rejected{row, reason})
	case keep:
		g.out.Selected = append(g.out.Selected, int32(row))
	}
	g.settle(row, key, start, act, keep && reason == "")
	return size
}

// settle says what is done with a row: one that is not put out, and may have been, is
// withdrawn.
func (g *grouping) settle(row int, key []byte, start dataflow.Time, act dataflow.Act, kept bool) {
	if !g.changes {
		return
	}
	if g.bounds == 0 {
		start = 0
	}
	g.out.Acts[row] = act
	g.rows = append(g.rows, groupRow{key, start})
	if act == dataflow.OnlyTry || !g.shown.may(key, start) {
		return
	}
	if g.out.Acts[row] = dataflow.Replace; !kept {
		g.out.Acts[row] = dataflow.Withdraw
		g.out.Selected = append(g.out.Selected, int32(row))
	}
}

// note has shown remember what has become of the rows of the chunk. Those that are final
// are of no more interest.
func (g *grouping) note(final bool) {
	if g.shown == nil {
		return
	}
	for row, r := range g.rows {
		switch act := g.out.Acts[row]; {
		case act == dataflow.OnlyTry:
		case final:
			g.shown.forget(r.key, r.start)
		default:
			_, selected := slices.BinarySearch(g.out.Selected, int32(row))
			g.shown.set(r.key, r.start, selected && act != dataflow.Withdraw)
		}
	}
}

// restoreShown applies an entry of shown.
func (g *grouping) restoreShown(e dataflow.StateEntry) error {
	if len(e.Key) < 9 || !g.isGroupKey(e.Key[9:]) {
		return errState
	}
	return g.shown.restore(e)
}
