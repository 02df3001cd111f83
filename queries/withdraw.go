package queries

import "leat/operators"

// A row of changes that no longer counts, because its session has become part of another
// one or because "having" does not keep its group any more, is withdrawn: by a record of
// the result log whose key says so, with what is known of the row without its aggregates
// and the member "withdrawn". In a topic it is a record of the key without a value, in a
// namespace its key is deleted, a view does not have it. So a row has to be found again
// by its group and its window alone.

// fixedColumn tells whether a column of the grouped row is the same in all rows that
// replace each other. The end of a session is not.
func fixedColumn(column, keys, aggregates int, w *WindowSpec) bool {
	switch column - keys - aggregates {
	case 0:
		return !w.Running
	case 1:
		return !w.Running && w.SessionMs == 0
	}
	return column < keys
}

// fixed tells whether a term over the grouped row is of such columns alone.
func (b *Bound) fixed(t *term) bool {
	if (t.op == opField || t.op == opHas) && !fixedColumn(t.col, len(b.keys), len(b.aggregates), b.Spec.Window) {
		return false
	}
	for _, a := range t.args {
		if !b.fixed(a) {
			return false
		}
	}
	return true
}

// fixedMembers tells which members of the output rows are known of one that is withdrawn.
func (b *Bound) fixedMembers() (fixed []bool) {
	for _, s := range b.selects {
		fixed = append(fixed, b.fixed(s.term))
	}
	if b.selects == nil {
		for i := range outputMembers(b.Spec) {
			fixed = append(fixed, fixedColumn(i, len(b.keys), len(b.aggregates), b.Spec.Window))
		}
	}
	return fixed
}

// withdrawals checks that rows can be withdrawn.
func (b *binder) withdrawals() {
	if !b.spec.withdraws() || b.spec.flawed || len(b.problems) > 0 {
		return
	}
	members, fixed := outputMembers(b.spec), b.bound.fixedMembers()
	known := map[string]bool{}
	for i, name := range members {
		known[name] = fixed[i]
		if name == operators.WithdrawnMember {
			n := b.spec.at.aggregate
			if b.spec.at.selects != nil {
				n = b.spec.at.selects
			}
			b.invalid(n, "%q is the member that marks rows which are withdrawn: give it another name", name)
		}
	}
	if b.spec.Sink == nil {
		return
	}
	for _, key := range b.spec.Sink.Keys {
		name := key.Text
		if _, member := known[name]; !member {
			name = key.Path.Steps()[0].Member
		}
		if is, member := known[name]; member && !is {
			b.invalid(key.node, "rows of this query can be withdrawn, by a key of \"group_by\" fields and the window's start, which %q is not", key.Text)
		}
	}
}

// isWithdrawal tells whether a record of the result log withdraws a row.
func isWithdrawal(key []byte) bool {
	return len(key) > 1 && key[0] == 0 && key[1] == operators.WithdrawnKey
}
