package oracle

import "testing"

// TestInVersionsReaches: records are written in all the ways in which schemas differ.
func TestInVersionsReaches(t *testing.T) {
	t.Parallel()
	reached := map[string]int{}
	for seed := range uint64(100) {
		_, wrote := InVersions(Generate(seed))
		for what := range wrote {
			reached[what]++
		}
	}
	for _, what := range []string{"JSON", "alias", "default", "symbol", "unused", "gone", "misfit", "foreign", "dead letter"} {
		if reached[what] < 10 {
			t.Errorf("%s: in %d of 100 cases", what, reached[what])
		}
	}
	t.Log(reached)
}
