//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// group measures some rows that belong together.
type group struct {
	name    string
	measure func() error
}

func (b *bench) groups() []group {
	groups := []group{
		{"produce-400", func() error { return b.produce(400) }},
		{"produce-64", func() error { return b.produce(64) }},
		{"produce-1", b.produceAlone},
		{"ndjson", b.ndjson},
		{"consume", b.consume},
		{"stream", b.stream},
		{"kv", b.documents},
		{"query", b.query},
		{"formats", b.formats},
		{"engine", b.engine},
		{"join", b.join},
		{"sink", b.toTopic},
		{"flat", b.flat},
		{"cluster", b.cluster},
		{"nexmark", b.nexmark},
	}
	if b.long {
		groups = append(groups, group{"restart", b.restart}, group{"keys", b.manyKeys}, group{"resume", b.resume}, group{"behind", b.behind}, group{"killed", b.killAllThree})
	}
	return groups
}

const (
	recordBytes = 64
	partitions  = 8
	batch       = 1000
)

func record() []byte { return bytes.Repeat([]byte("x"), recordBytes) }

// against is a contestant that sends the same request over and over.
func (b *bench) against(name string, s *server, connections int, p protocol, requests ...[]byte) contestant {
	l := load{addresses: []string{s.address}, connections: connections, requests: requests, protocol: p}
	return b.contest(name, l, s)
}

// contest is a contestant that puts a load on servers, whose processor time is counted
// together.
func (b *bench) contest(name string, l load, servers ...*server) contestant {
	l.warm, l.run = warmUp, max(l.run, b.run)
	return b.counted(name, l.do, servers...)
}

// counted is a contestant whose servers' processor time is counted.
func (b *bench) counted(name string, do func() (outcome, error), servers ...*server) contestant {
	return contestant{name, func() (outcome, error) {
		before, err := cpuOf(servers)
		if err != nil {
			return outcome{}, err
		}
		out, err := do()
		if err != nil {
			return out, err
		}
		after, err := cpuOf(servers)
		out.cpu = after - before
		return out, err
	}}
}

// durable is what the answer to a produce contains once the record is synced.
func durable() httpAnswers { return httpAnswers{contains: []byte(`"durable":true`)} }

func (b *bench) noopAt(connections int) contestant {
	return b.against("the handler that does nothing", b.noop, connections, durable(), post("/x", record()))
}

func (b *bench) redisAt(connections int) contestant {
	return b.against("redis", b.redis, connections, redisAnswers{}, redisCommand("XADD", "s", "*", "d", string(record())))
}

func (b *bench) syncing(size int) contestant {
	return contestant{"the sync loop", func() (outcome, error) { return syncLoop(b.data, size, b.run) }}
}

// topic makes a topic and answers the path to produce to it.
func (b *bench) topic(name string, partitions int) (string, error) {
	body := fmt.Sprintf(`{"name":%q,"partitions":%d}`, name, partitions)
	if _, err := b.call("POST", "/broker/topics", []byte(body)); err != nil {
		return "", fmt.Errorf("make topic %s: %w", name, err)
	}
	return "/broker/topics/" + name + "/produce", nil
}

// call makes one call of the node outside the measuring.
func (b *bench) call(method, path string, body []byte) ([]byte, error) {
	return b.leat.call(b.ctx, method, path, body)
}

func (s *server) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, clip(answer))
	}
	return answer, err
}

// rival is another system that syncs before it answers.
type rival struct {
	name, row, unit string
	side            contestant
}

// rivals are the other systems that are there, with so many clients each.
func (b *bench) rivals(connections int) (all []rival, err error) {
	if b.redis != nil {
		all = append(all, rival{"Redis", "Redis XADD, fsync always", "req/s", b.redisAt(connections)})
	}
	nats, err := b.natsAlone()
	if nats != nil {
		all = append(all, rival{"NATS", natsAloneRow, "msg/s", b.natsAt(nats, connections, 4*b.run)})
	}
	return all, err
}

const natsAloneRow = "NATS JetStream R1, sync always"

// natsAlone starts a NATS server with a stream of one replica, nil where it is not there.
func (b *bench) natsAlone() ([]*server, error) {
	if b.nats != nil {
		return b.nats, nil
	}
	if b.peers == "" {
		b.peers = b.buildPeers()
	}
	if b.peers == "" {
		return nil, nil
	}
	dir := filepath.Join(b.data, "nats-alone")
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		b.nats, err = startNats(b.ctx, b.peers, dir, 1)
	}
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	return b.nats, nil
}

// beside measures contestants in turn with rivals, and answers what the first ones did,
// how that of one compares with the rivals, and the rows of these.
func (b *bench) beside(rivals []rival, at string, one int, sides ...contestant) (all []series, against string, rows []row, err error) {
	own := len(sides)
	for _, r := range rivals {
		sides = append(sides, r.side)
	}
	if all, err = alternate(b.rounds, sides...); err != nil {
		return nil, "", nil, err
	}
	for i, r := range rivals {
		against += fmt.Sprintf(", %.2f of %s", all[one].ratio(all[own+i]), r.name)
		rows = append(rows, rowOf(r.row+at, r.unit, 1, all[own+i], ""))
	}
	if b.nats == nil {
		rows = append(rows, row{what: natsAloneRow + at, against: notInstalled})
	}
	return all[:own], against, rows, nil
}

// produce measures many clients with one record a call.
func (b *bench) produce(connections int) error {
	path, err := b.topic("bench", partitions)
	if err != nil {
		return err
	}
	rivals, err := b.rivals(connections)
	if err != nil {
		return err
	}
	at := fmt.Sprintf(", %d connections", connections)
	all, against, rows, err := b.beside(rivals, at, 1,
		b.noopAt(connections), b.against("leat", b.leat, connections, durable(), post(path, record())))
	if err != nil {
		return err
	}
	b.add(
		rowOf("**leat produce**"+at, "req/s", 1, all[1], fmt.Sprintf("%.2f of the no-op handler%s", all[1].ratio(all[0]), against)),
		rowOf("no-op fiber handler"+at, "req/s", 1, all[0], ""))
	b.add(rows...)
	return nil
}

// produceAlone measures one client that waits for every answer.
func (b *bench) produceAlone() error {
	path, err := b.topic("bench", partitions)
	if err != nil {
		return err
	}
	rivals, err := b.rivals(1)
	if err != nil {
		return err
	}
	all, against, rows, err := b.beside(rivals, ", 1 connection", 2,
		b.noopAt(1), b.syncing(recordBytes), b.against("leat", b.leat, 1, durable(), post(path, record())))
	if err != nil {
		return err
	}
	b.add(
		rowOf("**leat produce**, 1 connection", "req/s", 1, all[2],
			fmt.Sprintf("P50 %.2f of append+fdatasync and a no-op call%s", all[2].slower(all[0], all[1]), against)),
		rowOf("no-op fiber handler, 1 connection", "req/s", 1, all[0], ""),
		rowOf("append 64 B + fdatasync", "syncs/s", 1, all[1], ""))
	b.add(rows...)
	return nil
}

// ndjson measures large requests against writing and syncing the same bytes.
func (b *bench) ndjson() error {
	path, err := b.topic("bench", partitions)
	if err != nil {
		return err
	}
	const connections = 16
	body := bytes.Repeat(append(record(), '\n'), batch)
	all, err := alternate(b.rounds,
		b.syncing(len(body)), b.against("leat", b.leat, connections, durable(), post(path+"-ndjson", body)))
	if err != nil {
		return err
	}
	b.add(
		rowOf(fmt.Sprintf("**leat produce-ndjson** ×%d, %d connections", batch, connections), "records/s", batch, all[1],
			fmt.Sprintf("%.2f of the loop", all[1].ratio(all[0]))),
		rowOf("write the same bytes + fdatasync, in a loop", "records/s", batch, all[0], ""))
	return nil
}

// fill makes sure of a topic of one partition with records to read, and answers
// its name.
func (b *bench) fill(records int) (string, error) {
	const name = "filled"
	path, err := b.topic(name, 1)
	if err != nil {
		return "", err
	}
	body := bytes.Repeat(append(record(), '\n'), batch)
	for range records / batch {
		if _, err := b.call("POST", path+"-ndjson", body); err != nil {
			return "", err
		}
	}
	return name, nil
}

// toRead is how many records are read, from the page cache.
const toRead = 300_000

func (b *bench) consume() error {
	topic, err := b.fill(toRead)
	if err != nil {
		return err
	}
	var requests [][]byte
	for offset := 0; offset < toRead; offset += batch {
		requests = append(requests, get(fmt.Sprintf("/broker/consume/%s/g/0?encoding=b64&limit=%d&offset=%d", topic, batch, offset)))
	}
	whole := httpAnswers{contains: []byte(fmt.Sprintf(`],"count":%d,`, batch))}
	for _, connections := range []int{1, 2} {
		all, err := alternate(b.rounds, b.against("leat", b.leat, connections, whole, requests...))
		if err != nil {
			return err
		}
		b.add(rowOf(fmt.Sprintf("**leat consume** ×%d base64, %s", batch, plural(connections, "connection")), "records/s", batch, all[0], ""))
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// stream measures following a partition from its beginning.
func (b *bench) stream() error {
	topic, err := b.fill(toRead)
	if err != nil {
		return err
	}
	all, err := alternate(b.rounds, contestant{"leat", func() (outcome, error) { return b.follow(topic) }})
	if err != nil {
		return err
	}
	b.add(row{what: "**leat stream** NDJSON text, 1 connection", rate: amount(all[0].perSecond()) + " records/s"})
	return nil
}

// follow reads toRead records from a stream.
func (b *bench) follow(topic string) (out outcome, err error) {
	response, err := http.Get("http://" + b.leat.address + "/broker/stream/" + topic + "/0?offset=0")
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	start, lines, buffer := time.Now(), 0, make([]byte, 256<<10)
	for lines <= toRead {
		n, err := response.Body.Read(buffer)
		if err != nil {
			return out, fmt.Errorf("read a stream after %d lines: %w", lines, err)
		}
		lines += bytes.Count(buffer[:n], []byte{'\n'})
	}
	out.perSecond = float64(lines-1) / time.Since(start).Seconds()
	return out, nil
}

// documents measures the key-value calls.
func (b *bench) documents() error {
	const path = "/kv/bench/key"
	if _, err := b.call("POST", path, record()); err != nil {
		if strings.Contains(err.Error(), "404") {
			b.add(row{what: "key-value calls", against: "not served"})
			return nil
		}
		return err
	}
	var puts [][]byte
	for i := range 1000 {
		puts = append(puts, post(fmt.Sprintf("/kv/bench/key-%d", i), record()))
	}
	const connections = 64
	all, err := alternate(b.rounds,
		b.noopAt(connections),
		b.against("leat", b.leat, connections, httpAnswers{}, puts...),
		b.against("leat", b.leat, connections, httpAnswers{}, get(path)))
	if err != nil {
		return err
	}
	b.add(
		rowOf("**leat kv put**, 64 connections", "req/s", 1, all[1], fmt.Sprintf("%.2f of the no-op handler", all[1].ratio(all[0]))),
		rowOf("**leat kv get**, linearizable, 64 connections", "req/s", 1, all[2], fmt.Sprintf("%.2f of the no-op handler", all[2].ratio(all[0]))))
	return nil
}
