package cluster

import (
	"context"
	"errors"

	"github.com/lni/dragonboat/v4"

	"leat/internal/fault"
)

var (
	errNotLeading     = errors.New("this node no longer leads the shard")
	errNoLeader       = errors.New("the shard has no leader")
	errNoAddress      = errors.New("where clients reach the leader is not known yet")
	errTopicsBusy     = errors.New("another change of topics waits for its shard")
	errNoConfirmation = errors.New("the leader did not confirm the read")
)

const codeShuttingDown = "shutting_down"

func errShuttingDown() error {
	return fault.New(fault.Unavailable, codeShuttingDown, "the node is shutting down")
}

// errRestoring is for a read of records on a node that is so far behind that it is given
// all of a shard anew.
func errRestoring(shard uint64) error {
	return fault.New(fault.Unavailable, "not_ready", "this node is putting in a snapshot of shard %d", shard)
}

// errUnknownOutcome is for a write that was handed to raft and not answered: it
// may yet be applied.
func errUnknownOutcome(cause error) error {
	return fault.New(fault.Timeout, "unknown_outcome",
		"the write was proposed and not confirmed in time; it may still be applied: retry with an idempotency key: %w", cause)
}

func errNoQuorum(cause error) error {
	return fault.New(fault.Unavailable, "no_quorum", "no majority of the shard answers: %w", cause)
}

const codeUnknownTopic = "unknown_topic"

func errUnknownTopic(name string) error {
	return fault.New(fault.NotFound, codeUnknownTopic, "There is no topic %q", name)
}

func errUnknownPartition(name string, partition, partitions int32) error {
	return fault.New(fault.Invalid, "invalid_partition",
		"Topic %q has partitions 0 to %d, not %d", name, partitions-1, partition)
}

// fromRequest classifies an error that dragonboat returned before a proposal or
// a read was under way: nothing was written.
func fromRequest(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dragonboat.ErrClosed), errors.Is(err, dragonboat.ErrShardClosed):
		return errShuttingDown()
	case errors.Is(err, dragonboat.ErrPayloadTooBig):
		return fault.New(fault.TooLarge, "body_too_large", "the write does not fit a raft entry: %w", err)
	case errors.Is(err, dragonboat.ErrSystemBusy), errors.Is(err, dragonboat.ErrShardNotReady),
		errors.Is(err, dragonboat.ErrShardNotInitialized), errors.Is(err, dragonboat.ErrShardNotFound),
		errors.Is(err, dragonboat.ErrTimeoutTooSmall), errors.Is(err, context.DeadlineExceeded):
		return errNoQuorum(err)
	}
	return fault.New(fault.Internal, "internal", "raft: %w", err)
}

// fromResult classifies how a request that was under way ended.
func fromResult(r *dragonboat.RequestResult) error {
	switch {
	case r.Completed():
		return nil
	case r.Dropped():
		return errNoQuorum(errors.New("dropped, not written"))
	case r.Rejected():
		return fault.New(fault.Internal, "internal", "raft rejected a request")
	case r.Terminated(), r.Aborted():
		return errUnknownOutcome(errors.New("the shard stopped"))
	}
	return errUnknownOutcome(context.DeadlineExceeded)
}
