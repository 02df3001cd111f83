//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startEtcd starts a cluster of three etcd members. The addresses are those of clients.
func startEtcd(ctx context.Context, peers, dir string) (all []*server, err error) {
	var clients, between [3]int
	var members []string
	for i := range clients {
		for _, port := range []*int{&clients[i], &between[i]} {
			if *port, err = freePort(); err != nil {
				return nil, err
			}
		}
		members = append(members, fmt.Sprintf("e%d=http://127.0.0.1:%d", i, between[i]))
	}
	for i := range clients {
		name := "e" + strconv.Itoa(i)
		client, peer := fmt.Sprintf("http://127.0.0.1:%d", clients[i]), fmt.Sprintf("http://127.0.0.1:%d", between[i])
		s, err := startAt(ctx, clients[i], peers, "etcd", "--name", name, "--data-dir", filepath.Join(dir, name),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new",
			"--quota-backend-bytes", "8589934592", "--log-level", "error")
		if err != nil {
			killAll(all)
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// etcdAt is a contestant that puts values with etcd's own client, a key a connection.
func (b *bench) etcdAt(all []*server, connections int) contestant {
	return b.counted("etcd", func() (out outcome, err error) {
		args := []string{"etcd-put", strconv.Itoa(connections), warmUp.String(), b.run.String()}
		for _, s := range all {
			args = append(args, s.address)
		}
		cmd := exec.CommandContext(b.ctx, b.peers, args...)
		var failure bytes.Buffer
		cmd.Stderr = &failure
		latencies, err := cmd.Output()
		if err != nil {
			return out, fmt.Errorf("put to etcd: %w: %s", err, clip(failure.Bytes()))
		}
		for lines := bufio.NewScanner(bytes.NewReader(latencies)); lines.Scan(); {
			ns, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				return out, fmt.Errorf("put to etcd: %w", err)
			}
			out.latency.add(time.Duration(ns))
		}
		out.perSecond = float64(out.latency.total) / b.run.Seconds()
		out.answers = out.latency.total
		return out, nil
	}, all...)
}
