package codecs

import "testing"

func TestMemberErrorNamesThePath(t *testing.T) {
	t.Parallel()
	e := &MemberError{Reason: "it is wrong"}
	if got, want := e.Error(), "the row: it is wrong"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	e = e.Within(Step{Member: "c"}).Within(Step{Index: 2, IsIndex: true}).Within(Step{Member: "odd name"}).Within(Step{Member: "a"})
	if got, want := e.Error(), `member "a[\"odd name\"][2].c": it is wrong`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
