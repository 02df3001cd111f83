package queries

import "fmt"

// checkKinds is the set of kinds that operation t can evaluate to. The error says
// that t fails for every row, or is null for every row where that cannot be meant.
func checkKinds(t *term) (kindSet, error) {
	switch t.op {
	case opNot, opAnd, opOr:
		return checkLogic(t)
	case opEq, opNe, opIsNull, opNotNull, opIn:
		return kindBool, nil
	case opLt, opLe, opGt, opGe:
		return kindBool, checkOrder(t)
	case opContains, opStartsWith, opEndsWith, opMatches:
		for _, a := range t.args {
			if a.kinds.outside(kindText) {
				return 0, fmt.Errorf("%s needs strings, not %s", symbols[t.op].text, a.kinds)
			}
		}
		return kindBool, nil
	case opAdd, opSub, opMul, opDiv, opMod, opPow, opNeg:
		return checkArithmetic(t)
	case opIf:
		if t.args[0].kinds.outside(kindBool) {
			return 0, fmt.Errorf("the condition of ?: is %s, not a bool", t.args[0].kinds)
		}
		return t.args[1].kinds | t.args[2].kinds, nil
	case opCoalesce:
		a, b := t.args[0].kinds, t.args[1].kinds
		if a&kindNull != 0 {
			return a&^kindNull | b, nil
		}
		return a, nil
	case opCall:
		return checkCall(t)
	}
	return t.kinds, nil
}

func checkLogic(t *term) (kindSet, error) {
	kinds := kindBool
	for _, a := range t.args {
		if a.kinds.outside(kindBool) {
			return 0, fmt.Errorf("%s needs bools, not %s", symbols[t.op].text, a.kinds)
		}
		kinds |= a.kinds & kindNull
	}
	return kinds, nil
}

func checkOrder(t *term) error {
	a, b := t.args[0], t.args[1]
	for _, x := range t.args {
		if x.isNullLiteral() {
			return fmt.Errorf("%s with nil is never true; == nil and != nil test for null", symbols[t.op].text)
		}
		if x.kinds.outside(kindNumber | kindText | kindOther) {
			return fmt.Errorf("%s orders numbers and strings, not %s", symbols[t.op].text, x.kinds)
		}
	}
	for _, class := range []kindSet{kindNumber, kindText, kindOther} {
		if !a.kinds.outside(class) && !b.kinds.outside(class) {
			return nil
		}
	}
	return fmt.Errorf("%s cannot compare %s with %s", symbols[t.op].text, a.kinds, b.kinds)
}

func checkArithmetic(t *term) (kindSet, error) {
	result, null := kindNumber, kindSet(0)
	text := t.op == opAdd // every operand can be a string
	ints := true          // every operand is an int
	for _, a := range t.args {
		wanted := kindNumber
		switch t.op {
		case opAdd:
			wanted |= kindText
		case opMod:
			wanted = kindInt
		}
		if a.kinds.outside(wanted) {
			return 0, fmt.Errorf("%s needs %s, not %s", symbols[t.op].text, wanted, a.kinds)
		}
		null |= a.kinds & kindNull
		text = text && a.kinds&kindText != 0
		ints = ints && a.kinds&(kindFloat|kindText|kindOther|kindBool) == 0
	}
	if t.op == opAdd {
		a, b := t.args[0].kinds, t.args[1].kinds
		if a.outside(kindText) && b.outside(kindNumber) || a.outside(kindNumber) && b.outside(kindText) {
			return 0, fmt.Errorf("+ cannot add %s and %s", a, b)
		}
		if a.outside(kindNumber) || b.outside(kindNumber) {
			result = 0
		}
	}
	switch {
	case t.op == opDiv || t.op == opPow:
		result = kindFloat
	case t.op == opMod || ints:
		result &= kindInt
	}
	if text {
		result |= kindText
	}
	return result | null, nil
}

func checkCall(t *term) (kindSet, error) {
	f := t.call
	kinds := f.result
	for i, a := range t.args {
		if takes := f.kinds(i); a.kinds.outside(takes) {
			return 0, fmt.Errorf("%s takes %s, not %s", f.title(), takes, a.kinds)
		}
		kinds |= a.kinds & kindNull
	}
	return kinds, nil
}
