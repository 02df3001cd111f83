package cluster

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"

	"leat/internal/fault"
)

// shard is one raft group as this node takes part in it.
type shard struct {
	id        uint64
	self      uint64 // replica number of this node
	lead      atomic.Pointer[leadership]
	kept      atomic.Bool   // somebody wants this node to lead, whoever else should
	compared  atomic.Uint64 // the last raft index at which a majority was seen to have this state
	host      *dragonboat.NodeHost
	session   *client.Session
	machine   *machine
	coalescer *coalescer
	reads     *readGate
	clock     *logClock
	keys      keyRoom
}

// leadership is who leads a shard, as this node knows it.
type leadership struct {
	id, term uint64        // id 0 = nobody is known
	changed  chan struct{} // closed once it is no longer so
}

// leads tells whether this node leads the shard.
func (s *shard) leads() bool { return s.lead.Load().id == s.self }

// ledBy notes who leads the shard, and tells whether that is new. One goroutine calls
// it.
func (s *shard) ledBy(id, term uint64) bool {
	was := s.lead.Load()
	if was.id == id && was.term == term {
		return false
	}
	if id == s.self {
		s.clock.anchor(s.machine.logTimeMs())
	}
	if id != 0 && id != s.self {
		s.kept.Store(false)
	}
	s.lead.Store(&leadership{id: id, term: term, changed: make(chan struct{})})
	close(was.changed)
	return true
}

// propose hands a proposal to raft and waits until it has been applied here. What became
// of it is unknown once this node has not led for handOver: the next leader mostly has
// what was proposed before a hand-over, and commits it at once.
func (s *shard) propose(ctx context.Context, proposal []byte) (uint64, []byte, error) {
	lead := s.lead.Load()
	if lead.id != s.self {
		return 0, nil, errNoQuorum(errNotLeading)
	}
	request, err := s.host.Propose(s.session, proposal, proposeTimeout)
	if err != nil {
		return 0, nil, fromRequest(err)
	}
	defer request.Release()
	changed, over := lead.changed, (<-chan time.Time)(nil)
	for {
		select {
		case result := <-request.ResultC():
			if err := fromResult(&result); err != nil {
				return 0, nil, err
			}
			r := result.GetResult()
			return r.Value, r.Data, nil
		case <-changed:
			changed, over = nil, time.After(handOver)
		case <-over:
			return 0, nil, errUnknownOutcome(errNotLeading)
		case <-ctx.Done():
			return 0, nil, errUnknownOutcome(context.Cause(ctx))
		}
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

// upToDate returns once everything acknowledged before the call can be read here. It
// tries until ctx ends where that may yet come about.
func (s *shard) upToDate(ctx context.Context) error {
	for {
		err := s.reads.wait(ctx)
		if err == nil || fault.KindOf(err) != fault.Unavailable || fault.As(err).Code != "no_quorum" {
			return err
		}
		lead := s.lead.Load()
		select {
		case <-ctx.Done():
			return err
		case <-lead.changed:
		case <-time.After(retryEvery):
		}
	}
}

// confirm asks raft whether this node has applied everything acknowledged before
// the call.
func (s *shard) confirm(ctx context.Context) error {
	lead := s.lead.Load()
	request, err := s.host.ReadIndex(s.id, confirmTimeout)
	if err != nil {
		return fromRequest(err)
	}
	select {
	case result := <-request.ResultC():
		defer request.Release()
		if result.Completed() {
			return nil
		}
		return errNoQuorum(errNoConfirmation)
	case <-lead.changed:
		return errNoQuorum(errNoConfirmation)
	case <-ctx.Done():
		return errNoQuorum(context.Cause(ctx))
	}
}
