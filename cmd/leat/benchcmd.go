package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// benchLoad is what a bench command asks for.
type benchLoad struct {
	kind        string // produce or consume
	topic       string
	connections int
	size        int // bytes of a record, produce
	batch       int // records of a request
	duration    time.Duration
	mode        string
	remote      bool // may be aimed at another machine
}

const (
	maxBenchConnections = 1024
	maxBenchBytes       = 8 << 20
	maxBenchTime        = time.Hour
)

func newBench(s *session) *cobra.Command {
	commands := []*cobra.Command{newBenchProduce(s), newBenchConsume(s)}
	s.clientFlags(commands...)
	return commandGroup("bench", "Load a server and measure it", commands...)
}

// commonFlags are those of both loads.
func (l *benchLoad) commonFlags(c *cobra.Command, batch int, meaning string) {
	c.Flags().IntVar(&l.connections, "connections", 16, "connections, each with one request at a time")
	c.Flags().IntVar(&l.batch, "batch", batch, meaning)
	c.Flags().DurationVar(&l.duration, "duration", 10*time.Second, "how long")
	c.Flags().BoolVar(&l.remote, "yes", false, "load a server on another machine")
}

func newBenchProduce(s *session) *cobra.Command {
	l := benchLoad{kind: "produce"}
	c := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Append records as fast as the server takes them",
		Long: `Append records to a topic as fast as the server takes them, and print requests and
records a second and how long requests took. Every connection has one request under
way. The records stay in the topic. A server on another machine is loaded with
--yes only.`,
		Example: `  leat bench produce flights --duration 500ms
  leat bench produce flights --connections 4 --size 100 --batch 500 --duration 500ms -o json`,
		Args: exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l.topic = args[0]
			return s.bench(cmd.Context(), l)
		},
	}
	l.commonFlags(c, 1, "records of a request; above 1 they are sent as lines")
	c.Flags().IntVar(&l.size, "size", 256, "bytes of a record")
	c.Flags().StringVar(&l.mode, "mode", "sealed", "sealed waits until the records are durable, rocket until they are queued")
	return c
}

func newBenchConsume(s *session) *cobra.Command {
	l := benchLoad{kind: "consume"}
	c := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Read records as fast as the server gives them",
		Long: `Read a topic from its first record on, again and again, as fast as the server
gives it, and print requests and records a second and how long requests took.
Nothing is committed. A server on another machine is loaded with --yes only.`,
		Example: "  leat bench consume flights --duration 500ms",
		Args:    exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l.topic = args[0]
			return s.bench(cmd.Context(), l)
		},
	}
	l.commonFlags(c, consumePage, "most records of a request")
	return c
}

// check keeps a load within bounds.
func (l *benchLoad) check(server *url.URL) error {
	switch {
	case l.connections < 1 || l.connections > maxBenchConnections:
		return usage("--connections has to be from 1 to %d", maxBenchConnections)
	case l.batch < 1 || l.kind == "consume" && l.batch > consumePage:
		return usage("--batch has to be 1 or above, and with consume at most %d", consumePage)
	case l.kind == "produce" && (l.size < 1 || l.size > maxBenchBytes || (l.size+1)*l.batch > maxBenchBytes):
		return usage("--size has to be 1 or above, and a request at most %d bytes", maxBenchBytes)
	case l.duration <= 0 || l.duration > maxBenchTime:
		return usage("--duration has to be above 0 and at most %s", maxBenchTime)
	case l.kind == "produce" && l.mode != "sealed" && l.mode != "rocket":
		return usage("--mode has to be sealed or rocket, not %q", l.mode)
	case !l.remote && !loopback(server.Hostname()):
		return usage("%s is not this machine: a load slows down whoever else uses that server; add --yes to go on", server.Host)
	}
	return nil
}

// loopback tells whether a host is this machine by its name alone.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// measured is what a load came to.
type measured struct {
	OK                bool             `json:"ok"`
	Load              string           `json:"load"`
	Topic             string           `json:"topic"`
	Connections       int              `json:"connections"`
	Batch             int              `json:"batch"`
	Seconds           float64          `json:"seconds"`
	Requests          int64            `json:"requests"`
	Records           int64            `json:"records"`
	Bytes             int64            `json:"bytes"`
	RequestsPerSecond float64          `json:"requests_per_second"`
	RecordsPerSecond  float64          `json:"records_per_second"`
	BytesPerSecond    float64          `json:"bytes_per_second"`
	Latency           latencies        `json:"latency_ms"`
	Failed            int64            `json:"failed"`
	Reasons           map[string]int64 `json:"failed_by_error"`
}

// latencies are how long requests that were answered took, in milliseconds.
type latencies struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func (s *session) bench(ctx context.Context, l benchLoad) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.close()
	if err := l.check(c.base); err != nil {
		return err
	}
	secure, err := trusting(s.ca)
	if err != nil {
		return err
	}
	c.http.Transport = &http.Transport{TLSClientConfig: secure, MaxIdleConnsPerHost: l.connections, MaxConnsPerHost: l.connections, DisableCompression: true}
	m, err := c.runLoad(ctx, l)
	if err != nil {
		return err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := s.answer(body, func(w io.Writer) error { return drawMeasured(w, &m) }); err != nil {
		return err
	}
	if m.Failed > 0 {
		return &failure{exit: exitUnavailable, code: "requests_failed", text: fmt.Sprintf(
			"%s of %s failed: %v", thousands(m.Failed), plural(int(m.Requests+m.Failed), "request"), m.Reasons)}
	}
	return nil
}

func drawMeasured(w io.Writer, m *measured) error {
	_, err := fmt.Fprintf(w, `%s of %s, %s, for %.1fs
  requests  %14s   %12s/s
  records   %14s   %12s/s
  bytes     %14s   %12s/s
  latency   p50 %.2fms   p90 %.2fms   p99 %.2fms   max %.2fms
`, m.Load, m.Topic, plural(m.Connections, "connection"), m.Seconds,
		thousands(m.Requests), thousands(int64(m.RequestsPerSecond)),
		thousands(m.Records), thousands(int64(m.RecordsPerSecond)),
		thousands(m.Bytes), thousands(int64(m.BytesPerSecond)),
		m.Latency.P50, m.Latency.P90, m.Latency.P99, m.Latency.Max)
	return err
}
