package codecs

import (
	"fmt"
	"slices"
	"strings"
)

// KindSet is a set of kinds: what a schema says the cells of a path can be. A member
// Missing means that a row may lack the path, Null that it may be an explicit null.
type KindSet uint16

// AnyKind is the set of all kinds: what is known without a schema.
const AnyKind KindSet = 1<<(Array+1) - 1

// Kinds is the set of the given kinds.
func Kinds(kinds ...Kind) KindSet {
	var s KindSet
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in the set.
func (s KindSet) Has(k Kind) bool { return s>>k&1 != 0 }

// Nullable reports whether a cell may be Null or Missing.
func (s KindSet) Nullable() bool { return s.Has(Null) || s.Has(Missing) }

// Values is the set without Null and Missing.
func (s KindSet) Values() KindSet { return s &^ Kinds(Null, Missing) }

// String lists the kinds as an error message does: "int, float or null".
func (s KindSet) String() string {
	var names []string
	for _, k := range []Kind{Bool, Int, Float, String, Bytes, Object, Array, Null, Missing} {
		if s.Has(k) {
			names = append(names, k.String())
		}
	}
	switch n := len(names); n {
	case 0:
		return "nothing"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
}

// NoFieldError says that no record of a schema has a value at a path.
type NoFieldError struct {
	Path Path
	// Step is the index of the step that leads nowhere.
	Step int
	// Reason says why if the value before the step is no object or array, else it is
	// empty.
	Reason string
	// Nearest are up to three names that exist there and resemble the one asked for.
	Nearest []string
}

// Error names the path, the step and the names that resemble it.
func (e *NoFieldError) Error() string {
	before := NewPath(e.Path.Steps()[:e.Step]...).String()
	switch {
	case e.Reason != "":
		return fmt.Sprintf("no field %q: %s", e.Path, e.Reason)
	case before == "":
		return fmt.Sprintf("no field %q in the schema%s", e.Path, e.nearest())
	}
	return fmt.Sprintf("no field %q in the schema: %q has no such field%s", e.Path, before, e.nearest())
}

func (e *NoFieldError) nearest() string {
	if len(e.Nearest) == 0 {
		return ""
	}
	quoted := make([]string, len(e.Nearest))
	for i, name := range e.Nearest {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return "; did you mean " + strings.Join(quoted, ", ") + "?"
}

// NearestNames are up to three of names that resemble name, the nearest first: equal
// but for case, or a few insertions, deletions, substitutions and swaps away.
func NearestNames(name string, names []string) []string {
	type ranked struct {
		name     string
		distance int
	}
	var near []ranked
	limit := 1 + len(name)/4
	for _, other := range names {
		if len(other) > len(name)+limit || len(name) > len(other)+limit {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(other)); d <= limit {
			near = append(near, ranked{other, d})
		}
	}
	slices.SortStableFunc(near, func(a, b ranked) int { return a.distance - b.distance })
	found := make([]string, 0, 3)
	for _, r := range near[:min(3, len(near))] {
		found = append(found, r.name)
	}
	return found
}

// editDistance counts single-byte edits and swaps of neighbours between a and b.
// Algorithm: optimal string alignment distance.
func editDistance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
