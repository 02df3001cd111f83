package oracle

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/log"
	"leat/queries/fakebus"
)

// unequalSides is a join of so many rows with a thousandth of them.
func unequalSides(rows int) *Case {
	q := &Query{Name: "q", Topic: "fast", EventTime: field("t"), Join: &Join{
		Type: "full", On: [][2]*Expr{{field("k"), field("k")}}, Before: 50, After: 50, Topic: "in", EventTime: field("t"),
	}}
	c := &Case{Query: q, Logs: make([][]Record, 2), Left: 1}
	random := rand.New(rand.NewPCG(1, 2))
	keys := rand.NewZipf(random, 1.2, 1, 1000)
	for i := range rows {
		c.Logs[0] = append(c.Logs[0], records(fmt.Sprintf(`{"t":%d,"k":%d,"text":"some more bytes of a row"}`, i, keys.Uint64()))...)
		if i%1000 == 999 {
			c.Logs[1] = append(c.Logs[1], records(fmt.Sprintf(`{"t":%d,"k":0}`, i))...)
		}
	}
	return c
}

// TestSemantics06JoinOfUnequalSides: one side of a join has 1000 times the rows of the
// other, most of them of a few keys, and the other side is paused in the beginning. The
// state stays at its bound, and once the other side goes on the joined rows are the
// oracle's.
func TestSemantics06JoinOfUnequalSides(t *testing.T) {
	t.Parallel()
	const rows, bound = 20_000, 300_000
	c := unequalSides(rows)
	b := &paused{Bus: fakebus.New(), waits: make(chan waiting)}
	for _, topic := range []string{"fast", "in"} {
		if err := b.CreateTopic(topic, 1); err != nil {
			t.Fatal(err)
		}
	}
	most := watchState(t, b)
	for _, r := range c.Logs[0] {
		if err := b.Append("fast", 0, r.Value); err != nil {
			t.Fatal(err)
		}
	}
	stop, ended := b.begin(t, c.Query, bound)
	defer stop()

	b.until(t, waiting{0, 0})
	if read := standingOf(t, b)[0].Offset; read < 500 || read > rows/2 {
		t.Errorf("%d rows of the fast side were read while the other one was paused", read)
	}
	for i, r := range c.Logs[1] {
		if err := b.Append("in", 0, r.Value); err != nil {
			t.Fatal(err)
		}
		b.until(t, waiting{0, log.Offset(i + 1)})
	}
	stop()
	b.finish(t, c, ended, *most, bound)
}
