package main

import "runtime"

// ballastBytes is what the heap of a node is counted too large.
const ballastBytes = 64 << 20

// carryBallast makes the collector run as seldom as over a heap that is
// ballastBytes larger, until drop is called. A node's own heap is small and it
// allocates much, so the collector would run many times a second for little. No
// page of the ballast is ever touched, so it takes no memory itself: what the
// process may grow by is that much more garbage before it is collected. Where
// GOGC or GOMEMLIMIT say how to collect, nothing is done.
func carryBallast(getenv func(string) string) (drop func()) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	ballast := make([]byte, ballastBytes)
	return func() { runtime.KeepAlive(ballast) }
}
