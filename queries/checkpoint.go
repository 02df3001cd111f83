package queries

import (
	"encoding/json"
	"fmt"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// checkpoint is the document "checkpoint/{id}" in the shard of the query: all that a
// job needs to go on, apart from the entries of its state log. It is written in the
// same transaction as the output it speaks of, and its version fences the next
// epoch: whoever writes it without having read the last one is refused.
type checkpoint struct {
	Query      string           `json:"query"`
	Sources    []sourceStanding `json:"sources"`    // in the order of the plan
	Generation uint64           `json:"generation"` // of the owner: grows with every start of the job
	Owner      string           `json:"owner"`      // told apart from every other one, also of the same generation
	Epoch      uint64           `json:"epoch"`
	Rows       RowCounts        `json:"rows"`
	// StateFrom is where in the state log the last full snapshot begins.
	StateFrom log.Offset `json:"state_from"`
	// StateLogBytes is what the state log holds from there on.
	StateLogBytes int64 `json:"state_log_bytes"`
	// StateBytes is the memory that the state takes.
	StateBytes int64 `json:"state_bytes"`
	Completed  bool  `json:"completed,omitempty"` // a bounded run has ended
	// Warnings tell which records were read otherwise than the query's schemas say.
	Warnings Warnings `json:"warnings,omitempty"`
}

// sourceStanding is a topic that is read, and how far it has been.
type sourceStanding struct {
	TopicID    uint64     `json:"topic_id"`
	Partitions []standing `json:"partitions"` // by number
}

// standing is how far one source partition has been read.
type standing struct {
	Offset  log.Offset  `json:"offset"`             // of the next record
	Stop    *log.Offset `json:"stop,omitempty"`     // end of a bounded run
	Highest *int64      `json:"max_time,omitempty"` // highest event time, absent before the first
	Idle    *idleMark   `json:"idle,omitempty"`     // absent if it never was
}

func checkpointKey(id string) string { return "checkpoint/" + id }

// The query's own logs, one partition each.
func resultsTopic(id string) string { return "$results/" + id }
func lateTopic(id string) string    { return "$late/" + id }
func deadTopic(id string) string    { return "$dead/" + id }
func stateTopic(id string) string   { return "$state/" + id }

func internalTopics(id string) []string {
	return []string{resultsTopic(id), lateTopic(id), deadTopic(id), stateTopic(id)}
}

func decodeCheckpoint(d bus.Doc) (checkpoint, error) {
	var c checkpoint
	if err := json.Unmarshal(d.Value, &c); err != nil {
		return c, fault.New(fault.Corrupt, "corrupt_record", "checkpoint %q: %w", d.Key, err)
	}
	return c, nil
}

func (c *checkpoint) encode() ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w", err)
	}
	return b, nil
}
