package queries

// listOp is the operation that a filter list calls op.
func listOp(op string) opcode {
	switch op {
	case "eq":
		return opEq
	case "ne":
		return opNe
	case "lt":
		return opLt
	case "le":
		return opLe
	case "gt":
		return opGt
	}
	return opGe
}

// conditionsTerm joins a list of conditions with op, opAnd or opOr: the term that
// the same filter written as an expression makes. It is nil for no conditions and
// after a problem.
func (b *binder) conditionsTerm(op opcode, list []Condition) *term {
	operands := make([]*term, 0, len(list))
	for i := range list {
		if t := b.conditionTerm(&list[i]); t != nil {
			operands = append(operands, t)
		}
	}
	if len(operands) == 0 || len(operands) < len(list) {
		return nil
	}
	t, err := newLogic(op, operands...)
	if err != nil {
		b.invalid(list[0].node.parent, "%v", err)
		return nil
	}
	return t
}

func (b *binder) conditionTerm(c *Condition) *term {
	switch c.Op {
	case "and":
		return b.conditionsTerm(opAnd, c.Nested)
	case "or":
		return b.conditionsTerm(opOr, c.Nested)
	case "not":
		nested := b.conditionTerm(&c.Nested[0])
		if nested == nil {
			return nil
		}
		t, err := newTerm(&term{op: opNot, args: []*term{nested}})
		return b.made(c, t, err)
	}
	t, err := b.comparisonTerm(c)
	return b.made(c, t, err)
}

// made passes on a term or reports why condition c could not be made one.
func (b *binder) made(c *Condition, t *term, err error) *term {
	if err != nil {
		b.invalid(c.node, "%v", err)
		return nil
	}
	return t
}

func (b *binder) comparisonTerm(c *Condition) (*term, error) {
	if c.Op == "exists" {
		has, err := newField(b.names, opHas, c.Field)
		if err != nil || c.Values[0].Bool() {
			return has, err
		}
		return newTerm(&term{op: opNot, args: []*term{has}})
	}
	field, err := newField(b.names, opField, c.Field)
	switch {
	case err != nil:
		return nil, err
	case c.Op == "in":
		return newIn(field, c.Values)
	case c.Op == "contains":
		return newTerm(&term{op: opContains, args: []*term{field, literal(c.Values[0])}})
	}
	return newComparison(listOp(c.Op), field, literal(c.Values[0]))
}
