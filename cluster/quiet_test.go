package cluster

import (
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// TestQuiet: a partition is quiet once log time is a span behind its last append, which
// nobody else has to move on; one without records counts from its topic's creation.
func TestQuiet(t *testing.T) {
	t.Parallel()
	clock := newWallClock()
	c := Config{Dir: t.TempDir(), Clock: clock.now, DataShards: 1}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	const hour = 3_600_000
	if _, err := r.CreateTopic(ctx, "t", 2); err != nil {
		t.Fatal(err)
	}
	quiet := func(p int32, want bool, end log.Offset) {
		t.Helper()
		left, next, err := r.Quiet(ctx, "t", p, hour)
		if err != nil || (left <= 0) != want || left > hour || next != end {
			t.Fatalf("partition %d: %d ms left, end %d, %v; want quiet %v, end %d", p, left, next, err, want, end)
		}
	}
	quiet(0, false, 0)
	clock.advance(59 * time.Minute)
	if _, err := r.Append(ctx, bus.Append{Topic: "t", Block: block("a", "b")}); err != nil {
		t.Fatal(err)
	}
	quiet(1, false, 0)
	clock.advance(2 * time.Minute)
	quiet(1, true, 0) // created 61 minutes ago
	quiet(0, false, 2)
	clock.advance(57 * time.Minute)
	quiet(0, false, 2)
	clock.advance(2 * time.Minute)
	quiet(0, true, 2)
	// Records that have been trimmed away were appended nevertheless.
	if _, err := r.Append(ctx, bus.Append{Topic: "t", Block: block("c")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.DeleteBefore(ctx, "t", 0, 3); err != nil {
		t.Fatal(err)
	}
	quiet(0, false, 3)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, c)
	quiet(0, false, 3)
	clock.advance(61 * time.Minute)
	quiet(0, true, 3)
	if _, _, err := r.Quiet(ctx, "none", 0, hour); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a topic that is not there: %v", err)
	}
}
