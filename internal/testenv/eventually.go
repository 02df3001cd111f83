// Package testenv is what the tests of several packages share: the seed of a random
// test, a wait for what others bring about, and leat serve as a process of its own.
// Nothing but tests imports it.
package testenv

import (
	"errors"
	"testing"
	"time"
)

// Patience is how long a test waits for what has to happen. It decides no test: what is
// not there by then never comes.
const Patience = 30 * time.Second

// Eventually waits until a condition holds, and fails the test where it does not.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Succeeds(t, what, func() error {
		if holds() {
			return nil
		}
		return errors.New("it does not hold")
	})
}

// Succeeds waits until check returns no error, and fails the test with its last error
// where it always does.
func Succeeds(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.After(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so after %s: %s: %v", Patience, what, err)
		}
	}
}
