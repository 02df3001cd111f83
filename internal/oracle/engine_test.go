package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// gcPercent is for many short cases that leave nothing behind: collecting after every few
// MB takes more time than it saves memory.
const gcPercent = 800

// versionsEvery is how many cases there are to one that is also written in versions of a
// schema, which takes as long as ten that are not.
const versionsEvery = 8

// TestOracle holds the engine against the oracle, each case in JSON, again in mixed
// formats with schemas that change from record to record, and some once more with records
// that are written with other versions of the query's schema. LEAT_ORACLE_CASES says over how many
// cases, LEAT_ORACLE_SEED which one is the first.
func TestOracle(t *testing.T) {
	t.Parallel()
	debug.SetGCPercent(gcPercent)
	cases, first := uint64(defaultCases), uint64(1)
	for name, into := range map[string]*uint64{"LEAT_ORACLE_CASES": &cases, "LEAT_ORACLE_SEED": &first} {
		if s := os.Getenv(name); s != "" {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			*into = n
		}
	}
	var next, refused, untyped, failed atomic.Uint64
	var passedOver, tooLate, takenBack atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := next.Add(1) - 1; n < cases && failed.Load() < 3; n = next.Add(1) - 1 {
				c := Generate(first + n)
				with, got, err := checkBoth(t.Context(), c)
				if got != nil && slices.ContainsFunc(got.keys, isWithdrawal) {
					takenBack.Add(1)
				}
				if got != nil && len(got.marks) > 0 {
					without := Evaluate(c)
					passedOver.Add(min(1, uint64(max(0, len(with.Rows)-len(without.Rows)))))
					tooLate.Add(min(1, uint64(max(0, with.Counts.Late-without.Counts.Late))))
				}
				switch {
				case errors.Is(err, errUntyped):
					untyped.Add(1)
				case errors.Is(err, errRefused):
					refused.Add(1)
				case err != nil:
					failed.Add(1)
					t.Error(explain(t.Context(), first+n, err))
				}
			}
		})
	}
	workers.Wait()
	if r := refused.Load(); cases >= 100 && r > cases/10 {
		t.Errorf("%d of %d queries were refused: the generator makes too few that run", r, cases)
	}
	if u := untyped.Load(); cases >= defaultCases && u > cases/versionsEvery/2 {
		t.Errorf("%d of %d queries were refused over a schema", u, cases/versionsEvery)
	}
	if cases >= defaultCases && (passedOver.Load() == 0 || tooLate.Load() == 0) {
		t.Errorf("idle marks closed windows in %d cases and made rows late in %d", passedOver.Load(), tooLate.Load())
	}
	if cases >= defaultCases && takenBack.Load() == 0 {
		t.Error("rows were withdrawn in no case")
	}
	t.Logf("idle marks closed windows in %d cases and made rows late in %d; rows were withdrawn in %d; %d were refused over a schema",
		passedOver.Load(), tooLate.Load(), takenBack.Load(), untyped.Load())
}

// FuzzOracle is TestOracle with seeds chosen by what they reach.
func FuzzOracle(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		if _, _, err := checkBoth(t.Context(), Generate(seed)); err != nil && !errors.Is(err, errRefused) {
			t.Fatal(explain(t.Context(), seed, err))
		}
	})
}

// checkBoth runs a case as it is, in several formats and, if it is one of those, in
// versions of a schema, and returns what it had to give and what the first run has left
// behind.
func checkBoth(ctx context.Context, c *Case) (*Outcome, *observed, error) {
	want, got, err := check(ctx, c)
	if err == nil {
		_, _, err = check(ctx, InFormats(c))
	}
	if err == nil && c.Seed%versionsEvery == 0 {
		versions, _ := InVersions(c)
		if _, _, err = check(ctx, versions); errors.Is(err, errRefused) {
			err = fmt.Errorf("%w: %w", errUntyped, err)
		}
	}
	return want, got, err
}

// errUntyped says that a query runs over records of any shape, and not over those of the
// schema that has been made for it.
var errUntyped = errors.New("not over types")

// check runs a case on one schedule of its seed, and returns what it had to give and what
// it has left behind, nil where it did not run.
func check(ctx context.Context, c *Case) (*Outcome, *observed, error) {
	got, err := runEngine(ctx, c, newSchedule(c))
	if err != nil {
		return nil, nil, err
	}
	want := Evaluate(c, got.marks...)
	return want, got, difference(c, want, got)
}

// explain shrinks a failing case and prints it with the command that reruns it.
func explain(ctx context.Context, seed uint64, err error) string {
	fails := func(c *Case) bool {
		_, _, err := check(ctx, c)
		return err != nil && !errors.Is(err, errRefused)
	}
	c := Generate(seed)
	for _, in := range []func() *Case{func() *Case { return InFormats(Generate(seed)) }, func() *Case { c, _ := InVersions(Generate(seed)); return c }} {
		if !fails(c) {
			c = in()
		}
	}
	c = Shrink(c, fails)
	_, _, left := check(ctx, c)
	return fmt.Sprintf("seed %d: %v\n\nshrunk: %v\n%s\n%+v\nrerun with: LEAT_ORACLE_SEED=%d LEAT_ORACLE_CASES=1 go test -run '^TestOracle$' ./internal/oracle",
		seed, err, left, c, newSchedule(c).options, seed)
}
