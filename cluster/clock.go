package cluster

import (
	"slices"
	"sync/atomic"
	"time"
)

// clockSlack is how far a log clock may be behind the clocks of the nodes before it is
// moved on.
const clockSlack = time.Second

// logClock gives proposals their time: what the clocks of the nodes agree on when this
// node was elected or the shard's log time, whichever is later, and from there on
// monotonic. It never goes by the wall clock of one node where others can be asked: that
// would expire everything as soon as a node leads whose clock is ahead. It is safe for
// concurrent use.
type logClock struct {
	wall   func() time.Time
	agreed func(now time.Time) (ms int64, ok bool)
	from   atomic.Pointer[clockAnchor]
}

type clockAnchor struct {
	base int64
	at   time.Time
}

func newLogClock(wall func() time.Time, agreed func(time.Time) (int64, bool), logTimeMs int64) *logClock {
	c := &logClock{wall: wall, agreed: agreed}
	c.anchor(logTimeMs)
	return c
}

// anchor has the clock go on from the present. Where there is a log time and nobody to
// agree with yet, it goes on from that: things may then expire later, not sooner.
func (c *logClock) anchor(logTimeMs int64) {
	now, base := c.wall(), logTimeMs
	if ms, ok := c.agreed(now); ok || logTimeMs == 0 {
		base = max(ms, logTimeMs)
	}
	c.from.Store(&clockAnchor{base: base, at: now})
}

// catchUp moves the clock on to what the clocks of the nodes agree on.
func (c *logClock) catchUp() {
	from, now := c.from.Load(), c.wall()
	if ms, ok := c.agreed(now); ok && ms > from.timeMs(now)+clockSlack.Milliseconds() {
		c.from.CompareAndSwap(from, &clockAnchor{base: ms, at: now})
	}
}

func (c *logClock) nowMs() int64 { return c.from.Load().timeMs(c.wall()) }

func (a *clockAnchor) timeMs(now time.Time) int64 { return a.base + now.Sub(a.at).Milliseconds() }

// agreedMs is the wall clock in the middle of those of this node and of the others that it
// reaches, of two the earlier one: as long as fewer than half of the clocks are wrong it
// is not ahead of the others. ok is false where there are others and none has said its.
func (n *Node) agreedMs(now time.Time) (ms int64, ok bool) {
	all := []int64{now.UnixMilli()}
	r := n.roster.Load()
	if r == nil {
		return all[0], !n.config.clustered()
	}
	for _, p := range r.peers {
		if s := p.stand.Load(); s != nil && s.WallMs != 0 {
			all = append(all, s.WallMs+now.Sub(s.asked).Milliseconds())
		}
	}
	slices.Sort(all)
	return all[(len(all)-1)/2], len(all) > 1 || len(r.peers) == 0
}
