package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/internal/testenv"
)

// raw is a connection on which a test speaks HTTP by hand.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func openRaw(t testing.TB, server string) *raw {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(testenv.Patience)); err != nil {
		t.Fatal(err)
	}
	return &raw{Conn: c, r: bufio.NewReader(c)}
}

func (c *raw) send(t testing.TB, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// expect reads a line that begins with prefix, and the empty line after it.
func (c *raw) expect(t testing.TB, prefix string) {
	t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		t.Fatalf("%q, %v instead of %q", line, err, prefix)
	}
	if _, err := c.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// refused is nil once nobody listens at the address of a server.
func refused(server string) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil
	}
	return errors.Join(errors.New("it still listens"), c.Close())
}

// TestShutdownAnswersWhatIsInFlight: SIGTERM under load. What has begun is
// answered, what was acknowledged is there afterwards, and the end comes in time.
func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := start(t, dir)
	c := dial(t, server.url)
	c.mustPost(t, "/broker/topics", map[string]any{"name": "events", "partitions": 1})
	c.mustPost(t, "/broker/topics", map[string]any{"name": "quiet", "partitions": 1})
	c.mustStart(t, []byte(`{"name":"copy","source":{"topic":"quiet"}}`))

	load := startLoad(t, server.url)
	poll := make(chan error, 1)
	go func() {
		_, err := c.get(t.Context(), "/broker/consume/quiet/g/0", url.Values{"wait_ms": {"30000"}})
		poll <- err
	}()
	follow := followUntilEnd(t, c)
	half := openRaw(t, server.url)
	half.send(t, "POST /broker/topics/events/produce HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n")
	half.expect(t, "HTTP/1.1 100")
	load.await(t, 200)

	type end struct {
		exit int
		took time.Duration
	}
	ended := make(chan end, 1)
	go func() {
		exit, took := server.Terminate(t)
		ended <- end{exit, took}
	}()
	testenv.Succeeds(t, "the server stops to accept", func() error { return refused(server.url) })
	half.send(t, "the rest")
	response, err := http.ReadResponse(half.r, nil)
	if err != nil {
		t.Fatalf("the request that had begun has no answer: %v", err)
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("the request that had begun: %s", response.Status)
	}
	_ = response.Body.Close()
	if err := <-poll; err != nil {
		t.Errorf("the long poll: %v", err)
	}
	if err := <-follow; err == nil || classify(err).code != "shutting_down" {
		t.Errorf("the followed result ends with %v, not with shutting_down", err)
	}
	if e := <-ended; e.exit != exitOK || e.took > 5*time.Second {
		t.Errorf("exit %d after %s, the log:\n%s", e.exit, e.took, server.Logs)
	}
	acknowledged := load.stop()
	checkAcknowledged(t, start(t, dir), acknowledged)
}

// TestShutdownDoesNotWaitForEver: clients that neither send nor read to the end do
// not keep the server, and it ends well all the same.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	c := dial(t, server.url)
	c.mustPost(t, "/broker/topics", map[string]any{"name": "big", "partitions": 1})
	megabyte := []byte(strings.Repeat("x", 1<<20-100))
	for range 16 {
		_, err := c.call(t.Context(), request{method: http.MethodPost, path: "/broker/topics/big/produce", body: megabyte})
		if err != nil {
			t.Fatal(err)
		}
	}
	silent := openRaw(t, server.url)
	silent.send(t, "POST /broker/topics/big/produce HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n")
	silent.expect(t, "HTTP/1.1 100")
	deaf := openRaw(t, server.url)
	deaf.send(t, "GET /broker/consume/big/g/0?limit=16 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if line, err := deaf.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Fatalf("%q, %v", line, err)
	}
	if exit, took := server.Terminate(t); exit != exitOK || took > 5*time.Second {
		t.Errorf("exit %d after %s, the log:\n%s", exit, took, server.Logs)
	}
}

// followUntilEnd follows the results of query copy; it returns once the stream has
// begun.
func followUntilEnd(t *testing.T, c *client) <-chan error {
	t.Helper()
	response, err := c.open(t.Context(), request{
		method: http.MethodGet, path: "/queries/copy/results", query: url.Values{"follow": {"1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(response.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		defer response.Body.Close()
		for {
			line, err := lines.ReadBytes('\n')
			if strings.Contains(string(line), `"error"`) {
				err = refusal(http.StatusServiceUnavailable, line)
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// load is a number of producers at work.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	count  atomic.Int64

	mu     sync.Mutex
	values map[int64]string // acknowledged, by offset
}

func startLoad(t *testing.T, server string) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, values: make(map[int64]string)}
	for worker := range 8 {
		c := dial(t, server)
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				value := fmt.Sprintf("w%d-%d", worker, n)
				body, err := c.call(ctx, request{method: http.MethodPost, path: "/broker/topics/events/produce", body: []byte(value)})
				if err != nil {
					return // the server is going away
				}
				var done struct {
					Offset int64 `json:"offset"`
				}
				if readAnswer(body, &done) != nil {
					return
				}
				l.mu.Lock()
				l.values[done.Offset] = value
				l.mu.Unlock()
				l.count.Add(1)
			}
		})
	}
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) await(t *testing.T, n int64) {
	t.Helper()
	testenv.Succeeds(t, "the load gets going", func() error {
		if have := l.count.Load(); have < n {
			return fmt.Errorf("%d of %d", have, n)
		}
		return nil
	})
}

func (l *load) stop() map[int64]string {
	l.cancel()
	l.wg.Wait()
	return l.values
}

func checkAcknowledged(t *testing.T, server *child, acknowledged map[int64]string) {
	t.Helper()
	records, err := readPartition(t.Context(), dial(t, server.url), "events", 0)
	if err != nil {
		t.Fatal(err)
	}
	for offset, value := range acknowledged {
		if offset >= int64(len(records)) || records[offset] != value {
			t.Errorf("%q was acknowledged at offset %d and is not there", value, offset)
		}
	}
}

// readPartition reads a partition whole. It refuses offsets that are not dense.
func readPartition(ctx context.Context, c *client, topic string, partition int) ([]string, error) {
	var records []string
	p := &partitionReader{client: c, consumption: consumption{topic: topic}, partition: partition, next: 0}
	for {
		page, err := p.read(ctx, consumePage)
		if err != nil || len(page.Messages) == 0 {
			return records, err
		}
		for _, text := range page.Messages {
			var m struct {
				Offset int64  `json:"offset"`
				Value  string `json:"value"`
			}
			if err := readAnswer(text, &m); err != nil {
				return nil, err
			}
			if m.Offset != int64(len(records)) {
				return nil, errors.New("partition " + strconv.Itoa(partition) + " has offset " +
					strconv.FormatInt(m.Offset, 10) + " where " + strconv.Itoa(len(records)) + " is next")
			}
			records = append(records, m.Value)
		}
	}
}
