//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// natsAnswers expects acknowledgements of JetStream, in NATS's own protocol.
type natsAnswers struct{}

// size takes the server's pings along: it wants them answered within minutes only.
func (natsAnswers) size(buf []byte) (int, error) {
	at := pings(buf)
	head := bytes.Index(buf[at:], []byte("\r\n"))
	if head < 0 {
		return 0, nil
	}
	line := string(buf[at : at+head])
	if !strings.HasPrefix(line, "MSG ") {
		return 0, errors.New("nats: " + line)
	}
	n, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
	if err != nil {
		return 0, fmt.Errorf("nats: %q: %w", line, err)
	}
	end := at + head + 2 + n + 2
	if len(buf) > end {
		end += pings(buf[end:])
	}
	return end, nil
}

// pings is how much of the beginning of buf is pings.
func pings(buf []byte) (n int) {
	for ping := []byte("PING\r\n"); bytes.HasPrefix(buf[n:], ping); {
		n += len(ping)
	}
	return n
}

func (natsAnswers) check(answer []byte) error {
	if !bytes.Contains(answer, []byte(`"seq":`)) {
		return errors.New("nats: " + clip(answer))
	}
	return nil
}

// natsPublisher has a connection publish to a subject and take the acknowledgements.
func natsPublisher(subject string, body []byte) func(fd, number int) ([][]byte, error) {
	return func(fd, number int) ([][]byte, error) {
		inbox := "_INBOX." + strconv.Itoa(number)
		hello := "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"go\",\"version\":\"1\",\"protocol\":0}\r\nSUB " + inbox + " 1\r\nPING\r\n"
		if _, err := syscall.Write(fd, []byte(hello)); err != nil {
			return nil, fmt.Errorf("say hello to nats: %w", err)
		}
		var heard []byte
		for buffer := make([]byte, 4<<10); !bytes.Contains(heard, []byte("PONG\r\n")); {
			n, err := syscall.Read(fd, buffer)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("say hello to nats: it answered %q: %w", lastLine(string(heard)), cmp.Or(err, io.EOF))
			}
			heard = append(heard, buffer[:n]...)
		}
		return [][]byte{fmt.Appendf(nil, "PUB %s %s %d\r\n%s\r\n", subject, inbox, len(body), body)}, nil
	}
}

// natsAt is a contestant that publishes to the first of the servers.
func (b *bench) natsAt(all []*server, connections int, run time.Duration) contestant {
	l := load{
		addresses: []string{all[0].address}, connections: connections, run: run,
		protocol: natsAnswers{}, greet: natsPublisher(natsStream, record()),
	}
	return b.contest("nats", l, all...)
}

// natsRequest makes one request and answers its reply.
func natsRequest(address, subject, body string) (reply []byte, err error) {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	const hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"go\",\"version\":\"1\",\"protocol\":0}\r\nSUB _INBOX.ask 1\r\n"
	if _, err := fmt.Fprintf(conn, "%sPUB %s _INBOX.ask %d\r\n%s\r\n", hello, subject, len(body), body); err != nil {
		return nil, err
	}
	for buffer := make([]byte, 16<<10); ; {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, fmt.Errorf("ask nats: it answered %q: %w", clip(reply), err)
		}
		reply = append(reply, buffer[:n]...)
		at := bytes.Index(reply, []byte("\r\nMSG "))
		if at < 0 {
			continue
		}
		if size, err := (natsAnswers{}).size(reply[at+2:]); err != nil || size > 0 && len(reply) >= at+2+size {
			return reply[at+2:], err
		}
	}
}

// natsStream is the subject that the stream of the run takes.
const natsStream = "bench"

// startNats starts a cluster of so many NATS servers whose stream, with a replica on
// each, syncs before it acknowledges. It answers them with the one that leads the stream
// first.
func startNats(ctx context.Context, peers, dir string, number int) (all []*server, err error) {
	ports := make([]int, 2*number)
	var routes []string
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
		if i >= number {
			routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
		}
	}
	defer func() {
		if err != nil {
			killAll(all)
		}
	}()
	for i := range number {
		config := fmt.Sprintf("server_name: n%d\nlisten: 127.0.0.1:%d\njetstream { store_dir: %q, sync_interval: always }\n",
			i, ports[i], filepath.Join(dir, "nats"+strconv.Itoa(i)))
		if number > 1 {
			config += fmt.Sprintf("cluster { name: c, listen: 127.0.0.1:%d, routes: [%s] }\n", ports[number+i], strings.Join(routes, ", "))
		}
		name := filepath.Join(dir, "nats"+strconv.Itoa(i)+".conf")
		if err := os.WriteFile(name, []byte(config), 0o644); err != nil {
			return all, fmt.Errorf("configure nats: %w", err)
		}
		s, err := startAt(ctx, ports[i], peers, "nats", "-c", name)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, natsLeaderFirst(ctx, all)
}

// natsLeaderFirst makes the stream and puts the server that leads it first.
func natsLeaderFirst(ctx context.Context, all []*server) error {
	config := fmt.Sprintf(`{"name":%q,"subjects":[%q],"num_replicas":%d,"storage":"file","retention":"limits"}`, natsStream, natsStream, len(all))
	leader := regexp.MustCompile(`"leader": ?"n(\d+)"`)
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		reply, err := natsRequest(all[0].address, "$JS.API.STREAM.CREATE."+natsStream, config)
		if err == nil && bytes.Contains(reply, []byte(`"error"`)) {
			err = errors.New(clip(reply))
		}
		if at := leader.FindSubmatch(reply); err == nil && (at != nil || len(all) == 1) {
			if at != nil {
				i := int(at[1][0] - '0')
				all[0], all[i] = all[i], all[0]
			}
			return nil
		}
		if time.Since(began) > startTime || ctx.Err() != nil {
			return fmt.Errorf("make a stream: %w", errors.Join(err, ctx.Err()))
		}
	}
}
