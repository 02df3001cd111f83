package peer

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"leat/internal/fault"
)

// A connection begins with a hello of the side that dials and ends its opening
// with the answer, each
//
//	0          8                12
//	+----------+----------------+------------- - - -
//	| LEATPEER | length (u32)   | JSON
//	+----------+----------------+------------- - - -
//
// little endian. After it come frames (frame.go) or calls (calls.go), as the hello's
// kind says.
const (
	helloMagic    = "LEATPEER"
	helloHeader   = len(helloMagic) + 4
	helloVersion  = 1
	maxHelloBytes = 4 << 10
)

// What a connection is for.
const (
	kindRaft     = "raft"     // frames of messages, from the side that dialled
	kindSnapshot = "snapshot" // frames of a snapshot's chunks
	kindCalls    = "calls"    // calls and their answers
	kindProbe    = "probe"    // nothing: would you know me?
)

// Hello is how one node makes itself known to another.
type Hello struct {
	Version int    `json:"version"`
	Kind    string `json:"kind"`
	Cluster string `json:"cluster"` // the same on all nodes of a cluster, and on no other
	Node    string `json:"node"`
	To      string `json:"to"` // the node it means to talk to
	// Replica is the number of the node's replicas, which stands for one data directory.
	Replica uint64 `json:"replica,omitempty"`
	// Ends is where its raft log ends in each shard, in a probe of a node that starts.
	Ends map[uint64]uint64 `json:"ends,omitempty"`
	// Incarnation is different for every data directory ever made.
	Incarnation string `json:"incarnation"`
	// URL is where clients reach the node, "" where it serves none.
	URL string `json:"url,omitempty"`
}

// welcome is the answer to a hello: who answers, or why not.
type welcome struct {
	Hello
	Code    string `json:"code,omitempty"` // of the refusal, "" = welcome
	Message string `json:"message,omitempty"`
}

func writeHello(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a hello: %w", err)
	}
	out := append([]byte(helloMagic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[len(helloMagic):], uint32(len(body)))
	_, err = w.Write(append(out, body...))
	return err
}

func readHello(r io.Reader, into any) error {
	var head [helloHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("read a hello: %w", err)
	}
	size := binary.LittleEndian.Uint32(head[len(helloMagic):])
	if string(head[:len(helloMagic)]) != helloMagic || size > maxHelloBytes {
		return fault.New(fault.Invalid, codeHello, "the other side of the connection is no node of Leat")
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return fmt.Errorf("read a hello: %w", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.New(fault.Invalid, codeHello, "read a hello: %w", err)
	}
	return nil
}

// check refuses a hello that is not for this node; who it is from is for the members
// to judge.
func (h *Hello) check(self *Hello) error {
	switch {
	case h.Version != helloVersion:
		return fault.New(fault.Unsupported, "other_version", "node %q speaks version %d of the protocol between nodes, this one %d", h.Node, h.Version, helloVersion)
	case h.Cluster != self.Cluster:
		return fault.New(fault.Conflict, "other_cluster", "node %q belongs to another cluster than %q: the lists of nodes they were first started with differ", h.Node, self.Node)
	case h.To != self.Node:
		return fault.New(fault.Conflict, "other_node", "node %q meant to reach %q and reached %q: check the addresses of the list of nodes", h.Node, h.To, self.Node)
	}
	return nil
}
