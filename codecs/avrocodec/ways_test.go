package avrocodec

import (
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

// TestManyWays: branches of unions that lead to each other are as many ways as there are
// branches to the power of the steps of a path. A decoder and the types of the path are
// made at the cost of the steps.
func TestManyWays(t *testing.T) {
	t.Parallel()
	const steps = 40
	loop := func(v string) string {
		return `{"type":"record","name":"A","fields":[
			{"name":"n","type":["null","A",{"type":"record","name":"B","fields":[
				{"name":"n","type":["null","A","B"]},{"name":"v","type":"` + v + `"}]}]}]}`
	}
	s := parse(t, loop("long"))
	paths := codecstest.Paths(t, strings.Repeat("n.", steps)+"v", strings.Repeat("n.", steps)+"n", strings.Repeat("n.", steps-1)+"n")
	for _, p := range paths {
		if kinds, err := s.TypeOf(p); err != nil || !kinds.Has(codecs.Missing) {
			t.Errorf("%v: %v %v", p, kinds, err)
		}
	}
	if typ, err := s.TypeAt(paths[0]); err != nil || !typ.Kinds.Has(codecs.Int) {
		t.Errorf("%v: %v %v", paths[0], typ, err)
	}
	if typ, err := s.TypeAt(paths[1]); err != nil || !typ.Kinds.Has(codecs.Object) {
		t.Errorf("%v: %v %v", paths[1], typ, err)
	}
	reader := parse(t, loop("int"))
	d, misfits, err := NewFittingDecoder(s, reader, paths)
	if err != nil || len(misfits) != 1 {
		t.Fatal(misfits, err)
	}
	row := `{"B":{"n":null,"v":7}}`
	for k := range steps - 1 {
		row = `{"` + []string{"A", "B"}[k%2] + `":{"n":` + row + []string{"", `,"v":1`}[k%2] + `}}`
	}
	record, err := NewEncoder(s).AppendJSON(nil, []byte(`{"n":`+row+`}`))
	if err != nil {
		t.Fatal(err)
	}
	cells, reason := codecstest.One(d, record)
	if reason != "" || !same(cells[0], codecs.IntValue(7)) || !same(cells[1], codecs.NullValue()) {
		t.Errorf("%v (%s)", cells, reason)
	}
}
