//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
)

// clusterPath is where single records go. The topic has a partition for each node that
// leads.
const clusterPath = "/broker/topics/bench/produce"

// cluster measures three nodes on this machine, of which each leads a third as by
// default or one leads everything, beside clusters of other systems. Of each the
// connections go to those that lead.
func (b *bench) cluster() (err error) {
	thirds, err := b.startTrio("thirds", [3]int{1, 1, 1})
	if err != nil {
		return err
	}
	defer thirds.kill()
	one, err := b.startTrio("one", [3]int{2, 1, 1})
	if err != nil {
		return err
	}
	defer one.kill()
	others, err := b.startOthers()
	if err != nil {
		return err
	}
	defer others.kill()
	for _, connections := range []int{400, 64, 1} {
		if err := b.clusterProduce(thirds, one, others, connections); err != nil {
			return fmt.Errorf("%w: %s %s", err, thirds.lastWords(), one.lastWords())
		}
	}
	if err := b.clusterLines(one); err != nil {
		return fmt.Errorf("%w: %s", err, one.lastWords())
	}
	return nil
}

// startTrio starts a cluster, and returns once it is led as the priorities say and has
// the topic.
func (b *bench) startTrio(name string, priorities [3]int) (*trio, error) {
	t, err := newTrio(b.binary, filepath.Join(b.data, name), priorities)
	if err == nil {
		err = t.start(b.ctx)
	}
	if err == nil {
		err = t.await(b.ctx)
	}
	if err == nil {
		_, err = t.nodes[0].call(b.ctx, "POST", "/broker/topics", fmt.Appendf(nil, `{"name":"bench","partitions":%d}`, t.leading()))
	}
	if err != nil {
		if t != nil {
			err = fmt.Errorf("%w: %s", err, t.lastWords())
			t.kill()
		}
		return nil, err
	}
	return t, nil
}

// onTrio is a contestant that produces to the nodes that lead.
func (b *bench) onTrio(t *trio, connections int) contestant {
	l := load{addresses: t.addresses(), connections: connections, protocol: durable(), requests: [][]byte{post(clusterPath, record())}}
	return b.contest("leat", l, t.nodes[:]...)
}

// clusterProduce measures single records.
func (b *bench) clusterProduce(thirds, one *trio, o others, connections int) error {
	at := ", " + plural(connections, "connection")
	sides := []contestant{b.noopAt(connections), b.onTrio(one, connections), b.onTrio(thirds, connections)}
	if o.nats != nil {
		sides = append(sides, b.natsAt(o.nats, connections, b.run), b.etcdAt(o.etcd, connections))
	}
	all, err := alternate(b.rounds, sides...)
	if err != nil {
		return err
	}
	against := func(s series) string {
		text := fmt.Sprintf("%.2f of the no-op handler", s.ratio(all[0]))
		if o.nats != nil {
			text += fmt.Sprintf(", %.2f of NATS, %.2f of etcd", s.ratio(all[3]), s.ratio(all[4]))
		}
		return text
	}
	b.add(
		rowOf("**leat produce**, 3 nodes"+at, "req/s", 1, all[1], against(all[1])),
		rowOf("**leat produce**, 3 nodes that lead a third each"+at, "req/s", 1, all[2], against(all[2])),
		rowOf("no-op fiber handler, beside the 3 nodes"+at, "req/s", 1, all[0], ""))
	nats, etcd := "NATS JetStream R3, sync always"+at, "etcd, 3 members"+at
	if o.nats == nil {
		b.add(row{what: nats, against: notInstalled}, row{what: etcd, against: notInstalled})
		return nil
	}
	b.add(rowOf(nats, "msg/s", 1, all[3], ""), rowOf(etcd, "puts/s", 1, all[4], ""))
	return nil
}

// clusterLines measures large requests.
func (b *bench) clusterLines(t *trio) error {
	const connections = 16
	body := bytes.Repeat(append(record(), '\n'), batch)
	l := load{addresses: t.addresses(), connections: connections, protocol: durable(), requests: [][]byte{post(clusterPath+"-ndjson", body)}}
	all, err := alternate(b.rounds, b.contest("leat", l, t.nodes[:]...))
	if err != nil {
		return err
	}
	b.add(rowOf(fmt.Sprintf("**leat produce-ndjson**, 3 nodes, ×%d, %d connections", batch, connections), "records/s", batch, all[0], ""))
	return nil
}

// others are other systems, each a cluster of three; nil where they are not there.
type others struct{ nats, etcd []*server }

// notInstalled stands in the row of a system that is not there.
const notInstalled = "not installed"

// startOthers starts the other systems.
func (b *bench) startOthers() (o others, err error) {
	if b.peers == "" {
		b.peers = b.buildPeers()
	}
	if b.peers == "" {
		return o, nil
	}
	if o.nats, err = startNats(b.ctx, b.peers, b.data, 3); err != nil {
		return o, err
	}
	if o.etcd, err = startEtcd(b.ctx, b.peers, b.data); err != nil {
		o.kill()
	}
	return o, err
}

func (o *others) kill() {
	killAll(o.nats)
	killAll(o.etcd)
}

// buildPeers compiles the other systems into the directory of the data; "" where their
// sources cannot be had.
func (b *bench) buildPeers() string {
	root, err := exec.CommandContext(b.ctx, "go", "list", "-m", "-f", "{{.Dir}}", "leat").Output()
	if err != nil {
		return ""
	}
	path := filepath.Join(b.data, "peers")
	cmd := exec.CommandContext(b.ctx, "go", "build", "-o", path, ".")
	cmd.Dir = filepath.Join(string(bytes.TrimSpace(root)), "internal", "bench", "testdata", "peers")
	if cmd.Run() != nil {
		return ""
	}
	return path
}
