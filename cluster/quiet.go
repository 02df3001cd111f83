package cluster

import (
	"context"
	"fmt"

	"leat/cluster/state"
	"leat/log"
)

// Quiet tells how much is missing, in ms, until a partition has had no append for a span
// of its shard's log time, 0 or less if it has had none, and the partition's end. What a
// replica has not applied yet is not in its log time either: a replica that lags behind
// finds a partition quiet later, not sooner. A partition that never had a record is quiet
// since its topic was created.
//
// Log time stands still where nothing is written. When by the clock of this node the span
// may be over, a proposal without content moves it on.
func (n *Node) Quiet(ctx context.Context, topic string, partition int32, spanMs int64) (leftMs int64, end log.Offset, err error) {
	t, s, err := n.place(topic, partition)
	if err != nil {
		return 0, 0, err
	}
	p, err := s.machine.find(state.PartitionID{Topic: t.ID, Partition: partition})
	if err != nil {
		return 0, 0, err
	}
	if p == nil {
		return 0, 0, errUnknownTopic(topic)
	}
	silent := func() (ms int64) {
		now := s.machine.logTimeMs() // before the end: what is appended later is newer
		last, ok := int64(0), false
		if end, last, ok = p.Tail(); !ok {
			last = t.CreatedMs
		}
		return now - last
	}
	leftMs = spanMs - silent()
	if leftMs <= 0 {
		return leftMs, end, nil
	}
	if ahead := s.clock.nowMs() - s.machine.logTimeMs(); ahead < leftMs {
		return leftMs - max(0, ahead), end, nil
	}
	if _, _, _, err := n.call(ctx, s, commandHeader, encodeTick); err != nil {
		return 0, 0, fmt.Errorf("move log time on: %w", err)
	}
	return spanMs - silent(), end, nil
}
