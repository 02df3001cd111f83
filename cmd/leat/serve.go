package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
)

func newServe(s *session) *cobra.Command {
	var c settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run one durable node. The first line on the standard output is

  leat ready http://HOST:PORT

once it answers. Logs go to the standard error. Without tokens the node is open
and listens on loopback only; to listen elsewhere, set RF_BEARER_TOKENS. SIGTERM
or SIGINT stop it in good order, a second one at once.`,
		Example: `  leat serve
  leat serve --port 0 --data-dir ./data
  leat serve --dev`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			warnings, err := c.check(s.getenv)
			if err != nil {
				return err
			}
			logger := newLogger(s.err, slog.LevelInfo)
			for _, w := range warnings {
				logger.Warn(w)
			}
			return s.serve(cmd.Context(), c, logger)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.host, "host", "127.0.0.1", "address to listen on")
	flags.IntVar(&c.port, "port", 1109, "port to listen on, 0 for any free one")
	flags.StringVar(&c.dataDir, "data-dir", "", "where the data is kept (default: leat in the user's state directory)")
	flags.BoolVar(&c.dev, "dev", false, `for development: token "dev" is required, topics are created on first produce`)
	flags.IntVar(&c.limits.BodyBytes, "max-body-bytes", 16<<20, "largest request body")
	flags.IntVar(&c.limits.RecordBytes, "max-record-bytes", 1<<20, "largest record, key and value together")
	flags.IntVar(&c.limits.Partitions, "max-partitions", 256, "most partitions of a topic")
	for flag, variable := range map[string]string{
		"host": "LEAT_HOST", "port": "LEAT_PORT", "data-dir": "LEAT_DATA_DIR", "dev": "LEAT_DEV",
		"max-body-bytes": "LEAT_MAX_BODY_BYTES", "max-record-bytes": "LEAT_MAX_RECORD_BYTES", "max-partitions": "LEAT_MAX_PARTITIONS",
	} {
		fromEnvironment(flags, flag, variable)
	}
	return cmd
}

// serve runs a node until ctx ends.
func (s *session) serve(ctx context.Context, c settings, logger *slog.Logger) error {
	listener, err := listen(c)
	if err != nil {
		return err
	}
	e, err := openEngine(c, listener, logger)
	if err != nil {
		return err
	}
	logger.Info("starting", "version", readBuild().Version, "data_dir", c.dataDir, "address", listener.Addr().String())
	err = e.run(ctx, func() error {
		_, err := fmt.Fprintf(s.out, "leat ready %s\n", e.url)
		return err
	})
	if err != nil {
		return fmt.Errorf("the node stopped: %w", err)
	}
	logger.Info("stopped")
	return nil
}
