package jsoncodec

import "leat/codecs"

// manyMembers is the number of members from which on a map is faster than a look at
// each.
const manyMembers = 9

// node is a place in a record that some path leads to or through. The paths of a
// decoder form a tree of nodes.
type node struct {
	columns  []int // that the value here fills
	below    []int // columns of all nodes below; nil for a leaf
	members  []memberEdge
	byName   map[string]*node // all members, once there are manyMembers
	elements []elementEdge
	order    order
	seen     uint64 // Decoder.stamp of the last record with a value here
}

type memberEdge struct {
	name string
	node *node
}

type elementEdge struct {
	index int
	node  *node
}

// add makes column the one that is filled from steps, seen from n.
func (n *node) add(steps []codecs.Step, column int) {
	if len(steps) == 0 {
		n.columns = append(n.columns, column)
		return
	}
	n.below = append(n.below, column)
	var child *node
	if s := steps[0]; s.IsIndex {
		if child = n.element(s.Index); child == nil {
			child = &node{}
			n.elements = append(n.elements, elementEdge{s.Index, child})
		}
	} else if child = n.member([]byte(s.Member)); child == nil {
		child = &node{}
		n.addMember(s.Member, child)
	}
	child.add(steps[1:], column)
}

func (n *node) addMember(name string, child *node) {
	n.members = append(n.members, memberEdge{name, child})
	if len(n.members) == manyMembers {
		n.byName = make(map[string]*node, 2*manyMembers)
		for _, e := range n.members {
			n.byName[e.name] = e.node
		}
	} else if n.byName != nil {
		n.byName[name] = child
	}
}

// member is the node of the named member, or nil.
func (n *node) member(name []byte) *node {
	if n.byName != nil {
		return n.byName[string(name)]
	}
	for k := range n.members {
		if n.members[k].name == string(name) {
			return n.members[k].node
		}
	}
	return nil
}

// element is the node of the array element at index, or nil.
func (n *node) element(index int) *node {
	for k := range n.elements {
		if n.elements[k].index == index {
			return n.elements[k].node
		}
	}
	return nil
}
