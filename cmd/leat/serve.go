package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"leat/internal/fault"
)

func newServe(s *session) *cobra.Command {
	var c settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run one durable node. The first line on the standard output is

  leat ready http://HOST:PORT

once it answers, https with --tls-cert. Logs go to the standard error. Without tokens the node is open
and listens on loopback only; to listen elsewhere, set RF_BEARER_TOKENS. SIGTERM
or SIGINT stop it in good order, a second one at once. SIGHUP has it read the
tokens of the file of --config again, and the files of --tls-cert and --tls-key;
without any of them it stops the node.`,
		Example: `  leat serve
  leat serve --port 0 --data-dir ./data
  leat serve --dev
  leat serve --config leat.yaml --data-dir ./other`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.file = s.file
			if err := s.findSeat(cmd.Context(), &c); err != nil {
				return err
			}
			warnings, err := c.check(s.getenv)
			if err != nil {
				return err
			}
			logger := newLogger(s.err, slog.LevelInfo)
			for _, w := range warnings {
				logger.Warn(w)
			}
			return s.serve(cmd.Context(), c, configKeys(cmd.Root()), logger)
		},
	}
	c.flags(cmd.Flags())
	return cmd
}

// serve runs a node until ctx ends, or the terminal hangs up. known are the keys a
// configuration file may have.
func (s *session) serve(ctx context.Context, c settings, known []string, logger *slog.Logger) error {
	defer carryBallast(s.getenv)()
	listener, err := listen(c)
	if err != nil {
		return err
	}
	e, err := openEngine(c, listener, logger)
	if err != nil {
		return advised(err, c.own() != nil)
	}
	logger.Info("starting", "version", readBuild().Version, "data_dir", c.dataDir, "address", listener.Addr().String())
	r := &reload{settings: c, known: known, getenv: s.getenv, set: e.server.SetTokens, logger: logger}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hangups, ignore := notifyHangup(c.file.name != "" || c.tls.on())
	defer ignore()
	err = e.run(ctx, func() error {
		_, err := fmt.Fprintf(s.out, "leat ready %s\n", e.url)
		return err
	}, stage{"reload", func(ctx context.Context) error { return r.run(ctx, hangups, cancel) }})
	if err != nil {
		return advised(fmt.Errorf("the node stopped: %w", err), c.own() != nil)
	}
	logger.Info("stopped")
	return nil
}

// advised adds what to do to an error by which its data keeps a node of a cluster from
// running: the others have the data, as nobody has a lone node's.
func advised(err error, clustered bool) error {
	e := fault.As(err)
	if !clustered || e == nil || e.Kind != fault.Corrupt || strings.Contains(err.Error(), "leat cluster rejoin") {
		return err
	}
	return fmt.Errorf("%w; to have this node fetch everything from the others: \"leat cluster rejoin\"", err)
}
