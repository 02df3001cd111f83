package dataflow

import (
	"fmt"
	"slices"
	"strings"
)

// Graph is a directed acyclic graph of operators. Its first nodes are the inputs, in
// the order given: a batch enters at the one that its source partition belongs to.
// Nodes are numbered in the order they were added, every edge leads
// from a lower number to a higher one, and rows that reach a node without
// successors leave through the sink. The numbers are part of the state's keys.
//
// Process may be called at the same time for batches of different sources, with a sink
// for each. Every other method is called alone.
type Graph struct {
	nodes   []*node
	entries []int  // by source: the node of its input
	sinks   []Sink // by source + 1: of the call that is going on
}

// Input is where batches of some source partitions come in, described by Text. Source
// partitions are numbered through, those of the first input first.
type Input struct {
	Text       string
	Partitions int
}

type node struct {
	name, text string
	op         Operator
	can        capabilities
	inputs     []int
	outputs    []edge
	ports      []port // by source + 1
	mark       Time   // of Advance: the watermark behind the node
}

// edge leads to input number input of a node.
type edge struct{ node, input int }

// NewGraph starts a graph with its inputs, the k-th of which is node k.
func NewGraph(inputs ...Input) *Graph {
	g := &Graph{}
	for k, in := range inputs {
		for range in.Partitions {
			g.entries = append(g.entries, k)
		}
	}
	g.sinks = make([]Sink, len(g.entries)+1)
	for _, in := range inputs {
		g.add("source", in.Text, nil)
	}
	return g
}

// Add puts an operator behind the nodes from, the k-th of which feeds its input
// k, and returns the new node's number. Name is the word for the kind of
// operator, which dead letters carry, text what it does.
func (g *Graph) Add(name, text string, op Operator, from ...int) int {
	n := g.add(name, text, op)
	for input, f := range from {
		g.nodes[n].inputs = append(g.nodes[n].inputs, f)
		g.nodes[f].outputs = append(g.nodes[f].outputs, edge{n, input})
	}
	return n
}

func (g *Graph) add(name, text string, op Operator) int {
	n := len(g.nodes)
	added := &node{name: name, text: text, op: op, can: capabilitiesOf(op), ports: make([]port, len(g.sinks))}
	for i := range added.ports {
		added.ports[i] = port{graph: g, node: n, sink: &g.sinks[i]}
	}
	g.nodes = append(g.nodes, added)
	return n
}

// String prints one line per node: number, name, text and the nodes it reads
// from. The form is stable.
func (g *Graph) String() string {
	var b strings.Builder
	for i, n := range g.nodes {
		fmt.Fprintf(&b, "%d %s", i, n.name)
		if n.text != "" {
			b.WriteString(" " + n.text)
		}
		for k, from := range n.inputs {
			if k == 0 {
				b.WriteString(" <-")
			}
			fmt.Fprintf(&b, " %d", from)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Process sends a source batch through the graph. All that comes of it goes to sink,
// whatever other calls go on.
func (g *Graph) Process(b *Batch, sink Sink) error {
	g.sinks[b.Source+1] = sink
	return g.nodes[g.entries[b.Source]].ports[b.Source+1].Emit(b)
}

// Advance tells every operator the watermark: the one that its inputs have come to. It
// returns done = false as soon as one holds more output than it could give, and is then
// called again. moved tells that some output has been taken, by the sink or by an
// operator; without it nothing is given away before the sink has room.
func (g *Graph) Advance(w Time, sink Sink) (done, moved bool, err error) {
	g.sinks[0] = sink
	for _, n := range g.nodes {
		n.mark = w
		for _, from := range n.inputs {
			n.mark = min(n.mark, g.nodes[from].mark)
		}
		if n.can.timers != nil {
			out := &watched{port: &n.ports[0]}
			done, err := n.can.timers.OnWatermark(n.mark, out)
			if err != nil {
				return false, false, fmt.Errorf("%s: %w", n.name, err)
			}
			if !done {
				return false, out.moved, nil
			}
		}
		if n.can.holder != nil {
			n.mark = n.can.holder.Behind(n.mark)
		}
	}
	return true, true, nil
}

// watched is a port that notes that something has gone through.
type watched struct {
	*port
	moved bool
}

func (w *watched) Emit(b *Batch) error {
	err := w.port.Emit(b)
	w.moved = w.moved || err == nil
	return err
}

// Changes has every operator give out what has changed, as Advance does.
func (g *Graph) Changes(sink Sink) (done, moved bool, err error) {
	g.sinks[0] = sink
	for _, n := range g.nodes {
		if n.can.change == nil {
			continue
		}
		out := &watched{port: &n.ports[0]}
		done, err := n.can.change.OnChanges(out)
		if err != nil {
			return false, false, fmt.Errorf("%s: %w", n.name, err)
		}
		if !done {
			return false, out.moved, nil
		}
	}
	return true, true, nil
}

// Snapshot writes the state of all operators.
func (g *Graph) Snapshot(w *StateWriter) error {
	for i, n := range g.nodes {
		if n.can.state == nil {
			continue
		}
		w.node = byte(i)
		if err := n.can.state.Snapshot(w); err != nil {
			return fmt.Errorf("write the state of %s: %w", n.name, err)
		}
	}
	return w.err
}

// Restore applies one record of the state log.
func (g *Graph) Restore(key, value []byte) error {
	e, at, err := decodeState(key, value)
	if err != nil {
		return err
	}
	if at >= len(g.nodes) || g.nodes[at].can.state == nil {
		return fmt.Errorf("the state log has an entry for node %d, which keeps no state", at)
	}
	if err := g.nodes[at].can.state.Restore(e); err != nil {
		return fmt.Errorf("restore the state of %s: %w", g.nodes[at].name, err)
	}
	return nil
}

// StateBytes is the memory that the operators' state takes.
func (g *Graph) StateBytes() int64 {
	return g.sum(Stateful.StateBytes)
}

// StateBytesOf is the memory that the state of one operator, which keeps some, takes.
func (g *Graph) StateBytesOf(node int) int64 { return g.nodes[node].can.state.StateBytes() }

// ChangedBytes is about what the next incremental Snapshot will write.
func (g *Graph) ChangedBytes() int64 {
	return g.sum(Stateful.ChangedBytes)
}

func (g *Graph) sum(of func(Stateful) int64) int64 {
	var total int64
	for _, n := range g.nodes {
		if n.can.state != nil {
			total += of(n.can.state)
		}
	}
	return total
}

// Stateful tells whether an operator keeps state: then a batch that has been processed
// cannot be taken back.
func (g *Graph) Stateful() bool {
	return slices.ContainsFunc(g.nodes, func(n *node) bool { return n.can.state != nil })
}

// port is the Emitter of one node for what comes of one source.
type port struct {
	graph *Graph
	node  int
	sink  *Sink
}

func (p *port) Emit(b *Batch) error {
	outputs := p.graph.nodes[p.node].outputs
	switch len(outputs) {
	case 0:
		return (*p.sink).Rows(b)
	case 1:
		return p.deliver(outputs[0], b)
	}
	for _, to := range outputs {
		branch := *b // each branch selects for itself
		branch.Selected = slices.Clone(b.Selected)
		if err := p.deliver(to, &branch); err != nil {
			return err
		}
	}
	return nil
}

func (p *port) deliver(to edge, b *Batch) error {
	n := p.graph.nodes[to.node]
	return n.op.Process(to.input, b, &n.ports[b.Source+1])
}

func (p *port) Filtered(rows int)   { (*p.sink).Filtered(rows) }
func (p *port) Used(rows int)       { (*p.sink).Used(rows) }
func (p *port) LateWindows(n int64) { (*p.sink).LateWindows(n) }
func (p *port) Full() bool          { return (*p.sink).Full() }

func (p *port) Late(b *Batch, row int, start, end Time) {
	(*p.sink).Late(b, row, start, end)
}

func (p *port) Dead(b *Batch, row int, reason string) {
	(*p.sink).Dead(b, row, p.graph.nodes[p.node].name, reason)
}
