package torture

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

type touchKind uint8

const (
	get touchKind = iota
	put
	remove
	look // at the version only, 0 = there is none
)

// touched is one operation on a key.
type touched struct {
	call, ret int64
	key       string
	kind      touchKind
	cas       int64         // condition, -1 = none
	ttl       time.Duration // of a put, 0 = none
	late      time.Duration // how long it may be read after its TTL
	value     uint64        // written or read
	outcome   outcome       // refused: get found nothing, or the cas did not match
	version   int64         // answered; where the cas did not match, the present one
	deleted   bool
	expired   bool
}

const (
	// unseen is the version of a put whose answer was lost.
	unseen = math.MaxInt64
	// early is by how much a key may seem to expire too early: times are cut to
	// milliseconds.
	early = int64(2 * time.Millisecond)
	// late is how long an expired key may be read after its time.
	late = 3 * time.Second
	// lateParted is the same where there may have been no leader to let it expire.
	lateParted = 10 * time.Second
)

// register is the state of a key. Whether a key with a TTL has expired is not
// seen before a read: between due and over both may be.
type register struct {
	version int64 // 0 = there is none
	value   uint64
	high    int64 // versions are above this one
	lapsed  bool  // it is gone because it expired
	due     int64 // it may expire from here on, 0 = never
	over    int64 // it must have expired here
}

// now are the states a key may be in while an operation happens.
func (r register) now(o *touched) []register {
	var all []register
	if r.version == 0 || r.due == 0 || o.call <= r.over {
		all = append(all, r)
	}
	if r.version != 0 && r.due != 0 && o.ret >= r.due-early {
		all = append(all, register{high: r.high, lapsed: true})
	}
	return all
}

// is tells whether the version of the key can be that of an answer, and what is
// known then.
func (r register) is(version int64) (register, bool) {
	if r.version == unseen && version > r.high {
		r.version, r.high = version, version
	}
	return r, r.version == version
}

// holds tells whether a condition holds.
func (r register) holds(cas int64) bool { return cas < 0 || cas == r.version }

// step does an operation; ok is false where it could not have been answered so.
func (r register) step(o *touched) (after register, ok bool) {
	switch {
	case o.kind == look:
		return r.is(o.version)
	case o.kind == get && o.outcome == done:
		r, ok = r.is(o.version)
		return r, ok && r.version != 0 && r.value == o.value
	case o.kind == get:
		// That a key expired is looked up after that there is none, and a put may
		// come between: it may be left unsaid.
		return r, r.version == 0 && (r.lapsed || !o.expired)
	case o.outcome == refused:
		return r, !r.holds(o.cas)
	case !r.holds(o.cas):
		return r, o.outcome == unknown
	case o.kind == put:
		return r.put(o)
	case o.outcome == done && o.deleted != (r.version != 0):
		return r, false
	case r.version == 0:
		return r, true
	}
	return register{high: r.high}, true
}

func (r register) put(o *touched) (register, bool) {
	after := register{version: o.version, value: o.value, high: o.version}
	if o.outcome == unknown {
		after.version, after.high = unseen, r.high
	}
	if o.ttl > 0 {
		after.due, after.over = o.call+int64(o.ttl), math.MaxInt64
		if o.outcome == done {
			after.over = o.ret + int64(o.ttl+o.late)
		}
	}
	return after, o.outcome == unknown || o.version > r.high
}

func registerModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{register{}} },
		Step: func(state, input, _ any) []any {
			var all []any
			o := input.(*touched)
			for _, r := range state.(register).now(o) {
				if after, ok := r.step(o); ok {
					all = append(all, after)
				}
			}
			return all
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", *input.(*touched)) },
	}
	return m.ToModel()
}

// registers is the history of the keys. It is safe for concurrent use.
type registers struct {
	mu         sync.Mutex
	keys       map[string][]*touched
	late       time.Duration
	operations int
}

func newRegisters() *registers { return &registers{keys: make(map[string][]*touched), late: late} }

func (h *registers) touched(o *touched) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.late = h.late
	h.keys[o.key] = append(h.keys[o.key], o)
}

// check checks the keys for which ripe is true, which are done with.
func (h *registers) check(ripe func(key string) bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, history := range h.keys {
		if !ripe(key) {
			continue
		}
		if err := checkRegister(history); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
		h.operations += len(history)
		delete(h.keys, key)
	}
	return nil
}

// checkRegister checks the history of one key.
func checkRegister(history []*touched) error {
	operations := make([]porcupine.Operation, 0, len(history))
	for _, o := range history {
		ret := o.ret
		switch {
		case o.kind == get && o.outcome == unknown, o.outcome == full:
			continue
		case o.outcome == unknown:
			ret = math.MaxInt64
		case o.kind != get && o.outcome == refused:
			// The version it tells is read after the condition was judged.
			seen := &touched{call: o.call, ret: o.ret, key: o.key, kind: look, version: o.version}
			operations = append(operations, porcupine.Operation{Input: seen, Call: o.call, Return: ret})
		}
		operations = append(operations, porcupine.Operation{Input: o, Call: o.call, Return: ret})
	}
	return linearizable(registerModel(), operations)
}
