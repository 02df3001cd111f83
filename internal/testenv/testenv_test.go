package testenv

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// failing stands for a test that fails.
type failing struct {
	testing.TB
	ends   []func()
	logged string
}

func (f *failing) Helper()          {}
func (f *failing) Failed() bool     { return true }
func (f *failing) Name() string     { return "TestOne/of many" }
func (f *failing) Cleanup(e func()) { f.ends = append(f.ends, e) }
func (f *failing) Logf(format string, args ...any) {
	f.logged += fmt.Sprintf(format, args...)
}

func (f *failing) Fatalf(format string, args ...any) {
	f.Logf(format, args...)
	runtime.Goexit()
}

func TestSeedRunsAgain(t *testing.T) {
	t.Setenv("LEAT_SEED", "41")
	f := &failing{}
	if seed := Seed(f); seed != 41 {
		t.Errorf("the seed is %d", seed)
	}
	for _, end := range f.ends {
		end()
	}
	if want := `LEAT_SEED=41 go test ./internal/testenv -run '^TestOne$/^of many$'`; !strings.HasSuffix(f.logged, want) {
		t.Errorf("logged %q, want %q", f.logged, want)
	}
}

func TestSeedIsNewEachTime(t *testing.T) {
	t.Setenv("LEAT_SEED", "")
	if a, b := Seed(t), Seed(t); a == b {
		t.Errorf("twice %d", a)
	}
}

// What becomes true is waited for, what does not fails the test after Patience.
func TestEventually(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		Eventually(t, "a second is over", func() bool { return time.Since(began) >= time.Second })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
		began = time.Now()
		f, ended := &failing{}, make(chan struct{})
		go func() {
			defer close(ended)
			Succeeds(f, "it comes", func() error { return errors.New("it is away") })
		}()
		<-ended
		if want := "not so after 30s: it comes: it is away"; f.logged != want || time.Since(began) != Patience {
			t.Errorf("after %s: %q, want %q", time.Since(began), f.logged, want)
		}
	})
}
