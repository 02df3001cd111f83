package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"leat/api"
	"leat/internal/testenv"
)

func writeText(t *testing.T, path, text string) {
	t.Helper()
	// In one step, as a careful operator does it.
	next := path + ".next"
	if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, path)); err != nil {
		t.Fatal(err)
	}
}

// TestReloadOnHangup: SIGHUP has the node read the tokens again; what was followed
// with a revoked one ends.
func TestReloadOnHangup(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "leat.yaml")
	writeText(t, file, "tokens:\n  - root\n  - old@query\n")
	server := start(t, t.TempDir(), "--config", file)
	root, old := dial(t, server.url), dial(t, server.url)
	root.token, old.token = "root", "old"
	root.mustPost(t, "/broker/topics", map[string]any{"name": "quiet", "partitions": 1})
	root.mustStart(t, []byte(`{"name":"copy","source":{"topic":"quiet"}}`))
	follow := followUntilEnd(t, old)

	hangup := func(text, logged string) {
		t.Helper()
		writeText(t, file, text)
		if err := server.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		testenv.Succeeds(t, "the log tells "+logged, func() error {
			if !strings.Contains(server.Logs.String(), logged) {
				return errors.New(server.Logs.String())
			}
			return nil
		})
	}
	for text, why := range map[string]string{
		"tokens: [root, new@nope]\n": "unknown scope", "tokens: [root\n": "did not find", "tokens: []\n": "no tokens any more", "tokns: root\n": "did you mean",
	} {
		hangup(text, why)
		if _, err := old.get(t.Context(), "/queries", nil); err != nil {
			t.Fatalf("after a bad file: %v", err)
		}
	}
	hangup("tokens:\n  - root\n  - new@query\nport: 1\n", "next start: port")
	if err := <-follow; err == nil || classify(err).code != "unauthorized" {
		t.Errorf("the followed result ends with %v", err)
	}
	fresh := dial(t, server.url)
	fresh.token = "new"
	if _, err := fresh.get(t.Context(), "/queries", nil); err != nil {
		t.Errorf("with the new token: %v", err)
	}
	if _, err := old.get(t.Context(), "/queries", nil); err == nil || classify(err).code != "unauthorized" {
		t.Errorf("with the revoked token: %v", err)
	}
	if logs := server.Logs.String(); strings.Contains(logs, "root") || strings.Contains(logs, "old@") {
		t.Errorf("tokens in the log:\n%s", logs)
	}
}

// TestHangupWithoutFile: the terminal is gone, the node ends in good order.
func TestHangupWithoutFile(t *testing.T) {
	t.Parallel()
	// What starts the tests may ignore SIGHUP, as nohup does, and what they start would
	// inherit that; a signal that is waited for here has its usual effect there.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	server := start(t, t.TempDir())
	if err := server.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-server.Exited
	if exit := server.Cmd.ProcessState.ExitCode(); exit != exitOK {
		t.Errorf("exit %d, the log:\n%s", exit, server.Logs)
	}
}

// TestReloadRefused: tokens of the environment go before the file, and a refusal of
// the server is passed on.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "leat.json")
	writeText(t, file, `{"tokens":["a","b"],"host":"127.0.0.1"}`)
	environment := map[string]string{}
	var set []api.Tokens
	var logged bytes.Buffer
	r := &reload{
		settings: settings{host: "127.0.0.1", file: configFile{name: file}}, known: []string{tokensKey, "host"},
		getenv: func(name string) string { return environment[name] },
		set:    func(tokens api.Tokens) error { set = append(set, tokens); return nil },
		logger: slog.New(slog.NewTextHandler(&logged, nil)),
	}
	if err := r.read(); err != nil || len(set) != 1 || set[0].Empty() {
		t.Fatalf("%v, %d sets", err, len(set))
	}
	if !strings.Contains(logged.String(), "next start: host") {
		t.Errorf("logged: %s", &logged)
	}
	environment["RF_BEARER_TOKENS"] = "c"
	if err := r.read(); err == nil || !strings.Contains(err.Error(), "environment") {
		t.Errorf("with tokens in the environment: %v", err)
	}
	delete(environment, "RF_BEARER_TOKENS")
	writeText(t, file, `{}`)
	r.settings.host = "0.0.0.0"
	if err := r.read(); err == nil || !strings.Contains(err.Error(), "refusing to listen") {
		t.Errorf("without tokens where others reach it: %v", err)
	}
	r.settings.host = "127.0.0.1"
	r.set = func(api.Tokens) error { return errors.New(http.StatusText(http.StatusTeapot)) }
	if err := r.read(); err == nil || !strings.Contains(err.Error(), "teapot") {
		t.Errorf("%v", err)
	}
	if len(set) != 1 {
		t.Errorf("%d sets", len(set))
	}
}
