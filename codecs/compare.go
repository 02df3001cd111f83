package codecs

import (
	"bytes"
	"cmp"
	"math"
	"strings"
)

// Compare orders values as AppendKey does: null < false < true < numbers < strings <
// bytes < arrays < objects, with Missing equal to Null. Numbers compare by exact
// value across Int and Float; -0 equals 0, and NaN equals itself and is above every
// other number. Strings and bytes order bytewise. Arrays order element by element,
// objects as the list of their members sorted by name; white space, member order,
// escapes and number notation do not count. It is 0 exactly where the keys are equal.
//
// It allocates only for two arrays or two objects.
func Compare(a, b Value) int {
	if ra, rb := rank(a.Kind), rank(b.Kind); ra != rb {
		return cmp.Compare(ra, rb)
	}
	switch a.Kind {
	case Bool:
		return cmp.Compare(a.Num, b.Num)
	case Int:
		if b.Kind == Int {
			return cmp.Compare(int64(a.Num), int64(b.Num))
		}
		return compareIntFloat(int64(a.Num), b.Float())
	case Float:
		if b.Kind == Int {
			return -compareIntFloat(int64(b.Num), a.Float())
		}
		return compareFloats(a.Float(), b.Float())
	case String, Bytes:
		return strings.Compare(a.Str, b.Str)
	case Object, Array:
		return bytes.Compare(AppendKey(nil, a), AppendKey(nil, b))
	}
	return 0
}

// rank is the kind's place in the order; kinds of equal rank compare by value.
func rank(k Kind) int {
	switch k {
	case Missing, Null:
		return 0
	case Bool:
		return 1
	case Int, Float:
		return 2
	case String:
		return 3
	case Bytes:
		return 4
	}
	return 5
}

func compareFloats(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case x == y:
		return 0
	}
	return cmp.Compare(nanRank(x), nanRank(y))
}

func nanRank(f float64) int {
	if math.IsNaN(f) {
		return 1
	}
	return 0
}

const twoTo63 = 1 << 63 // exact as a float64

func compareIntFloat(i int64, f float64) int {
	switch {
	case math.IsNaN(f) || f >= twoTo63:
		return -1
	case f < -twoTo63:
		return 1
	}
	whole := math.Trunc(f)
	if c := cmp.Compare(i, int64(whole)); c != 0 {
		return c
	}
	return cmp.Compare(whole, f)
}
