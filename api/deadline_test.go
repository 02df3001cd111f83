package api

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A timer is set only where it would end too late, and a deadline holds all the same.
func TestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var armed []time.Time
		arm := func(at time.Time) error { armed = append(armed, at); return nil }
		var d deadline
		start := time.Now()
		in := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
		for _, step := range []struct {
			at   time.Time
			want []time.Time // what the connection has been told so far
		}{
			{in(60), []time.Time{in(60)}},
			{in(30), []time.Time{in(60), in(30)}},
			{in(61), []time.Time{in(60), in(30)}},
			{in(31), []time.Time{in(60), in(30)}},
			{time.Time{}, []time.Time{in(60), in(30), {}}},
			{in(40), []time.Time{in(60), in(30), {}, in(40)}},
			{in(50), []time.Time{in(60), in(30), {}, in(40)}},
		} {
			if err := d.set(step.at, arm); err != nil || len(armed) != len(step.want) || !armed[len(armed)-1].Equal(step.want[len(step.want)-1]) {
				t.Fatalf("asked for %v: told %v, %v", step.at, armed, err)
			}
		}
		time.Sleep(40 * time.Second)
		if !d.renew(arm) || !armed[len(armed)-1].Equal(in(50)) {
			t.Fatalf("with ten seconds left: told %v", armed)
		}
		time.Sleep(10 * time.Second)
		if d.renew(arm) {
			t.Fatal("renewed when the time was over")
		}
	})
}

// What a connection is asked for is when its reads and writes end, even if an
// earlier timer was left in place.
func TestConnectionKeepsItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := &conn{Conn: near, listener: newListener(nil, nil, 1, time.Minute)}
		c.listener.conns[c] = struct{}{}
		c.state.Store(stateReceiving)
		start := time.Now()
		for _, s := range []int{10, 25} {
			at := start.Add(time.Duration(s) * time.Second)
			if err := errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at)); err != nil {
				t.Fatal(err)
			}
		}
		for name, do := range map[string]func([]byte) (int, error){"read": c.Read, "write": c.Write} {
			if _, err := do(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(start); took != 25*time.Second {
				t.Errorf("%s ended after %v", name, took)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Calls that begin together share a context, which gives each the whole time.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, cancel := context.WithCancel(context.Background())
		var d deadlines
		first := d.after(base, time.Second)
		if again := d.after(base, time.Second); again != first {
			t.Error("two calls at the same time have two contexts")
		}
		time.Sleep(slotTime - time.Millisecond)
		if late := d.after(base, time.Second); late != first {
			t.Error("the slot ended early")
		}
		time.Sleep(time.Second)
		if err := first.Err(); err != nil {
			t.Errorf("the last call of the slot had less than its time: %v", err)
		}
		second := d.after(base, time.Second)
		if second == first {
			t.Error("a context is handed out that is about to end")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !errors.Is(first.Err(), context.DeadlineExceeded) {
			t.Errorf("after its time: %v", first.Err())
		}
		cancel()
		if second.Err() == nil {
			t.Error("a context outlives its base")
		}
		time.Sleep(slotTime)
	})
}
