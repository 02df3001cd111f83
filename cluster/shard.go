package cluster

import (
	"context"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"

	"leat/internal/fault"
)

// shard is one raft group as this node takes part in it.
type shard struct {
	id        uint64
	host      *dragonboat.NodeHost
	session   *client.Session
	machine   *machine
	coalescer *coalescer
	reads     *readGate
	clock     *logClock
}

// logClock gives proposals their time: the wall clock at the start or the
// shard's log time, whichever is later, and from there on monotonic.
type logClock struct {
	base    int64
	started time.Time
	wall    func() time.Time
}

func newLogClock(wall func() time.Time, logTimeMs int64) *logClock {
	now := wall()
	return &logClock{base: max(now.UnixMilli(), logTimeMs), started: now, wall: wall}
}

func (c *logClock) nowMs() int64 { return c.base + c.wall().Sub(c.started).Milliseconds() }

// propose hands a proposal to raft and waits until it has been applied here.
func (s *shard) propose(ctx context.Context, proposal []byte) (uint64, []byte, error) {
	request, err := s.host.Propose(s.session, proposal, proposeTimeout)
	if err != nil {
		return 0, nil, fromRequest(err)
	}
	defer request.Release()
	select {
	case result := <-request.ResultC():
		if err := fromResult(&result); err != nil {
			return 0, nil, err
		}
		r := result.GetResult()
		return r.Value, r.Data, nil
	case <-ctx.Done():
		return 0, nil, errUnknownOutcome(context.Cause(ctx))
	}
}

// call submits one command and waits for its answer. round is where it went, for
// the timings.
func (s *shard) call(ctx context.Context, size int, encode func([]byte) []byte) (code answerCode, body []byte, r *round, err error) {
	code, body, r, err = s.coalescer.call(ctx, size, encode)
	if err == nil && code == answerUnreadable {
		err = fault.New(fault.Internal, "internal", "shard %d does not understand the command", s.id)
	}
	return code, body, r, err
}

// confirm asks raft whether this node has applied everything acknowledged before
// the call.
func (s *shard) confirm(ctx context.Context) error {
	request, err := s.host.ReadIndex(s.id, proposeTimeout)
	if err != nil {
		return fromRequest(err)
	}
	select {
	case result := <-request.ResultC():
		defer request.Release()
		if err := fromResult(&result); err != nil {
			return errNoQuorum(err)
		}
		return nil
	case <-ctx.Done():
		return errNoQuorum(context.Cause(ctx))
	}
}
