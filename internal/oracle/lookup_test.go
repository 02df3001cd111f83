package oracle

import (
	"errors"
	"strings"
	"testing"
)

func TestHeldValue(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for text, good := range map[string]bool{
		`1`: true, `"a"`: true, `{}`: true, ` {"x":` + nested(511) + "} ": true, nested(511): true,
		``: false, `{`: false, `{"x":` + nested(512) + "}": false, nested(512): false, `1e400`: false,
	} {
		if _, ok := heldValue(text); ok != good {
			t.Errorf("%.40q can be looked up: %v", text, ok)
		}
	}
}

// TestSeeds runs the cases that once made a difference, as long as the generator makes the
// same of their seeds.
func TestSeeds(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{
		2006795, 3007401, 22014953, // keys and counted values hold objects that nest as deep as may be
		22018870, // hopping windows over append times beyond the range of event times, restored
	} {
		if _, _, err := checkBoth(t.Context(), Generate(seed)); err != nil && !errors.Is(err, errRefused) {
			t.Error(explain(t.Context(), seed, err))
		}
	}
}
