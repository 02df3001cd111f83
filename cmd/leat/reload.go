package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"leat/api"
)

// reload reads the tokens of a running node again, and its certificate for clients. All
// other settings are those of its start.
type reload struct {
	settings settings // with the file as it was read last
	known    []string // keys that the file may have
	getenv   func(string) string
	set      func(api.Tokens) error
	logger   *slog.Logger
}

// notifyHangup asks for the signal that says to read the files again. Without a file
// it says that the terminal is gone, and stays ignored where it was, as by nohup.
func notifyHangup(files bool) (hangups <-chan os.Signal, ignore func()) {
	c := make(chan os.Signal, 1)
	if !files && signal.Ignored(syscall.SIGHUP) {
		return c, func() {}
	}
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// run reads again with every signal until ctx ends, and the certificate now and then
// without one. Once a day it warns of certificates that end soon. Without a file it ends the node in good order.
func (r *reload) run(ctx context.Context, hangups <-chan os.Signal, end func()) error {
	certificates := r.settings.tls
	var look <-chan time.Time
	if certificates.on() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		look = tick.C
	}
	days := time.NewTicker(24 * time.Hour)
	defer days.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-days.C:
			for _, warning := range r.settings.expiring(now) {
				r.logger.Warn(warning)
			}
			continue
		case <-look:
			certificates.refresh(r.logger)
			continue
		case <-hangups:
		}
		if certificates.on() {
			certificates.refused = "" // who asks is told once more
			certificates.refresh(r.logger)
		}
		switch {
		case r.settings.file.name != "":
			if err := r.read(); err != nil {
				r.logger.Error("the tokens stay as they were", "error", err)
			}
		case !certificates.on():
			r.logger.Info("hangup: stopping, for there is no file to read again")
			end()
		}
	}
}

// expiring warns of certificates that have ended, or soon do.
func (c *settings) expiring(now time.Time) (warnings []string) {
	if c.tls.on() {
		warnings = c.tls.expiring(now)
	}
	if c.raftTLS.credentials != nil {
		warnings = append(warnings, c.raftTLS.expiring(now)...)
	}
	return warnings
}

// read reads the file and has its tokens take effect, all or none.
func (r *reload) read() error {
	before := r.settings.file
	file, err := readConfig(before.name, r.known)
	if err != nil {
		return err
	}
	if text, _ := tokenText(r.getenv); text != "" {
		return errors.New("they come from the environment, which goes before the file and cannot change while the node runs")
	}
	fresh := r.settings
	fresh.file = file
	warnings, err := fresh.readTokens(r.getenv)
	if err != nil {
		return err
	}
	if err := r.set(fresh.tokens); err != nil {
		return fmt.Errorf("replace the tokens by those of %s: %w", file.name, err)
	}
	r.settings = fresh
	for _, w := range warnings {
		r.logger.Warn(w)
	}
	if changed := changedKeys(&before, &file); len(changed) > 0 {
		r.logger.Warn("these settings have changed as well and take effect at the next start: " + strings.Join(changed, ", "))
	}
	r.logger.Info("the tokens were read again", "file", file.name)
	return nil
}

// changedKeys are the keys, but the tokens, that two readings of a file set in
// different ways, sorted.
func changedKeys(a, b *configFile) []string {
	var keys []string
	for _, pair := range [][2]*configFile{{a, b}, {b, a}} {
		for _, s := range pair[0].settings {
			if other, found := pair[1].find(s.key); s.key != tokensKey && (!found || other.value != s.value) {
				keys = append(keys, s.key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
