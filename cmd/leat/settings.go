package main

import (
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"leat/api"
)

// settings is what the flags and the environment say about a node.
type settings struct {
	host    string
	port    int
	dataDir string
	dev     bool
	limits  api.Limits
	tokens  api.Tokens
}

// address is host:port.
func (c *settings) address() string { return net.JoinHostPort(c.host, strconv.Itoa(c.port)) }

// check completes the settings and refuses what cannot be, or must not be
// ignored. Warnings are for the log.
func (c *settings) check(getenv func(string) string) (warnings []string, err error) {
	if c.port < 0 || c.port > 65535 {
		return nil, usage("--port has to be from 0 to 65535, not %d", c.port)
	}
	if strings.TrimSpace(c.host) == "" {
		return nil, usage("--host is empty")
	}
	if err := checkLimits(c.limits); err != nil {
		return nil, err
	}
	if replicated := strings.ToLower(getenv("RF_HA_ENABLED")); replicated != "" && replicated != "0" && replicated != "false" {
		return nil, usage("RF_HA_ENABLED=%s: this version runs a single node and would not replicate; unset RF_HA_ENABLED to start one", replicated)
	}
	text, err := tokenText(getenv)
	if err != nil {
		return nil, err
	}
	if c.tokens, warnings, err = api.ParseTokens(text); err != nil {
		return nil, usage("read the tokens: %v", err)
	}
	if err := api.CheckBind(c.address(), c.tokens, c.dev); err != nil {
		return nil, usage("%v", err)
	}
	if c.dataDir == "" {
		if c.dataDir, err = stateDir(getenv); err != nil {
			return nil, err
		}
	}
	return warnings, nil
}

// tokenText finds the tokens, which go by two names.
func tokenText(getenv func(string) string) (string, error) {
	own, known := getenv("LEAT_TOKENS"), getenv("RF_BEARER_TOKENS")
	if own != "" && known != "" && own != known {
		return "", usage("LEAT_TOKENS and RF_BEARER_TOKENS are both set and differ; unset one")
	}
	return orText(own, known), nil
}

func checkLimits(l api.Limits) error {
	switch {
	case l.BodyBytes < 1<<10 || l.BodyBytes > 64<<20:
		return usage("--max-body-bytes has to be from 1024 to 67108864")
	case l.RecordBytes < 1<<10 || l.RecordBytes > l.BodyBytes:
		return usage("--max-record-bytes has to be from 1024 to --max-body-bytes")
	case l.Partitions < 1 || l.Partitions > 4096:
		return usage("--max-partitions has to be from 1 to 4096")
	}
	return nil
}

// stateDir is the place for data nobody named: the user's state directory, as
// the XDG Base Directory Specification defines it.
func stateDir(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "leat"), nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", usage("there is no home directory to keep data in: name a place with --data-dir")
	}
	return filepath.Join(home, ".local", "state", "leat"), nil
}

// newLogger logs text to a terminal and JSON elsewhere.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if terminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
