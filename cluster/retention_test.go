package cluster

import (
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

// wallClock is a clock the test moves.
type wallClock struct{ offset chan time.Duration }

func newWallClock() *wallClock {
	c := &wallClock{offset: make(chan time.Duration, 1)}
	c.offset <- 0
	return c
}

func (c *wallClock) now() time.Time {
	d := <-c.offset
	c.offset <- d
	return time.Now().Add(d)
}

func (c *wallClock) advance(d time.Duration) { c.offset <- <-c.offset + d }

func TestRetentionByAge(t *testing.T) {
	t.Parallel()
	clock := newWallClock()
	c := Config{Dir: t.TempDir(), Clock: clock.now}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	for _, topic := range []string{"short", "long"} {
		if _, err := r.CreateTopic(ctx, topic, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Append(ctx, bus.Append{Topic: topic, Block: block("old", "old")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.SetRetention(ctx, "*", bus.AnyPartition, bus.Retention{TTLMs: 10 * 3600_000}); err != nil {
		t.Fatal(err)
	}
	if err := r.SetRetention(ctx, "short", bus.AnyPartition, bus.Retention{TTLMs: 3600_000}); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	clock.advance(2 * time.Hour)
	r = start(t, c)
	if _, err := r.Append(ctx, bus.Append{Topic: "short", Block: block("new")}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the old records go", func() bool { p, err := r.Partition("short", 0); return err == nil && p.First == 2 })
	if got := r.values(t, "short", 0); len(got) != 1 || got[0] != "new" {
		t.Fatalf("kept %v", got)
	}
	if p, err := r.Partition("long", 0); err != nil || p.First != 0 {
		t.Fatalf("the other topic: %+v, %v", p, err)
	}
}

func TestRetentionBySizeAndDeleteBefore(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 60*time.Second)
	if _, err := r.CreateTopic(ctx, "orders", 2); err != nil {
		t.Fatal(err)
	}
	record := block(string(make([]byte, 1000)))
	for range 100 {
		if _, err := r.Append(ctx, bus.Append{Topic: "orders", Partition: 1, Block: record}); err != nil {
			t.Fatal(err)
		}
	}
	records, _, err := r.DeleteBefore(ctx, "orders", 1, 10)
	if err != nil || records != 10 {
		t.Fatalf("deleted %d, %v", records, err)
	}
	records, _, err = r.DeleteBefore(ctx, "orders", 1, 5)
	if err != nil || records != 0 {
		t.Fatalf("deleted again: %d, %v", records, err)
	}
	_, err = r.Read("orders", 1, 9, 100, nil)
	kind(t, err, fault.OutOfRange, "offset_out_of_range")
	if err := r.SetRetention(ctx, "orders", 1, bus.Retention{MaxBytes: 30_000}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the partition shrinks", func() bool { p, err := r.Partition("orders", 1); return err == nil && p.First > 60 })
	if p, err := r.Partition("orders", 1); err != nil || p.First > 75 || p.Next != 100 {
		t.Fatalf("kept too little: %+v, %v", p, err)
	}
	kind(t, r.SetRetention(ctx, "nothing", bus.AnyPartition, bus.Retention{TTLMs: 1}), fault.NotFound, "unknown_topic")
	if err := r.DeleteTopic(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if docs := r.Docs(bus.MetaShard, retentionPrefix); len(docs) != 0 {
		t.Fatalf("policies outlive their topic: %v", docs)
	}
	records, _, err = r.DeleteBefore(ctx, "orders", 1, 5)
	kind(t, err, fault.NotFound, "unknown_topic")
	_ = records
}
