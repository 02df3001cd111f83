package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/internal/bus"
	"leat/log"
	"leat/queries"
	"leat/queries/fakebus"
)

// paused is a bus that tells of the offset at which a job waits for a partition.
type paused struct {
	*fakebus.Bus
	waits chan waiting
}

type waiting struct {
	partition int32
	at        log.Offset
}

func (b *paused) Wait(topic string, p int32, after log.Offset) (<-chan struct{}, error) {
	if topic == "in" {
		b.waits <- waiting{p, after}
	}
	return b.Bus.Wait(topic, p, after)
}

// until reads where the job waits, till it is there.
func (b *paused) until(t *testing.T, there waiting) {
	t.Helper()
	for {
		select {
		case w := <-b.waits:
			if w == there {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("the job never waited for %+v", there)
		}
	}
}

// TestSemantics06BoundedLead: of two partitions one has 1000 times the rows of the
// other, which is paused in the beginning. The state stays at its bound, the query says
// who holds it up, and once the other goes on its results are the oracle's.
func TestSemantics06BoundedLead(t *testing.T) {
	t.Parallel()
	const rows, bound = 20_000, 200_000
	q := counting(100, 0, false)
	q.Name, q.GroupBy = "q", []*Expr{field("k")}
	c := &Case{Query: q, Logs: make([][]Record, 2)}
	for i := range rows {
		c.Logs[0] = append(c.Logs[0], records(fmt.Sprintf(`{"t":%d,"k":"key-%d"}`, i, i))...)
		if i%1000 == 999 {
			c.Logs[1] = append(c.Logs[1], records(fmt.Sprintf(`{"t":%d,"k":"slow"}`, i))...)
		}
	}
	b := &paused{Bus: fakebus.New(), waits: make(chan waiting)}
	if err := b.CreateTopic(q.Topic, 2); err != nil {
		t.Fatal(err)
	}
	most := watchState(t, b)
	for _, r := range c.Logs[0] {
		if err := b.Append(q.Topic, 0, r.Value); err != nil {
			t.Fatal(err)
		}
	}
	stop, ended := b.begin(t, q, bound)
	defer stop()

	b.until(t, waiting{1, 0})
	if read := standingOf(t, b)[0].Offset; read < 1000 || read > rows/2 {
		t.Errorf("%d rows of the fast partition were read while the other one was paused", read)
	}
	for i, r := range c.Logs[1] {
		if err := b.Append(q.Topic, 1, r.Value); err != nil {
			t.Fatal(err)
		}
		if i == len(c.Logs[1])-1 { // both have the same watermark then
			b.until(t, waiting{0, rows})
		}
		b.until(t, waiting{1, log.Offset(i + 1)})
	}
	stop()
	b.finish(t, c, ended, *most, bound)
}

// begin runs a query by one job of two workers that may read so far ahead.
func (b *paused) begin(t *testing.T, q *Query, lead int64) (stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	_, plan, _, problems := queries.Compile(t.Context(), q.JSON(), b)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	job := queries.NewJob(queries.JobConfig{
		ID: queryID, Owner: "one", Shard: fakebus.DataShard, Plan: plan, Topics: b, Docs: b,
		Clock:   &hurry{random: rand.New(rand.NewPCG(1, 1))},
		Options: queries.RunOptions{BatchRows: 50, Workers: 2, LeadBytes: lead},
	})
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- job.Run(ctx) }()
	return stop, end
}

// finish waits for the end of a job that has been stopped, and compares what it has put
// out with the oracle and the most state it had with its bound.
func (b *paused) finish(t *testing.T, c *Case, ended <-chan error, most, bound int64) {
	t.Helper()
	go func() {
		for range b.waits {
		}
	}()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(b.waits)
	got, err := (&engine{Bus: b.Bus, c: c}).observe()
	if err == nil {
		err = difference(c, Evaluate(c), got)
	}
	if err != nil {
		t.Error(err)
	}
	if most > bound*3/2 || most < bound {
		t.Errorf("the state had up to %d bytes, its bound is %d", most, bound)
	}
}

// watchState follows the most state that a checkpoint of the query speaks of.
func watchState(t *testing.T, b *paused) *int64 {
	most := new(int64)
	b.Interfere(func(_ int, txn bus.Txn) fakebus.Outcome {
		for _, d := range txn.Puts {
			var c struct {
				StateBytes int64 `json:"state_bytes"`
			}
			if err := json.Unmarshal(d.Value, &c); err != nil {
				t.Error(err)
			}
			*most = max(*most, c.StateBytes)
		}
		return fakebus.Pass
	})
	return most
}

type partitionStanding struct {
	Offset int64 `json:"offset"`
}

func standingOf(t *testing.T, b *paused) []partitionStanding {
	t.Helper()
	doc, _ := b.Doc(fakebus.DataShard, "checkpoint/"+queryID)
	var c struct {
		Sources []struct {
			Partitions []partitionStanding `json:"partitions"`
		} `json:"sources"`
	}
	if err := json.Unmarshal(doc.Value, &c); err != nil {
		t.Fatal(err)
	}
	return c.Sources[0].Partitions
}
