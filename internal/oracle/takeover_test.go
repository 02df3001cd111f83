package oracle

import (
	"context"
	"math/rand/v2"
	"testing"

	"leat/internal/fault"
	"leat/queries"
	"leat/queries/fakebus"
)

// intruded is a bus on which another job takes a query over and finishes it as soon as
// the first one has claimed it and waits for the log.
type intruded struct {
	*fakebus.Bus
	intrude func() error
	err     error
}

func (b *intruded) Barrier(ctx context.Context) error {
	if _, claimed := b.Doc(fakebus.DataShard, "checkpoint/"+queryID); claimed && b.intrude != nil {
		intrude := b.intrude
		b.intrude = nil
		b.err = intrude()
	}
	return b.Bus.Barrier(ctx)
}

// TestTakenOverWhileRestoring: a job whose state log has been trimmed by the owner after
// it says that it is fenced, not that a record is gone.
func TestTakenOverWhileRestoring(t *testing.T) {
	t.Parallel()
	b := &intruded{Bus: fakebus.New()}
	q := counting(10, 0, true)
	q.Name = "q"
	if err := b.CreateTopic(q.Topic, 1); err != nil {
		t.Fatal(err)
	}
	for _, r := range times(1, 2, 3, 11, 12, 21) {
		if err := b.Append(q.Topic, 0, r.Value); err != nil {
			t.Fatal(err)
		}
	}
	_, plan, _, problems := queries.Compile(t.Context(), q.JSON(), b)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	job := func(owner string) *queries.Job {
		return queries.NewJob(queries.JobConfig{
			ID: queryID, Owner: owner, Shard: fakebus.DataShard, Plan: plan, Topics: b, Docs: b,
			Clock:   &hurry{random: rand.New(rand.NewPCG(1, 1))},
			Options: queries.RunOptions{BatchRows: 1, EpochRows: 1, StateLogBytes: 1},
		})
	}
	b.intrude = func() error { return job("second").Run(t.Context()) }
	err := job("first").Run(t.Context())
	if b.intrude != nil || b.err != nil {
		t.Fatalf("the second owner did not finish: %v", b.err)
	}
	if f := fault.As(err); f == nil || f.Kind != fault.Conflict || f.Code != "fenced" {
		t.Errorf("the first owner ended with %v", err)
	}
	state, err := b.Partition("$state/"+queryID, 0)
	if err != nil || state.First == 0 {
		t.Errorf("the state log was not trimmed: %+v, %v", state, err)
	}
	rows, err := readAll(b, "$results/"+queryID)
	if err == nil {
		err = sameList("row", []string{
			`{"n":3,"window_start":0,"window_end":10}`, `{"n":2,"window_start":10,"window_end":20}`, `{"n":1,"window_start":20,"window_end":30}`,
		}, rows)
	}
	if err != nil {
		t.Error(err)
	}
}
