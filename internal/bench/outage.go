//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// What a cluster does while nodes are away and when they come back.

// fillTrio writes records through the node that leads, a thousand a call.
func (b *bench) fillTrio(t *trio, records int) (took time.Duration, err error) {
	const connections = 4
	body := bytes.Repeat(append(record(), '\n'), batch)
	calls := make(chan struct{}, records/batch)
	for range records / batch {
		calls <- struct{}{}
	}
	close(calls)
	var filling sync.WaitGroup
	errs := make([]error, connections)
	began := time.Now()
	for i := range connections {
		filling.Go(func() {
			for range calls {
				if _, errs[i] = t.nodes[0].call(b.ctx, "POST", clusterPath+"-ndjson", body); errs[i] != nil {
					return
				}
			}
		})
	}
	filling.Wait()
	return time.Since(began), errors.Join(errs...)
}

// restart starts all nodes, and answers how long after that one of them acknowledged a
// record.
func (t *trio) restart(ctx context.Context) (took time.Duration, err error) {
	const patience, pause = 500 * time.Millisecond, 5 * time.Millisecond
	began := time.Now()
	starting := make(chan error, 1)
	go func() { starting <- t.start(ctx) }()
	for i := 0; took == 0; i++ {
		once, cancel := context.WithTimeout(ctx, patience)
		node := server{address: "127.0.0.1:" + strconv.Itoa(t.ports[i%len(t.ports)])}
		answer, failure := node.call(once, "POST", clusterPath, record())
		cancel()
		switch {
		case failure == nil && bytes.Contains(answer, durable().contains):
			took = time.Since(began)
		case time.Since(began) > startTime || ctx.Err() != nil:
			return 0, fmt.Errorf("no node takes a write: %w: %s", errors.Join(failure, ctx.Err(), <-starting), clip(answer))
		default:
			time.Sleep(pause)
		}
	}
	return took, <-starting
}

// resume measures how long writes stop when the node that leads is killed under load.
func (b *bench) resume() error {
	t, err := b.startTrio("resume", [3]int{1, 1, 1})
	if err != nil {
		return err
	}
	defer t.kill()
	const kills, clients = 11, 16
	var stopped []time.Duration
	for n := range kills {
		took, err := b.killLeader(t, clients)
		if err != nil {
			return fmt.Errorf("kill %d: %w: %s", n+1, err, t.lastWords())
		}
		stopped = append(stopped, took)
	}
	slices.Sort(stopped)
	b.add(row{
		what: fmt.Sprintf("SIGKILL of the leader of 3 nodes, %d clients, %d times: writes resume after, median and worst", clients, kills),
		rate: latency(stopped[kills/2]) + ", " + latency(stopped[kills-1]),
	})
	return nil
}

// killLeader kills the node that leads the first partition while clients write to it,
// starts it again, and answers the time from the kill to the first record that was
// written and acknowledged after it.
func (b *bench) killLeader(t *trio, clients int) (time.Duration, error) {
	at := 0
	for i := range t.nodes {
		all, err := t.shards(b.ctx, i)
		if err != nil {
			return 0, err
		}
		if slices.ContainsFunc(all[:1], func(s shardState) bool { return s.Leader == "n"+strconv.Itoa(i+1) }) {
			at = i
		}
	}
	ctx, end := context.WithCancel(b.ctx)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer end()
	var killed atomic.Int64 // when, in nanoseconds
	resumed := make(chan time.Duration, clients)
	address := [3]string{t.nodes[0].address, t.nodes[1].address, t.nodes[2].address}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	for c := range clients {
		writing.Go(func() {
			for node := c; ctx.Err() == nil; {
				began := time.Now()
				ok := writeOnce(ctx, client, address[node%3])
				if !ok {
					node++
				}
				if at := killed.Load(); ok && at != 0 && began.UnixNano() > at {
					resumed <- time.Duration(time.Now().UnixNano() - at)
					return
				}
			}
		})
	}
	time.Sleep(300 * time.Millisecond) // of load
	_ = t.nodes[at].cmd.Process.Kill()
	killed.Store(time.Now().UnixNano())
	var took time.Duration
	select {
	case took = <-resumed:
	case <-time.After(startTime):
		return 0, errors.New("writes do not resume")
	}
	end()
	t.nodes[at].kill()
	return took, t.startNode(b.ctx, at)
}

// writeOnce writes a record to the first partition, and tells whether it was acknowledged.
func writeOnce(ctx context.Context, client *http.Client, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "POST", "http://"+address+clusterPath+"?partition=0", bytes.NewReader(record()))
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(response.Body)
	return err == nil && response.StatusCode == http.StatusOK && bytes.Contains(answer.Bytes(), durable().contains)
}

// killAllThree measures how soon a cluster writes again after all of it was killed.
func (b *bench) killAllThree() error {
	t, err := b.startTrio("killed", [3]int{2, 1, 1})
	if err != nil {
		return err
	}
	defer t.kill()
	have := 0
	for _, records := range []int{b.records / 10, b.records} {
		took, err := b.fillTrio(t, records-have)
		if err != nil {
			return fmt.Errorf("%w: %s", err, t.lastWords())
		}
		rate := amount(float64(records-have)/took.Seconds()) + " records/s"
		have = records
		t.kill()
		if took, err = t.restart(b.ctx); err != nil {
			return fmt.Errorf("%w: %s", err, t.lastWords())
		}
		b.add(row{
			what: fmt.Sprintf("SIGKILL of all 3 nodes with %s records, from the start to the first write", amount(float64(records))),
			rate: latency(took), against: "filled at " + rate,
		})
		if err := t.await(b.ctx); err != nil {
			return err
		}
	}
	return nil
}

// behind measures a follower that has missed records: how long it takes to catch up,
// and what that does to those who write meanwhile.
func (b *bench) behind() error {
	t, err := b.startTrio("behind", [3]int{2, 1, 1})
	if err != nil {
		return err
	}
	defer t.kill()
	const away, connections = 2, 16
	t.nodes[away].kill()
	t.nodes[away] = nil
	if _, err := b.fillTrio(t, b.records); err != nil {
		return fmt.Errorf("%w: %s", err, t.lastWords())
	}
	l := load{
		addresses: t.addresses(), connections: connections, protocol: durable(),
		requests: [][]byte{post(clusterPath, record())}, warm: warmUp, run: 5 * time.Second,
	}
	before, err := l.do()
	if err != nil {
		return err
	}
	had, err := diskBytes(filepath.Join(t.nodeDir(away), "shards"))
	if err != nil {
		return err
	}
	began := time.Now()
	starting := make(chan error, 1)
	go func() { starting <- t.startNode(b.ctx, away) }()
	// The load ends by itself when the node has caught up.
	l.warm, l.run = 0, startTime
	caught := make(chan struct{})
	l.done = caught
	var took time.Duration
	var failure error
	go func() {
		defer close(caught)
		if failure = <-starting; failure == nil {
			failure = t.awaitLevel(b.ctx, away)
		}
		took = time.Since(began)
	}()
	during, err := l.do()
	<-caught
	if err = errors.Join(err, failure); err != nil {
		return fmt.Errorf("%w: %s", err, t.lastWords())
	}
	has, err := diskBytes(filepath.Join(t.nodeDir(away), "shards"))
	if err != nil {
		return err
	}
	b.add(
		row{
			what: fmt.Sprintf("follower %s records behind, caught up after its start", amount(float64(b.records))),
			rate: latency(took), against: amount(float64(has-had)) + "B written there",
		},
		row{
			what: fmt.Sprintf("produce meanwhile, %d connections", connections),
			rate: amount(float64(during.latency.total)/took.Seconds()) + " req/s", p50: during.latency.quantile(0.5), p99: during.latency.quantile(0.99),
			against: fmt.Sprintf("P99 %.2f of that before", float64(during.latency.quantile(0.99))/float64(before.latency.quantile(0.99))),
		},
		row{
			what: fmt.Sprintf("produce before, with 2 nodes, %d connections", connections),
			rate: amount(before.perSecond) + " req/s", p50: before.latency.quantile(0.5), p99: before.latency.quantile(0.99),
		})
	return nil
}

// awaitLevel waits until a node has applied all that the first one has, but for what
// comes meanwhile.
func (t *trio) awaitLevel(ctx context.Context, i int) error {
	const near = 200 // entries that come while it is asked
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		lead, err1 := t.shards(ctx, 0)
		follow, err2 := t.shards(ctx, i)
		if err1 == nil && err2 == nil && follow[0].Applied+near >= lead[0].Applied {
			return nil
		}
		if time.Since(began) > startTime || ctx.Err() != nil {
			return fmt.Errorf("node n%d stands at %v where %v is due: %w", i+1, follow, lead, errors.Join(err1, err2, ctx.Err()))
		}
	}
}
