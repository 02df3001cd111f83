package queries

import (
	"context"
	"encoding/json"
	"fmt"

	"leat/log"
)

// Trial is what a bounded run has put out, in the order of the logs.
type Trial struct {
	Results     []json.RawMessage
	Late        []json.RawMessage
	DeadLetters []json.RawMessage
	Rows        RowCounts
	Runs        int // jobs it took
	Epochs      uint64
	StateBytes  int64 // held at the end
}

// RunTrial runs a bounded plan to its end, in the calling goroutine, and collects
// what it has put out. Whenever a job fails with an error that again accepts (nil:
// none), another one goes on from its checkpoint, with another owner and read seed.
func RunTrial(ctx context.Context, c JobConfig, again func(error) bool) (Trial, error) {
	var t Trial
	owner, seed := c.Owner, c.Options.ReadSeed
	for {
		t.Runs++
		c.Owner = fmt.Sprintf("%s/%d", owner, t.Runs)
		if seed != 0 {
			c.Options.ReadSeed = seed + uint64(t.Runs)
		}
		err := NewJob(c).Run(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil || again == nil || !again(err) {
			return t, fmt.Errorf("run %d: %w", t.Runs, err)
		}
	}
	for _, own := range []struct {
		topic string
		into  *[]json.RawMessage
	}{{resultsTopic(c.ID), &t.Results}, {lateTopic(c.ID), &t.Late}, {deadTopic(c.ID), &t.DeadLetters}} {
		for from := log.Offset(0); ; {
			rows, err := readLog(c.Topics, own.topic, from, maxRows)
			if err != nil {
				return t, err
			}
			if len(rows.Rows) == 0 {
				break
			}
			*own.into = append(*own.into, rows.Rows...)
			from = rows.Next
		}
	}
	doc, _ := c.Docs.Doc(c.Shard, checkpointKey(c.ID))
	saved, err := decodeCheckpoint(doc)
	t.Rows, t.Epochs, t.StateBytes = saved.Rows, saved.Epoch, saved.StateBytes
	return t, err
}
