package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"leat/api"
	"leat/internal/testenv"
)

func TestStateDir(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ state, home, want string }{
		{"/state", "/home/u", "/state/leat"},
		{"", "/home/u", "/home/u/.local/state/leat"},
		{"relative", "/home/u", "/home/u/.local/state/leat"}, // to be ignored, as the specification says
		{"", "", ""},
		{"", "relative", ""},
	} {
		got, err := stateDir(func(name string) string {
			return map[string]string{"XDG_STATE_HOME": c.state, "HOME": c.home}[name]
		})
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%+v gives %q, %v", c, got, err)
		}
	}
}

func TestSettingsRefused(t *testing.T) {
	t.Parallel()
	good := settings{host: "127.0.0.1", dataDir: "d", limits: api.Limits{BodyBytes: 16 << 20, RecordBytes: 1 << 20, Partitions: 256}}
	for name, c := range map[string]struct {
		change func(*settings)
		env    map[string]string
		ok     bool
	}{
		"as it is":         {func(*settings) {}, nil, true},
		"tokens":           {func(c *settings) { c.host = "0.0.0.0" }, map[string]string{"RF_BEARER_TOKENS": "a@consume:b"}, true},
		"own tokens":       {func(c *settings) { c.host = "::" }, map[string]string{"LEAT_TOKENS": "a"}, true},
		"same twice":       {func(*settings) {}, map[string]string{"LEAT_TOKENS": "a", "RF_BEARER_TOKENS": "a"}, true},
		"no replication":   {func(*settings) {}, map[string]string{"RF_HA_ENABLED": "0"}, true},
		"replication":      {func(*settings) {}, map[string]string{"RF_HA_ENABLED": "true"}, false},
		"open to all":      {func(c *settings) { c.host = "0.0.0.0" }, nil, false},
		"dev to all":       {func(c *settings) { c.host, c.dev = "0.0.0.0", true }, map[string]string{"LEAT_TOKENS": "a"}, false},
		"different tokens": {func(*settings) {}, map[string]string{"LEAT_TOKENS": "a", "RF_BEARER_TOKENS": "b"}, false},
		"unknown scope":    {func(*settings) {}, map[string]string{"LEAT_TOKENS": "a@write"}, false},
		"no host":          {func(c *settings) { c.host = " " }, nil, false},
		"port":             {func(c *settings) { c.port = -1 }, nil, false},
		"large bodies":     {func(c *settings) { c.limits.BodyBytes = 65 << 20 }, nil, false},
		"large records":    {func(c *settings) { c.limits.RecordBytes = 17 << 20 }, nil, false},
		"no partitions":    {func(c *settings) { c.limits.Partitions = 0 }, nil, false},
	} {
		s := good
		c.change(&s)
		_, err := s.check(func(name string) string { return c.env[name] })
		if (err == nil) != c.ok || err != nil && classify(err).exit != exitUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFlagBeatsEnvironment: flag, else environment, else default.
func TestFlagBeatsEnvironment(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	dead := "http://127.0.0.1:1"
	for _, c := range []struct {
		env  string
		args []string
		exit int
	}{
		{server.url, nil, exitOK},
		{dead, nil, exitUnavailable},
		{dead, []string{"--server", server.url}, exitOK},
		{server.url, []string{"--server", dead}, exitUnavailable},
	} {
		got := leat(t.Context(), "", map[string]string{"LEAT_SERVER": c.env}, append([]string{"topic", "list"}, c.args...)...)
		if got.exit != c.exit {
			t.Errorf("%+v: exit %d, %s", c, got.exit, got.err)
		}
	}
}

// TestDevAndTokens: --dev wants its token and makes topics on the first produce;
// configured tokens do as they say.
func TestDevAndTokens(t *testing.T) {
	t.Parallel()
	dev := start(t, t.TempDir(), "--dev")
	for _, c := range []struct {
		exit int
		args []string
	}{
		{exitFailure, []string{"topic", "list"}},
		{exitFailure, []string{"topic", "list", "--token", "wrong"}},
		{exitOK, []string{"topic", "list", "--token", "dev"}},
		{exitNotFound, []string{"consume", "fresh", "--token", "dev"}},
		{exitOK, []string{"produce", "fresh", "x", "--token", "dev"}},
		{exitOK, []string{"consume", "fresh", "--token", "dev"}},
	} {
		if got := leat(t.Context(), "", map[string]string{"LEAT_SERVER": dev.url}, c.args...); got.exit != c.exit {
			t.Errorf("%q: exit %d, %s", c.args, got.exit, got.err)
		}
	}
}

// TestServeUsesTheStateDirectory: without --data-dir the data is in the user's state
// directory, and a second server there is refused.
func TestServeUsesTheStateDirectory(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	dir := filepath.Join(state, "leat")
	server := start(t, dir)
	got := leat(t.Context(), "", map[string]string{"XDG_STATE_HOME": state}, "serve", "--port", "0")
	if got.exit != exitConflict || got.out != "" {
		t.Errorf("a second server in %s: exit %d, %q, %s", dir, got.exit, got.out, got.err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("the data directory: %v, %v", info, err)
	}
	if exit, _ := server.Terminate(t); exit != exitOK {
		t.Errorf("exit %d", exit)
	}
}

// TestServeInThisProcess: ready is said once and first, and the end is a good one.
func TestServeInThisProcess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &firstWrite{wrote: make(chan []byte, 16)}
	var errs testenv.Tail
	sh := &shell{in: bytes.NewReader(nil), out: out, err: &errs, getenv: func(string) string { return "" }}
	exit := make(chan int, 1)
	go func() { exit <- run(ctx, sh, []string{"serve", "--port", "0", "--data-dir", t.TempDir()}) }()
	select {
	case line := <-out.wrote:
		if !bytes.HasPrefix(line, []byte("leat ready http://127.0.0.1:")) || bytes.Count(line, []byte("\n")) != 1 {
			t.Errorf("the first line is %q", line)
		}
	case code := <-exit:
		t.Fatalf("exit %d\n%s", code, &errs)
	}
	cancel()
	if code := <-exit; code != exitOK {
		t.Errorf("exit %d\n%s", code, &errs)
	}
	if len(out.wrote) != 0 {
		t.Errorf("more on the standard output: %q", <-out.wrote)
	}
}

type firstWrite struct{ wrote chan []byte }

func (w *firstWrite) Write(p []byte) (int, error) {
	w.wrote <- bytes.Clone(p)
	return len(p), nil
}

func TestLogsAreJSONOffATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	newLogger(&out, slog.LevelInfo).Info("hello", "n", 1)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["msg"] != "hello" {
		t.Errorf("%v in %s", err, out.Bytes())
	}
}
