//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// trio is a cluster of three nodes on this machine.
type trio struct {
	binary     string
	dir        string
	priorities [3]int
	ports      [3]int // of HTTP
	list       string // for --nodes
	nodes      [3]*server
}

// newTrio chooses the ports of a cluster whose nodes have these priorities. It starts
// nothing.
func newTrio(binary, dir string, priorities [3]int) (*trio, error) {
	t := &trio{binary: binary, dir: dir, priorities: priorities}
	var nodes []string
	for i := range t.nodes {
		var raft int
		for _, port := range []*int{&t.ports[i], &raft} {
			var err error
			if *port, err = freePort(); err != nil {
				return nil, err
			}
		}
		nodes = append(nodes, fmt.Sprintf("n%d:127.0.0.1:%d:%d:%d", i+1, raft, priorities[i], t.ports[i]))
	}
	t.list = strings.Join(nodes, ",")
	return t, nil
}

func (t *trio) nodeDir(i int) string { return filepath.Join(t.dir, "n"+strconv.Itoa(i+1)) }

// startNode starts one node and returns once it is ready.
func (t *trio) startNode(ctx context.Context, i int) (err error) {
	t.nodes[i], err = start(ctx, "leat ready http://", t.binary, "serve", "--port", strconv.Itoa(t.ports[i]),
		"--data-dir", t.nodeDir(i), "--node-id", "n"+strconv.Itoa(i+1), "--nodes", t.list)
	return err
}

// start starts all nodes and returns once all are ready.
func (t *trio) start(ctx context.Context) error {
	var starting sync.WaitGroup
	var errs [3]error
	for i := range t.nodes {
		starting.Go(func() { errs[i] = t.startNode(ctx, i) })
	}
	starting.Wait()
	return errors.Join(errs[:]...)
}

// leading is how many of the nodes, the first ones, lead something.
func (t *trio) leading() (n int) {
	for _, p := range t.priorities {
		if p == slices.Max(t.priorities[:]) {
			n++
		}
	}
	return n
}

// kill ends all nodes at once.
func (t *trio) kill() {
	killAll(t.nodes[:])
	t.nodes = [3]*server{}
}

// shardState is where a node says that a shard stands.
type shardState struct {
	Kind    string `json:"kind"`
	Leader  string `json:"leader_id"`
	Applied uint64 `json:"applied_index"`
}

// shards tells where a node says that the data shards stand.
func (t *trio) shards(ctx context.Context, i int) (all []shardState, err error) {
	answer, err := t.nodes[i].call(ctx, "GET", "/cluster", nil)
	if err != nil {
		return nil, err
	}
	var cluster struct {
		Shards []shardState `json:"shards"`
	}
	if err := json.Unmarshal(answer, &cluster); err != nil {
		return nil, fmt.Errorf("read where the shards stand: %w: %s", err, clip(answer))
	}
	return slices.DeleteFunc(cluster.Shards, func(s shardState) bool { return s.Kind != "data" }), nil
}

// await waits until each of the nodes that are to lead does.
func (t *trio) await(ctx context.Context) error {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		all, err := t.shards(ctx, 0)
		led := make(map[string]bool)
		for _, s := range all {
			led[s.Leader] = true
		}
		done := err == nil && len(led) == t.leading()
		for i := range t.leading() {
			done = done && led["n"+strconv.Itoa(i+1)]
		}
		if done {
			return nil
		}
		if time.Since(began) > startTime || ctx.Err() != nil {
			return fmt.Errorf("the shards are led by %v: %w", all, errors.Join(err, ctx.Err()))
		}
	}
}

// addresses of the nodes that lead.
func (t *trio) addresses() []string {
	var all []string
	for _, s := range t.nodes[:t.leading()] {
		all = append(all, s.address)
	}
	return all
}

// lastWords are the ends of the logs.
func (t *trio) lastWords() string {
	var b bytes.Buffer
	for i, s := range t.nodes {
		if s != nil {
			fmt.Fprintf(&b, "n%d: %s ", i+1, lastLine(s.log.String()))
		}
	}
	return b.String()
}
