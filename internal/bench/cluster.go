//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
)

// clusterPath is where single records go. The topic is of one partition, as the stream
// of NATS is.
const clusterPath = "/broker/topics/bench/produce"

// cluster measures three nodes on this machine beside clusters of other systems. Of
// each the connections go to the one that leads.
func (b *bench) cluster() error {
	t, err := b.startTrio("cluster", [3]int{2, 1, 1})
	if err != nil {
		return err
	}
	defer t.kill()
	others, err := b.startOthers()
	if err != nil {
		return err
	}
	defer others.kill()
	for _, connections := range []int{400, 64, 1} {
		if err := b.clusterProduce(t, others, connections); err != nil {
			return fmt.Errorf("%w: %s", err, t.lastWords())
		}
	}
	if err := b.clusterLines(t); err != nil {
		return fmt.Errorf("%w: %s", err, t.lastWords())
	}
	return nil
}

// clusterSpread measures three nodes of which each leads a third of the partitions.
func (b *bench) clusterSpread() error {
	t, err := b.startTrio("spread", [3]int{1, 1, 1})
	if err != nil {
		return err
	}
	defer t.kill()
	for _, connections := range []int{400, 64} {
		all, err := alternate(b.rounds, b.noopAt(connections), b.onTrio(t, connections))
		if err != nil {
			return fmt.Errorf("%w: %s", err, t.lastWords())
		}
		b.add(rowOf(fmt.Sprintf("**leat produce**, 3 nodes that lead a third each, %d connections", connections), "req/s", 1, all[1],
			fmt.Sprintf("%.2f of the no-op handler", all[1].ratio(all[0]))))
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
func (b *bench) clusterProduce(t *trio, o others, connections int) error {
	at := ", " + plural(connections, "connection")
	sides := []contestant{b.noopAt(connections), b.onTrio(t, connections)}
	if o.nats != nil {
		sides = append(sides, b.natsAt(o.nats, connections, b.run), b.etcdAt(o.etcd, connections))
	}
	all, err := alternate(b.rounds, sides...)
	if err != nil {
		return err
	}
	against := fmt.Sprintf("%.2f of the no-op handler", all[1].ratio(all[0]))
	if o.nats != nil {
		against += fmt.Sprintf(", %.2f of NATS, %.2f of etcd", all[1].ratio(all[2]), all[1].ratio(all[3]))
	}
	b.add(rowOf("**leat produce**, 3 nodes"+at, "req/s", 1, all[1], against), rowOf("no-op fiber handler, beside the 3 nodes"+at, "req/s", 1, all[0], ""))
	nats, etcd := "NATS JetStream R3, sync always"+at, "etcd, 3 members"+at
	if o.nats == nil {
		b.add(row{what: nats, against: notInstalled}, row{what: etcd, against: notInstalled})
		return nil
	}
	b.add(rowOf(nats, "msg/s", 1, all[2], ""), rowOf(etcd, "puts/s", 1, all[3], ""))
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
