package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"leat/api"
)

// demoTime bounds how long the demonstration takes to load and to catch up.
const demoTime = 25 * time.Second

func newDemo(s *session) *cobra.Command {
	var once bool
	c := settings{host: "127.0.0.1"}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it: a node with real data and running queries",
		Long: `Start a node in a temporary directory, load real departures and weather of New
York's airports in 2013, run continuous queries over them and print what they
find. The node then goes on until interrupted, for you to try; its data is
removed at the end.`,
		Example: "  leat demo\n  leat demo --once",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.port < 0 || c.port > 65535 {
				return usage("--port has to be from 0 to 65535, not %d", c.port)
			}
			listener, err := listen(c)
			if err != nil && !cmd.Flags().Changed("port") {
				c.port = 0
				listener, err = listen(c)
			}
			if err != nil {
				return err
			}
			return s.demo(cmd.Context(), c, listener, once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end after the tables instead of serving on")
	cmd.Flags().IntVar(&c.port, "port", 1109, "port to listen on, 0 for any free one; another is taken when 1109 is in use")
	return cmd
}

// demo runs the demonstration on a node of its own.
func (s *session) demo(ctx context.Context, c settings, listener net.Listener, once bool) (err error) {
	c.dataDir, err = os.MkdirTemp("", "leat-demo-")
	if err != nil {
		return errors.Join(fmt.Errorf("make a temporary directory: %w", err), listener.Close())
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dataDir)) }()
	c.limits = api.Limits{}
	e, err := openEngine(c, listener, newLogger(s.err, slog.LevelError))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- e.run(ctx, func() error {
			close(ready)
			return nil
		})
		stop()
	}()
	select {
	case <-ready:
	case <-ctx.Done():
		return <-ended
	}
	err = s.tell(ctx, e.url, c.dataDir, once)
	if err == nil && !once {
		<-ctx.Done()
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	stop()
	return errors.Join(err, <-ended)
}

// tell runs the demonstration against a node and prints it in the form asked for.
func (s *session) tell(ctx context.Context, url, dir string, once bool) error {
	c, err := newClient(url, "", nil)
	if err != nil {
		return err
	}
	defer c.close()
	d := &demonstration{client: c, url: url, dir: dir, once: once, out: &printer{w: s.out}}
	if s.format != formatTable {
		d.out.w = io.Discard
	}
	bounded, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	if err := d.run(bounded); err != nil {
		if errors.Is(bounded.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("the demonstration took over %s: %w", demoTime, err)
		}
		return err
	}
	if s.format == formatTable {
		return d.out.err
	}
	body, err := c.get(ctx, "/queries", nil)
	if err != nil {
		return err
	}
	return writeDocument(s.out, s.format, body)
}

// printer prints until the first error, and keeps it.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) table(g *grid) {
	if p.err == nil {
		p.err = g.write(p.w, "  ")
	}
}
