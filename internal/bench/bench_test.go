//go:build linux

package main

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	var whole histogram
	var values []time.Duration
	for range 2 {
		var part histogram
		for range 5000 {
			d := time.Duration(r.Int64N(1 << (4 + r.IntN(36))))
			values = append(values, d)
			part.add(d)
		}
		whole.merge(&part)
	}
	slices.Sort(values)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999} {
		want := values[int(q*float64(len(values)))]
		got := whole.quantile(q)
		if got < want || got > want+want/subCount+1 {
			t.Errorf("quantile %v of seed %d: %v, want %v and at most 1/%d more", q, seed, got, want, subCount)
		}
	}
	if got := whole.quantile(1); got < values[len(values)-1] {
		t.Errorf("the largest value: %v, want at least %v", got, values[len(values)-1])
	}
	if got := new(histogram).quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing: %v", got)
	}
}

func TestBucketsAreInOrder(t *testing.T) {
	t.Parallel()
	for b := range buckets - 1 {
		if upperEnd(b) >= upperEnd(b+1) || bucketOf(upperEnd(b)) != b || bucketOf(upperEnd(b)+1) != b+1 {
			t.Fatalf("bucket %d ends at %d, the next one at %d", b, upperEnd(b), upperEnd(b+1))
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	const large = 100_000
	long := strings.Repeat("y", large)
	for _, c := range []struct {
		name, body, contains, failure string
		status                        int
	}{
		{name: "small", body: `{"durable":true}`, contains: `"durable":true`, status: 200},
		{name: "large", body: long, status: 200},
		{name: "refused", body: "no", status: 503, failure: "503 Service Unavailable"},
		{name: "not durable", body: `{"durable":false}`, contains: `"durable":true`, status: 200, failure: `lacks "durable":true`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				// The last request of a connection may be cut off.
				if n, err := io.Copy(io.Discard, r.Body); r.ContentLength != large || err == nil && n != large {
					t.Errorf("a body of %d bytes arrived: %v", n, err)
				}
				w.Header().Set("Content-Length", strconv.Itoa(len(c.body)))
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			l := load{
				addresses: []string{server.Listener.Addr().String()}, connections: 3, run: 100 * time.Millisecond,
				requests: [][]byte{post("/a", []byte(long)), post("/b", []byte(long))},
			}
			l.protocol = httpAnswers{}
			if c.contains != "" {
				l.protocol = httpAnswers{contains: []byte(c.contains)}
			}
			out, err := l.do()
			switch {
			case c.failure == "" && (err != nil || out.latency.total == 0 || out.perSecond == 0):
				t.Errorf("%d answers, %v", out.latency.total, err)
			case c.failure != "" && (err == nil || !strings.Contains(err.Error(), c.failure)):
				t.Errorf("got %v, want %q", err, c.failure)
			}
		})
	}
}

func TestLoadNoticesThatAServerGoesAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := listener.Accept()
		if err == nil {
			_ = c.Close()
		}
		_ = listener.Close()
	}()
	l := load{addresses: []string{listener.Addr().String()}, connections: 1, requests: [][]byte{get("/")}, protocol: httpAnswers{}, run: time.Minute}
	if out, err := l.do(); err == nil {
		t.Errorf("%d answers and no error", out.latency.total)
	}
}

func TestLoadNoticesSilence(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l := load{addresses: []string{listener.Addr().String()}, connections: 1, requests: [][]byte{get("/")}, protocol: httpAnswers{}, run: 60 * time.Millisecond}
	if _, err := l.do(); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("got %v", err)
	}
}

func TestRedisAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		buf  string
		size int
		good bool
	}{
		{"$3\r\nabc\r\n", 9, true}, {"$3\r\nab", 9, true}, {"$3", 0, true}, {"-ERR no\r\n", 9, false},
	} {
		n, err := redisAnswers{}.size([]byte(c.buf))
		if n != c.size || err != nil {
			t.Errorf("%q: %d, %v", c.buf, n, err)
		}
		if err := (redisAnswers{}).check([]byte(c.buf)); (err == nil) != c.good {
			t.Errorf("%q: %v", c.buf, err)
		}
	}
	if got := string(redisCommand("GET", "key")); got != "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n" {
		t.Errorf("%q", got)
	}
}

func TestSyncLoop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := syncLoop(dir, 100, 20*time.Millisecond)
	if err != nil || out.latency.total == 0 {
		t.Errorf("%d syncs, %v", out.latency.total, err)
	}
	if n, err := diskBytes(dir); n != 0 || err != nil {
		t.Errorf("%d bytes are left, %v", n, err)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	made := func(rate float64, d time.Duration) outcome {
		o := outcome{perSecond: rate}
		o.latency.add(d)
		return o
	}
	turns := 0
	rates := []float64{10, 40, 20}
	all, err := alternate(3,
		contestant{"a", func() (outcome, error) { turns++; return made(rates[turns/2%3], 4), nil }},
		contestant{"b", func() (outcome, error) { turns++; return made(20, 8), nil }})
	if err != nil || turns != 6 {
		t.Fatalf("%d turns, %v", turns, err)
	}
	if got := all[0].ratio(all[1]); got != 1 {
		t.Errorf("ratio %v", got)
	}
	if got := all[1].slower(all[0], all[0]); got != 1 {
		t.Errorf("slower %v", got)
	}
	if got := all[0].perSecond(); got != 20 {
		t.Errorf("per second %v", got)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	r := row{"a thing", amount(123456) + " req/s", 1500 * time.Microsecond, 250 * time.Microsecond, 7250 * time.Nanosecond, "0.5 of b"}
	const want = "| a thing | 123 k req/s | 1.50 ms | 250 µs | 7.25 µs | 0.5 of b |\n"
	if r.String() != want {
		t.Errorf("%q", r)
	}
	const old = "| one | 1 |\n| a thing | old |\n| two | 2 |\n"
	for _, c := range []struct {
		some       bool
		rows, want string
	}{
		{rows: want, want: want},
		{some: true, rows: "| more | 4 |\n" + want, want: "| one | 1 |\n" + want + "| two | 2 |\n| more | 4 |\n"},
	} {
		document, err := replaceTable([]byte("prose\n"+tableBegin+tableHead+old+tableEnd+"more\n"), c.rows, c.some)
		if err != nil || string(document) != "prose\n"+tableBegin+tableHead+c.want+tableEnd+"more\n" {
			t.Errorf("some %v: %q, %v", c.some, document, err)
		}
	}
	if _, err := replaceTable([]byte("prose\n"), want, false); err == nil {
		t.Error("a document without a place for the table was changed")
	}
}

func TestJobLines(t *testing.T) {
	t.Parallel()
	got := jobLines([]byte("goos: linux\nBenchmarkJob/tumbling \t 2\t 5 ns/op\t 1.250 Mevents/s\t 7 B/op\nBenchmarkJob/filter  2  5 ns/op  3.5 Mevents/s\nPASS\n"), "BenchmarkJob", "Mevents/s")
	if !slices.Equal(got, []jobLine{{"tumbling", 1.25e6}, {"filter", 3.5e6}}) {
		t.Errorf("%v", got)
	}
}

func TestNexmarkRows(t *testing.T) {
	t.Parallel()
	const printed = "BenchmarkQueries/q0 \t 4 \t 5 ns/op \t 1.5 Mevents/core-s\t 9 Mevents/s\nBenchmarkQueries/q0  4  5 ns/op  2.5 Mevents/core-s  9 Mevents/s\n" +
		"BenchmarkQueries/q99  4  5 ns/op  0.5 Mevents/core-s  9 Mevents/s\nPASS\n"
	want := []row{
		{what: "Nexmark q0", rate: "2.00 M events/s per core", against: "published of Flink: 155 k, 379 k"},
		{what: "Nexmark q99", rate: "500 k events/s per core"},
	}
	if got := nexmarkRows([]byte(printed)); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestOneCore: what is started there has one processor, and only that.
func TestOneCore(t *testing.T) {
	t.Parallel()
	count := func() (n string) {
		text, err := exec.Command("nproc").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	before := count()
	err := onOneCore(func() error {
		if n := count(); n != "1" {
			t.Errorf("%s processors", n)
		}
		return nil
	})
	if after := count(); err != nil || after != before {
		t.Errorf("%s processors afterwards, not %s, %v", after, before, err)
	}
}

func TestStandingDone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{ // without and with a sink
		`{"state":"running","rows":{"in":1,"out":1},"sinks":[{"written":1}]}`:   {false, false},
		`{"state":"completed","rows":{"in":1,"out":1}}`:                         {true, false},
		`{"state":"completed","rows":{"in":2,"out":2},"sinks":[{"written":1}]}`: {true, false},
		`{"state":"completed","rows":{"in":2,"out":2},"sinks":[{"written":2}]}`: {true, true},
	} {
		var s standing
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{s.done(""), s.done("topic")}; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestChild(t *testing.T) {
	t.Parallel()
	s, err := start(context.Background(), "ready ", "/bin/sh", "-c", "echo ready 127.0.0.1:9; exec sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	if s.address != "127.0.0.1:9" {
		t.Errorf("address %q", s.address)
	}
	if n, err := s.residentBytes(); n <= 0 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := s.cpu(); err != nil {
		t.Error(err)
	}
	if err := s.forgetPeak(); err != nil {
		t.Error(err)
	}
	if n, err := s.peakBytes(); n <= 0 || err != nil {
		t.Errorf("%d bytes at most, %v", n, err)
	}
	s.kill()
	if s.cmd.ProcessState == nil {
		t.Error("the child was not waited for")
	}
	if _, err := start(context.Background(), "ready ", "/bin/sh", "-c", "echo broken >&2"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a child that says nothing: %v", err)
	}
}
