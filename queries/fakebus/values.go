package fakebus

import (
	"context"
	"sync"

	"leat/internal/fault"
)

// Values are key-value namespaces in memory, as queries.Values has them. All methods may
// be called at any time. The zero value is empty and ready to use.
type Values struct {
	mu      sync.Mutex
	held    map[[2]string]versioned
	version uint64
	asked   int
	read    int
	down    bool
	before  func(call int)
}

type versioned struct {
	value   []byte
	version uint64
}

// Put sets what a key of a namespace holds.
func (v *Values) Put(namespace, key, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.held == nil {
		v.held = map[[2]string]versioned{}
	}
	v.version++
	v.held[[2]string{namespace, key}] = versioned{[]byte(value), v.version}
}

// Delete takes a key away.
func (v *Values) Delete(namespace, key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.held, [2]string{namespace, key})
}

// Lead has the namespaces have a leader or not.
func (v *Values) Lead(leads bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.down = !leads
}

// Interfere has before be called at the beginning of each Fresh, numbered from 0.
func (v *Values) Interfere(before func(call int)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.before = before
}

// Calls are how often Fresh and Value were called.
func (v *Values) Calls() (fresh, value int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked, v.read
}

// Fresh is queries.Values.
func (v *Values) Fresh(ctx context.Context, _ string) error {
	v.mu.Lock()
	call, before := v.asked, v.before
	v.asked++
	v.mu.Unlock()
	if before != nil {
		before(call)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.down {
		return fault.New(fault.Unavailable, "no_quorum", "the namespace has no leader")
	}
	return ctx.Err()
}

// Value is queries.Values.
func (v *Values) Value(namespace, key string) (value []byte, version uint64, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.read++
	held, ok := v.held[[2]string{namespace, key}]
	return held.value, held.version, ok
}
