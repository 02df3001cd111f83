package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
)

func TestIDsAreGlobalAndDense(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	d.register("a", "x", 1, 1)
	d.register("b", "x", 1, 1)
	d.register("a", "x y?", 2, 2)
	d.register("a", "y?   x", 2, 2) // the same schema
	d.register("a", "x", 1, 1)
	d.register("c", "z", 3, 1)
	if id, err := d.LastID(t.Context()); err != nil || id != 3 {
		t.Error(id, err)
	}
	s, err := d.Schema(t.Context(), 2)
	if err != nil || s.Text != "x y?" || s.Type != Avro || s.ID != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = d.Schema(t.Context(), 4)
	d.refused(err, fault.NotFound, CodeSchemaNotFound)
	uses, err := d.Uses(t.Context(), 1, false)
	if err != nil || fmt.Sprint(uses) != "[{a 1 false} {b 1 false}]" {
		t.Error(uses, err)
	}
	v, err := d.Version(t.Context(), "a", Latest, false)
	if err != nil || v.Number != 2 || v.Schema.ID != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = d.Version(t.Context(), "a", 7, false)
	d.refused(err, fault.NotFound, CodeVersionNotFound)
	_, err = d.Version(t.Context(), "none", 1, false)
	d.refused(err, fault.NotFound, CodeSubjectNotFound)
	found, err := d.Lookup(t.Context(), "a", Draft{Text: "y? x"}, false)
	if err != nil || found.Number != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	_, err = d.Lookup(t.Context(), "b", Draft{Text: "y? x"}, false)
	d.refused(err, fault.NotFound, CodeSchemaNotFound)
	_, err = d.Lookup(t.Context(), "none", Draft{Text: "x"}, false)
	d.refused(err, fault.NotFound, CodeSubjectNotFound)
	_, err = d.Register(t.Context(), "a", Draft{Text: "bad"})
	d.refused(err, fault.Unprocessable, CodeInvalidSchema)
	_, err = d.Register(t.Context(), "a", Draft{Text: "x", Type: "XML"})
	d.refused(err, fault.Unprocessable, CodeInvalidSchema)
	for _, name := range []string{"", "a\nb", "a\x00", strings.Repeat("s", 513), "\xff"} {
		_, err = d.Register(t.Context(), name, Draft{Text: "x"})
		d.refused(err, fault.Unprocessable, CodeInvalidSubject)
	}
	list, err := d.All(t.Context(), "", false, false, func(s string) bool { return s != "b" }, 1, 2)
	if err != nil || len(list) != 2 || list[0].Number != 2 || list[1].Subject != "c" {
		t.Errorf("%+v, %v", list, err)
	}
	d.sound()
}

func TestDeletes(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	ctx := t.Context()
	d.register("a", "x", 1, 1)
	d.register("a", "x y?", 2, 2)
	d.register("a", "x y? z?", 3, 3)

	_, err := d.DeleteVersion(ctx, "a", 2, true)
	d.refused(err, fault.NotFound, CodeVersionNotDeleted)
	if n, err := d.DeleteVersion(ctx, "a", 2, false); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	_, err = d.DeleteVersion(ctx, "a", 2, false)
	d.refused(err, fault.NotFound, CodeVersionDeleted)
	_, err = d.Version(ctx, "a", 2, false)
	d.refused(err, fault.NotFound, CodeVersionNotFound)
	if v, err := d.Version(ctx, "a", 2, true); err != nil || !v.Deleted {
		t.Fatal(v, err)
	}
	for hidden, want := range map[Hidden]string{WithoutDeleted: "[1 3]", WithDeleted: "[1 2 3]", OnlyDeleted: "[2]"} {
		if n, err := d.Numbers(ctx, "a", hidden); err != nil || fmt.Sprint(n) != want {
			t.Errorf("%d: %v, %v", hidden, n, err)
		}
	}
	if _, err := d.Schema(ctx, 2); err != nil {
		t.Errorf("the id of a deleted version: %v", err)
	}
	d.register("a", "x y?", 2, 4) // again: the same id, another version
	if n, err := d.DeleteVersion(ctx, "a", Latest, false); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	for _, number := range []int{2, 4} {
		if n, err := d.DeleteVersion(ctx, "a", number, true); n != number || err != nil {
			t.Fatal(n, err)
		}
	}
	_, err = d.Schema(ctx, 2)
	d.refused(err, fault.NotFound, CodeSchemaNotFound)
	d.sound()

	if err := d.SetLevel(ctx, "a", LevelNone); err != nil {
		t.Fatal(err)
	}
	_, err = d.DeleteSubject(ctx, "a", true)
	d.refused(err, fault.NotFound, CodeSubjectNotDeleted)
	if n, err := d.DeleteSubject(ctx, "a", false); err != nil || fmt.Sprint(n) != "[1 3]" {
		t.Fatal(n, err)
	}
	_, err = d.Level(ctx, "a", false)
	d.refused(err, fault.NotFound, CodeNoSubjectLevel)
	_, err = d.DeleteSubject(ctx, "a", false)
	d.refused(err, fault.NotFound, CodeSubjectDeleted)
	for hidden, want := range map[Hidden]string{WithoutDeleted: "[]", WithDeleted: "[a]", OnlyDeleted: "[a]"} {
		if n, err := d.Subjects(ctx, "", hidden); err != nil || fmt.Sprint(n) != want {
			t.Errorf("%d: %v, %v", hidden, n, err)
		}
	}
	if n, err := d.DeleteSubject(ctx, "a", true); err != nil || fmt.Sprint(n) != "[1 3]" {
		t.Fatal(n, err)
	}
	_, err = d.DeleteSubject(ctx, "a", true)
	d.refused(err, fault.NotFound, CodeSubjectNotFound)
	if len(d.docs.docs) != 1 {
		t.Errorf("left over: %v", d.docs.docs)
	}
	d.register("a", "x", 4, 1) // an id is never given out again
	d.sound()
}

func TestReferences(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{References: 3})
	ctx := t.Context()
	d.register("base", "b", 1, 1)
	d.register("mid", "m", 2, 1, Reference{"B", "base", 1})
	d.register("top", "t", 3, 1, Reference{"M", "mid", Latest}, Reference{"B", "base", 1})
	s, err := d.ByID(3)
	if err != nil || fmt.Sprint(s.Sources) != "[{B b} {M m}]" || fmt.Sprint(s.References) != "[{M mid 1} {B base 1}]" {
		t.Fatalf("%+v, %v", s, err)
	}
	// The same text with other references is another schema; their order does not count.
	d.register("top", "t", 3, 1, Reference{"B", "base", 1}, Reference{"M", "mid", 1})
	if err := d.SetLevel(ctx, "", LevelNone); err != nil {
		t.Fatal(err)
	}
	d.register("top", "t", 4, 2, Reference{"M", "mid", 1})
	ids, err := d.ReferencedBy(ctx, "base", Latest, false)
	if err != nil || fmt.Sprint(ids) != "[2 3]" {
		t.Fatal(ids, err)
	}

	for _, bad := range [][]Reference{
		{{"B", "base", 2}}, {{"B", "none", 1}}, {{"", "base", 1}}, {{"B", "", 1}}, {{"B", "base", 0}}, {{"M", "mid", 1}, {"B", "top", 1}},
	} {
		_, err := d.Register(ctx, "bad", Draft{Text: "x", References: bad})
		d.refused(err, fault.Unprocessable, CodeInvalidSchema)
	}
	d.register("deep", "1", 5, 1, Reference{"T", "top", 1})
	_, err = d.Register(ctx, "deeper", Draft{Text: "x", References: []Reference{{"D", "deep", 1}}})
	d.refused(err, fault.Unprocessable, CodeInvalidSchema)

	_, err = d.DeleteVersion(ctx, "base", 1, false)
	d.refused(err, fault.Unprocessable, CodeReferenceExists)
	_, err = d.DeleteSubject(ctx, "base", false)
	d.refused(err, fault.Unprocessable, CodeReferenceExists)
	for _, subject := range []string{"deep", "top", "mid", "base"} {
		if _, err := d.DeleteSubject(ctx, subject, false); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := d.ReferencedBy(ctx, "base", 1, false); err != nil || len(ids) != 0 {
		t.Error(ids, err)
	}
	_, err = d.DeleteSubject(ctx, "base", true)
	d.refused(err, fault.Unprocessable, CodeReferenceExists)
	for _, subject := range []string{"deep", "top", "mid", "base"} {
		if _, err := d.DeleteSubject(ctx, subject, true); err != nil {
			t.Fatal(err)
		}
		d.sound()
	}
	if len(d.docs.docs) != 2 { // the head and the level
		t.Errorf("left over: %v", d.docs.docs)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	const one, two = "a b? c?", "a b?"
	for level, want := range map[Level][2]string{ // which of these may follow one and two
		LevelNone:               {"a|a b|a b?|z", ""},
		LevelBackward:           {"a|a b|a b?", "z"},
		LevelForward:            {"a|a b|a b?|a z", "z|b"},
		LevelFull:               {"a|a b|a b?", "z|a z"},
		LevelBackwardTransitive: {"a b|a b c?", "c"},
		LevelForwardTransitive:  {"a|a z", "z|b"},
		LevelFullTransitive:     {"a|a z?", "z"},
	} {
		d := newDesk(t, Limits{})
		d.register("s", one, 1, 1)
		d.register("s", two, 2, 2)
		if err := d.SetLevel(t.Context(), "s", level); err != nil {
			t.Fatal(err)
		}
		for i, drafts := range want {
			for _, text := range strings.Split(drafts, "|") {
				if text == "" {
					continue
				}
				ok, reasons, err := d.Check(t.Context(), "s", 0, Draft{Text: text})
				if err != nil || ok != (i == 0) || ok != (len(reasons) == 0) {
					t.Errorf("%s %q: %v %v %v", level, text, ok, reasons, err)
				}
			}
		}
	}
}

// Transitive levels look at all versions, the others at the last.
func TestTransitive(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	ctx := t.Context()
	d.register("s", "a", 1, 1)
	d.register("s", "a b?", 2, 2)
	for i, level := range []Level{LevelBackward, LevelBackwardTransitive} {
		want := i == 0
		if err := d.SetLevel(ctx, "", level); err != nil {
			t.Fatal(err)
		}
		ok, reasons, err := d.Check(ctx, "s", 0, Draft{Text: "a b"})
		if err != nil || ok != want {
			t.Errorf("%s: %v %v %v", level, ok, reasons, err)
		}
		if !ok && strings.Join(reasons, "; ") != "no b; {oldSchemaVersion: 1}; {oldSchema: 'a'}; {compatibility: 'BACKWARD_TRANSITIVE'}" {
			t.Errorf("reasons: %q", reasons)
		}
	}
	_, err := d.Register(ctx, "s", Draft{Text: "a b"})
	d.refused(err, fault.Conflict, CodeIncompatible)
	if ok, _, err := d.Check(ctx, "s", 2, Draft{Text: "a b"}); err != nil || !ok {
		t.Error("version 2 alone:", ok, err)
	}
	if ok, _, err := d.Check(ctx, "none", Latest, Draft{Text: "a b"}); err != nil || !ok {
		t.Error("a subject that is not there:", ok, err)
	}
	_, _, err = d.Check(ctx, "none", 3, Draft{Text: "a b"})
	d.refused(err, fault.NotFound, CodeSubjectNotFound)
	if _, err := d.DeleteVersion(ctx, "s", 1, false); err != nil {
		t.Fatal(err)
	}
	d.register("s", "a b", 3, 3) // a deleted version is no longer asked
	if ok, reasons, err := d.Check(ctx, "s", 0, Draft{Type: JSON, Text: "{}"}); err != nil || ok || !strings.Contains(reasons[0], "SCHEMA_TYPE") {
		t.Error("another type:", ok, reasons, err)
	}
	d.sound()
}

func TestSettings(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	ctx := t.Context()
	if level, err := d.Level(ctx, "", false); err != nil || level != LevelBackward {
		t.Error(level, err)
	}
	_, err := d.Level(ctx, "s", false)
	d.refused(err, fault.NotFound, CodeNoSubjectLevel)
	d.refused(d.SetLevel(ctx, "s", "SIDEWAYS"), fault.Unprocessable, CodeInvalidLevel)
	if err := d.SetLevel(ctx, "", LevelFull); err != nil {
		t.Fatal(err)
	}
	if level, err := d.Level(ctx, "s", true); err != nil || level != LevelFull {
		t.Error(level, err)
	}
	if err := d.SetLevel(ctx, "s", LevelNone); err != nil {
		t.Fatal(err)
	}
	if was, err := d.ResetLevel(ctx, "s"); err != nil || was != LevelNone {
		t.Error(was, err)
	}
	_, err = d.ResetLevel(ctx, "s")
	d.refused(err, fault.NotFound, CodeNoSubjectLevel)
	if was, err := d.ResetLevel(ctx, ""); err != nil || was != LevelFull {
		t.Error(was, err)
	}

	_, err = d.Mode(ctx, "s", false)
	d.refused(err, fault.NotFound, CodeNoSubjectMode)
	d.refused(d.SetMode(ctx, "s", "WHATEVER", false), fault.Unprocessable, CodeInvalidMode)
	d.register("s", "a", 1, 1)
	if err := d.SetMode(ctx, "", ReadOnly, false); err != nil {
		t.Fatal(err)
	}
	d.register("s", "a", 1, 1) // it is there
	_, err = d.Register(ctx, "s", Draft{Text: "a b?"})
	d.refused(err, fault.Unprocessable, CodeNotPermitted)
	_, err = d.DeleteSubject(ctx, "s", false)
	d.refused(err, fault.Unprocessable, CodeNotPermitted)
	if err := d.SetMode(ctx, "s", ReadWrite, false); err != nil {
		t.Fatal(err)
	}
	d.register("s", "a b?", 2, 2)
	if err := d.SetMode(ctx, "", ReadOnlyOverride, false); err != nil {
		t.Fatal(err)
	}
	_, err = d.Register(ctx, "s", Draft{Text: "a c?"})
	d.refused(err, fault.Unprocessable, CodeNotPermitted)
	if was, err := d.ResetMode(ctx, ""); err != nil || was != ReadOnlyOverride {
		t.Error(was, err)
	}
	if was, err := d.ResetMode(ctx, "s"); err != nil || was != ReadWrite {
		t.Error(was, err)
	}
	_, err = d.ResetMode(ctx, "s")
	d.refused(err, fault.NotFound, CodeNoSubjectMode)
}

func TestImport(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	ctx := t.Context()
	d.register("s", "a", 1, 1)
	_, err := d.Register(ctx, "t", Draft{Text: "a", ID: 1})
	d.refused(err, fault.Unprocessable, CodeNotPermitted)
	_, err = d.Register(ctx, "s", Draft{Text: "a b?", Version: 3})
	d.refused(err, fault.Unprocessable, CodeInvalidSchema)
	d.refused(d.SetMode(ctx, "", Import, false), fault.Unprocessable, CodeNotPermitted)
	d.refused(d.SetMode(ctx, "s", Import, false), fault.Unprocessable, CodeNotPermitted)
	if err := d.SetMode(ctx, "t", Import, false); err != nil {
		t.Fatal(err)
	}
	_, err = d.Register(ctx, "t", Draft{Text: "q"})
	d.refused(err, fault.Unprocessable, CodeNotPermitted)
	take := func(text string, id, version int) error {
		v, err := d.Register(ctx, "t", Draft{Text: text, ID: id, Version: version})
		if err == nil && (v.Schema.ID != id || v.Number != version) {
			t.Errorf("%q: %+v", text, v)
		}
		d.sound()
		return err
	}
	for _, c := range []struct {
		text        string
		id, version int
	}{{"q", 100, 7}, {"q", 100, 7}, {"z", 50, 3}, {"z", 51, 4}, {"a", 1, 5}} {
		if err := take(c.text, c.id, c.version); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	d.refused(take("other", 100, 8), fault.Unprocessable, CodeNotPermitted)
	d.refused(take("other", 101, 7), fault.Unprocessable, CodeNotPermitted)
	d.refused(take("other", maxID+1, 8), fault.Unprocessable, CodeInvalidSchema)
	if n, err := d.Numbers(ctx, "t", WithoutDeleted); err != nil || fmt.Sprint(n) != "[3 4 5 7]" {
		t.Error(n, err)
	}
	// A deleted version may be replaced.
	if _, err := d.DeleteVersion(ctx, "t", 7, false); err != nil {
		t.Fatal(err)
	}
	if err := take("r", 102, 7); err != nil {
		t.Fatal(err)
	}
	_, err = d.Schema(ctx, 100)
	d.refused(err, fault.NotFound, CodeSchemaNotFound)
	if _, err := d.ResetMode(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	d.register("s", "a n?", 103, 2)
	d.register("u", "z", 50, 1)
	d.sound()
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{SchemaBytes: 10, TotalBytes: 12, Subjects: 2, Versions: 2})
	ctx := t.Context()
	_, err := d.Register(ctx, "s", Draft{Text: strings.Repeat("x", 11)})
	d.refused(err, fault.Unprocessable, CodeSchemaTooLarge)
	d.register("s", "a", 1, 1)
	d.register("s", "a b?", 2, 2)
	_, err = d.Register(ctx, "s", Draft{Text: "a c?"})
	d.refused(err, fault.Exhausted, codeQuota)
	_, err = d.Register(ctx, "t", Draft{Text: "12345678"})
	d.refused(err, fault.Exhausted, codeQuota)
	d.register("t", "1234567", 3, 1)
	_, err = d.Register(ctx, "u", Draft{Text: "a"})
	d.refused(err, fault.Exhausted, codeQuota)
	for _, permanent := range []bool{false, true} {
		if _, err := d.DeleteSubject(ctx, "t", permanent); err != nil {
			t.Fatal(err)
		}
	}
	d.register("u", "a", 1, 1)
	for _, subject := range []string{"1", "2"} {
		if err := d.SetLevel(ctx, subject, LevelFull); err != nil {
			t.Fatal(err)
		}
	}
	d.refused(d.SetLevel(ctx, "3", LevelFull), fault.Exhausted, codeQuota)
	d.sound()
}

// A change that was made meanwhile, on another node, is taken into account.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	other := over(d.docs, Limits{})
	d.docs.between = func() {
		if _, err := other.Register(context.Background(), "a", Draft{Text: "x"}); err != nil {
			t.Error(err)
		}
	}
	d.register("b", "x", 1, 1)
	d.docs.between = func() {
		if err := other.SetMode(context.Background(), "", ReadOnly, false); err != nil {
			t.Error(err)
		}
	}
	_, err := d.Register(t.Context(), "b", Draft{Text: "x y?"})
	d.refused(err, fault.Unprocessable, CodeNotPermitted)
	if _, err := d.ResetMode(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 40 {
		r := d.Registry
		if i%2 == 1 {
			r = other
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			if _, err := r.Register(context.Background(), fmt.Sprint("many", i%10), Draft{Text: fmt.Sprint("w", i%10)}); err != nil {
				t.Error(err)
			}
		}()
	}
	wait.Wait()
	if id, err := d.LastID(t.Context()); err != nil || id != 11 {
		t.Error(id, err)
	}
	d.sound()
}

func TestLocalView(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	before, changed := d.Changed()
	d.register("s", "a", 1, 1)
	<-changed
	after, _ := d.Changed()
	if after == before {
		t.Error("the state is the same after a change")
	}
	d.register("s", "a b?", 2, 2)
	if _, err := d.DeleteVersion(t.Context(), "s", 2, false); err != nil {
		t.Fatal(err)
	}
	d.docs.refusal = fault.New(fault.Unavailable, "no_quorum", "nobody is there")
	first, err1 := d.ByID(2)
	again, err2 := d.ByID(2)
	if err1 != nil || err2 != nil || first != again || first.Text != "a b?" {
		t.Errorf("%p %p %v %v", first, again, err1, err2)
	}
	if v, err := d.At("s", Latest); err != nil || v.Number != 1 {
		t.Errorf("%+v %v", v, err)
	}
	_, err := d.At("s", 2)
	d.refused(err, fault.NotFound, CodeVersionNotFound)
	if list, err := d.Every("s"); err != nil || len(list) != 2 || !list[1].Deleted {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := d.Every("none"); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	_, err = d.Version(t.Context(), "s", 1, false)
	d.refused(err, fault.Unavailable, "no_quorum")
	d.docs.docs[idKey(1)] = bus.Doc{Key: idKey(1), Value: []byte("{"), Version: 99}
	_, err = d.ByID(1)
	d.refused(err, fault.Corrupt, codeCorrupt)
}

func TestVersionNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"1": 1, "2147483647": 1<<31 - 1, "latest": Latest, "-1": Latest} {
		if n, err := ParseVersion(text); err != nil || n != want {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "0", "-2", "+1", "1.0", "2147483648", "earliest", "LATEST", " 1"} {
		if _, err := ParseVersion(text); fault.KindOf(err) != fault.Unprocessable {
			t.Errorf("%q: %v", text, err)
		}
	}
	for subject, want := range map[string]string{"orders-value": "orders", "orders-key": "orders", "orders": "orders", "a-value-key": "a-value"} {
		if got := Topic(subject); got != want {
			t.Errorf("%q: %q", subject, got)
		}
	}
	if !slices.Equal(over(newFakeDocs(), Limits{}).Types(), []Type{Avro, JSON}) {
		t.Error("types")
	}
}
