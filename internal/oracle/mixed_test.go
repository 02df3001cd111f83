package oracle

import (
	"encoding/binary"
	"strings"
	"testing"
)

// TestInFormatsReaches: the records of the cases are in all forms, and mean the same.
func TestInFormatsReaches(t *testing.T) {
	t.Parallel()
	reached := map[string]int{}
	most := 0
	for seed := range uint64(200) {
		c := Generate(seed)
		mixed := InFormats(c)
		most = max(most, len(mixed.Schemas))
		for p, log := range mixed.Logs {
			for offset, r := range log {
				before, ok := parseRecord(c.Logs[p][offset].Value)
				if after, still := parseRecord(r.Value); still && compare(before, after) != 0 && !before.blurred() {
					t.Fatalf("seed %d: %s has become %s", seed, c.Logs[p][offset].Value, r.Value)
				}
				switch {
				case r.Stored == nil && ok:
					reached["JSON"]++
				case r.Stored == nil:
					reached["damaged"]++
				case r.Value == nil:
					reached["cut"]++
				case mixed.Schemas[binary.BigEndian.Uint32(r.Stored[1:])-1].Language == "JSON":
					reached["framed JSON"]++
				default:
					reached["framed Avro"]++
				}
			}
		}
		for _, s := range mixed.Schemas {
			for _, word := range []string{"enum", "record", "map", "array", "float", "int", `["null","bytes"`} {
				if strings.Contains(s.Text, word) {
					reached[word]++
				}
			}
		}
	}
	for _, what := range []string{"JSON", "damaged", "cut", "framed JSON", "framed Avro", "enum", "record", "map", "array", "float", "int", `["null","bytes"`} {
		if reached[what] < 20 {
			t.Errorf("%s: %d times in 200 cases", what, reached[what])
		}
	}
	if most <= 64 {
		t.Errorf("a case has at most %d schemas: no decoder is ever dropped", most)
	}
	t.Log(reached, most)
}
