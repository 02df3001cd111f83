package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"leat/cluster/peer"
	"leat/internal/fault"
)

// Outcome is where a command went, and the timings.
type Outcome struct {
	Index    uint64 // of the raft entry
	QueueUs  int64
	CommitUs int64
}

func (r *round) outcome() Outcome {
	return Outcome{
		Index:    r.index,
		QueueUs:  max(0, r.sentAt.Sub(r.queuedAt).Microseconds()),
		CommitUs: r.endedAt.Sub(r.sentAt).Microseconds(),
	}
}

// order is a command on its way to the leader of its shard.
type order struct {
	size   int // at least what encode appends
	encode func([]byte) []byte
	adds   bool // to what is on the disks: it is refused where the leader has no room
}

// call has the leader of a shard do one command that adds nothing, see do.
func (n *Node) call(ctx context.Context, s *shard, size int, encode func([]byte) []byte) (answerCode, []byte, Outcome, error) {
	return n.do(ctx, s, order{size: size, encode: encode})
}

// add has the leader of a shard do one command that adds, see do.
func (n *Node) add(ctx context.Context, s *shard, size int, encode func([]byte) []byte) (answerCode, []byte, Outcome, error) {
	return n.do(ctx, s, order{size: size, encode: encode, adds: true})
}

// do has the leader of a shard do one command, and waits for the answer. What was
// certainly not done is tried again until ctx ends; while the shard has no leader it
// waits for one.
func (n *Node) do(ctx context.Context, s *shard, what order) (code answerCode, body []byte, o Outcome, err error) {
	for {
		lead := s.lead.Load()
		switch {
		case lead.id == s.self:
			var r *round
			if code, body, r, err = n.doHere(ctx, s, what); err == nil {
				return code, body, r.outcome(), nil
			}
		case lead.id == 0:
			err = errNoQuorum(errNoLeader)
		case !n.forwards:
			err = n.errNotLeader(lead.id)
		default:
			if code, body, o, err = n.forward(ctx, s, lead.id, what); err == nil {
				return code, body, o, nil
			}
		}
		if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.Code != "no_quorum" {
			return 0, nil, o, err
		}
		select {
		case <-ctx.Done():
			return 0, nil, o, err
		case <-lead.changed:
		case <-time.After(retryEvery):
		}
	}
}

// doHere does a command of a shard that this node leads. Only the leader is asked for room:
// the others store what is committed, with or without.
func (n *Node) doHere(ctx context.Context, s *shard, what order) (code answerCode, body []byte, r *round, err error) {
	if what.adds {
		if err := n.space.admit(what.size); err != nil {
			return 0, nil, nil, err
		}
	}
	return s.call(ctx, what.size, what.encode)
}

// errNotLeader tells who has to be asked, or that this is yet to be heard.
func (n *Node) errNotLeader(leader uint64) error {
	name, url := n.memberName(leader), n.memberURL(leader)
	if url == "" {
		return errNoQuorum(errNoAddress)
	}
	return fault.New(fault.NotLeader, "not_leader", "Node %q leads what this would change", name).
		With("leader", url).With("leader_id", name)
}

// Command is a command as one node hands it to another.
type Command struct {
	Shard     uint64
	Body      []byte // encoded
	Adds      bool
	TimeoutMs int64
}

// Answer is what became of a Command. With a Code in Refusal nothing is known of it
// but that.
type Answer struct {
	Code    uint8
	Body    []byte
	Outcome Outcome
	Refusal Refusal
}

// Refusal is a fault as it travels.
type Refusal struct {
	Kind    uint8
	Code    string
	Message string
}

func (r *Refusal) err() error {
	if r.Code == "" {
		return nil
	}
	return fault.New(fault.Kind(r.Kind), r.Code, "%s", r.Message)
}

func refusalOf(err error) Refusal {
	f := fault.As(err)
	if f == nil {
		f = fault.New(fault.Internal, "internal", "%w", err)
	}
	return Refusal{Kind: uint8(f.Kind), Code: f.Code, Message: f.Message}
}

// forward has another node do a command, and waits until what it did can be read
// here.
func (n *Node) forward(ctx context.Context, s *shard, leader uint64, what order) (answerCode, []byte, Outcome, error) {
	c := Command{Shard: s.id, Body: what.encode(make([]byte, 0, what.size)), Adds: what.adds, TimeoutMs: proposeTimeout.Milliseconds()}
	if deadline, ok := ctx.Deadline(); ok {
		c.TimeoutMs = time.Until(deadline).Milliseconds()
	}
	var a Answer
	err := n.network.Call(ctx, n.memberName(leader), "Do", &c, &a)
	switch {
	case errors.Is(err, peer.ErrNotSent):
		// Why it was not is nothing to the client: it is tried again.
		return 0, nil, Outcome{}, errNoQuorum(errors.New(err.Error()))
	case err != nil:
		return 0, nil, Outcome{}, errUnknownOutcome(err)
	}
	if a.Refusal.Code == codeShuttingDown { // that node, which has not done it; another one will
		return 0, nil, Outcome{}, errNoQuorum(errNotLeading)
	}
	if err := a.Refusal.err(); err != nil {
		return 0, nil, Outcome{}, err
	}
	// It is done; where this node does not get to it in time it is done all the same.
	s.machine.awaitApplied(ctx, a.Outcome.Index)
	return answerCode(a.Code), a.Body, a.Outcome, nil
}

// service is what other nodes call.
type service struct{ node *Node }

// Do does a command of a shard that this node leads.
func (s *service) Do(c *Command, a *Answer) error {
	n := s.node
	if !n.taking.Load() || n.shards[c.Shard] == nil {
		a.Refusal = refusalOf(errNoQuorum(errNotLeading))
		return nil
	}
	shard := n.shards[c.Shard]
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.TimeoutMs)*time.Millisecond)
	defer cancel()
	if !shard.leads() {
		a.Refusal = refusalOf(errNoQuorum(errNotLeading))
		return nil
	}
	code, body, r, err := n.doHere(ctx, shard, order{
		size: len(c.Body), encode: func(dst []byte) []byte { return append(dst, c.Body...) }, adds: c.Adds,
	})
	if err != nil {
		a.Refusal = refusalOf(err)
		return nil
	}
	a.Code, a.Body, a.Outcome = uint8(code), body, r.outcome()
	return nil
}

// awaitAgain is the time between two questions to a node that does not answer.
const awaitAgain = 100 * time.Millisecond

// Place is an entry of a shard that a node is to have applied.
type Place struct {
	Shard, Index uint64
	TimeoutMs    int64
}

// Await tells once this node has applied an entry, which it does when the entry is on
// its stable storage; false where that is not in time.
func (s *service) Await(p *Place, has *bool) error {
	if !s.node.taking.Load() || s.node.shards[p.Shard] == nil {
		return nil
	}
	shard := s.node.shards[p.Shard]
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(p.TimeoutMs)*time.Millisecond)
	defer cancel()
	*has = shard.machine.awaitApplied(ctx, p.Index)
	return nil
}

// hasPlace tells whether a member applies an entry before ctx ends. One that does not
// answer may be starting: it is asked again.
func (n *Node) hasPlace(ctx context.Context, node string, place Place) bool {
	for {
		if deadline, ok := ctx.Deadline(); ok {
			place.TimeoutMs = time.Until(deadline).Milliseconds()
		}
		var has bool
		if err := n.network.Call(ctx, node, "Await", &place, &has); err == nil && has {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(awaitAgain):
		}
	}
}

// awaitEverywhere returns once every member has applied an entry that is committed.
func (n *Node) awaitEverywhere(ctx context.Context, s *shard, index uint64) error {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	others := slices.DeleteFunc(n.roster.Load().voting(), func(m Seat) bool { return m.ReplicaID == s.self })
	lacks := make(chan string, len(others))
	for _, m := range others {
		go func() {
			if n.hasPlace(ctx, m.ID, Place{Shard: s.id, Index: index}) {
				lacks <- ""
				return
			}
			lacks <- m.ID
		}()
	}
	var missing []string
	for range others {
		if id := <-lacks; id != "" {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fault.New(fault.Timeout, "unknown_outcome", "The write is committed, and not yet on every node; those that lack it: %s",
		strings.Join(missing, ", ")).With("committed", true).With("missing", missing)
}
