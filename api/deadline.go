package api

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// deadline is one deadline of a connection. Servers move it with every request,
// nearly always to a later time, and moving the timer under it costs more than
// reading the request. So an earlier timer is left alone, and where it ends before
// its time it is renewed. It is safe for concurrent use.
type deadline struct {
	mu    sync.Mutex
	asked time.Time // zero: none
	armed time.Time // what the connection has; never after asked, zero only where asked is
}

// set asks for t, with arm where the connection has to know.
func (d *deadline) set(t time.Time, arm func(time.Time) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = t
	if !t.IsZero() && !d.armed.IsZero() && !d.armed.After(t) {
		return nil
	}
	return d.arm(arm)
}

// renew tells, when the connection has reached its deadline, whether there is time
// left; the connection then knows the deadline asked for.
func (d *deadline) renew(arm func(time.Time) error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.asked.IsZero() && !time.Now().Before(d.asked) {
		return false
	}
	return d.arm(arm) == nil
}

func (d *deadline) arm(arm func(time.Time) error) error {
	d.armed = d.asked
	return alive(arm(d.asked))
}

// slotTime is for how long calls that begin share a context.
const slotTime = 100 * time.Millisecond

// deadlines hands out contexts that end after a time, rounded up to slots: one
// timer serves all the calls of a slot. The zero value is ready for use, by many
// goroutines.
type deadlines struct {
	current atomic.Pointer[slot]
	mu      sync.Mutex
}

// slot is the context of the calls that begin in the same time.
type slot struct {
	ctx  context.Context
	stop context.CancelFunc // of ctx, which ends by itself
}

// after returns a context that ends with base or once the time is over, at most
// slotTime later. The timeout has to be the same in every call.
func (d *deadlines) after(base context.Context, timeout time.Duration) context.Context {
	if s := d.current.Load(); s != nil {
		return s.ctx
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.current.Load()
	if s == nil {
		s = new(slot)
		s.ctx, s.stop = context.WithTimeout(base, timeout+slotTime)
		d.current.Store(s)
		time.AfterFunc(slotTime, func() { d.current.CompareAndSwap(s, nil) })
	}
	return s.ctx
}
