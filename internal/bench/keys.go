//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// What a node with many keys keeps its clients waiting for, and how soon it is back.

const (
	keyClients = 64
	fewKeys    = 1000
	// keySpans is how many times as long as other rows these are measured: what a node
	// does now and then has to happen a few times.
	keySpans = 10
	// fillTime is how long the keys may take to come.
	fillTime = 5 * time.Minute
)

// putAnswers counts the puts that are done and those that failed, and says when enough
// are done. A failed put does not end the load.
type putAnswers struct {
	httpAnswers
	count  *putCount
	enough int64
}

type putCount struct {
	done, failed atomic.Int64
	reached      chan struct{} // closed with the enoughth put
}

func (p putAnswers) check(answer []byte) error {
	if p.httpAnswers.check(answer) != nil {
		p.count.failed.Add(1)
		return nil
	}
	if p.count.done.Add(1) == p.enough {
		close(p.count.reached)
	}
	return nil
}

// keyPuts are the requests of each client that put so many keys, every key once and in
// no order.
func keyPuts(keys int) [][][]byte {
	order := rand.New(rand.NewPCG(1, uint64(keys))).Perm(keys)
	clients := make([][][]byte, keyClients)
	for i, key := range order {
		c := i % keyClients
		clients[c] = append(clients[c], post(fmt.Sprintf("/kv/bench/key-%07d", key), record()))
	}
	return clients
}

// putKeys has all clients put keys, for so long or until enough are done, and tells what
// that was, the failures and the bytes that the node wrote for each put.
func (b *bench) putKeys(s *server, requests [][][]byte, run time.Duration, enough int64) (out outcome, failed int64, perPut float64, err error) {
	count := &putCount{reached: make(chan struct{})}
	l := load{
		addresses: []string{s.address}, connections: keyClients, run: run, done: count.reached,
		protocol: putAnswers{count: count, enough: enough},
		greet:    func(_, number int) ([][]byte, error) { return requests[number], nil },
	}
	before, err := s.writtenBytes()
	if err != nil {
		return out, 0, 0, err
	}
	began := time.Now()
	if out, err = l.do(); err != nil {
		return out, 0, 0, err
	}
	if enough > 0 && count.done.Load() < enough {
		return out, 0, 0, fmt.Errorf("%d of %d puts were done after %v", count.done.Load(), enough, run)
	}
	out.perSecond = float64(count.done.Load()) / time.Since(began).Seconds()
	after, err := s.writtenBytes()
	return out, count.failed.Load(), float64(after-before) / float64(max(1, count.done.Load())), err
}

// manyKeys measures puts with few keys, while many come, and with many, and a kill with
// those.
func (b *bench) manyKeys() error {
	dir := filepath.Join(b.data, "keys")
	node, err := startLeat(b.ctx, b.binary, dir)
	if err != nil {
		return err
	}
	defer func() { node.kill() }()
	few, many := keyPuts(fewKeys), keyPuts(b.keys)
	var before outcome
	for _, step := range []struct {
		what     string
		requests [][][]byte
		run      time.Duration
		enough   int64
	}{
		{fmt.Sprintf("**leat kv put**, %d connections, %s keys", keyClients, amount(fewKeys)), few, keySpans * b.run, -1},
		{fmt.Sprintf("the same while the first %s keys come", amount(float64(b.keys))), many, fillTime, int64(b.keys)},
		{fmt.Sprintf("the same with %s keys", amount(float64(b.keys))), many, keySpans * b.run, -1},
	} {
		out, failed, perPut, err := b.putKeys(node, step.requests, step.run, step.enough)
		if err != nil {
			return fmt.Errorf("%s: %w: %s", step.what, err, lastLine(node.log.String()))
		}
		tail := out.latency.quantile(0.999)
		against := fmt.Sprintf("P99.9 %s, worst %s, failed %d, %s to the disk a put",
			latency(tail), latency(out.latency.quantile(1)), failed, amount(perPut)+"B")
		if before.latency.total > 0 {
			against += fmt.Sprintf("; P99.9 %.1f of that with few", float64(tail)/float64(before.latency.quantile(0.999)))
		} else {
			before = out
		}
		b.add(row{what: step.what, rate: amount(out.perSecond) + " req/s", p50: out.latency.quantile(0.5), p99: out.latency.quantile(0.99), against: against})
	}
	return b.killWithKeys(&node, dir)
}

// killWithKeys kills the node and starts it again.
func (b *bench) killWithKeys(node **server, dir string) error {
	had, err := (*node).residentBytes()
	if err != nil {
		return err
	}
	(*node).kill()
	began := time.Now()
	again, err := startLeat(b.ctx, b.binary, dir)
	if err != nil {
		return err
	}
	took := time.Since(began)
	*node = again
	has, err := again.residentBytes()
	if err != nil {
		return err
	}
	b.add(row{
		what: fmt.Sprintf("SIGKILL with %s keys, until ready", amount(float64(b.keys))), rate: latency(took),
		against: fmt.Sprintf("memory %d MiB before, %d MiB after", had>>20, has>>20),
	})
	return nil
}

// writtenBytes is what the process has had written to the disk.
func (s *server) writtenBytes() (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/io")
	if err != nil {
		return 0, fmt.Errorf("read the bytes written: %w", err)
	}
	_, after, found := bytes.Cut(text, []byte("\nwrite_bytes:"))
	fields := bytes.Fields(after)
	if !found || len(fields) == 0 {
		return 0, fmt.Errorf("read the bytes written: /proc has another form")
	}
	return strconv.ParseInt(string(fields[0]), 10, 64)
}
