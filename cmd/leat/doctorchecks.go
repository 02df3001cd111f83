package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"leat/cluster"
)

const (
	// wantedFiles leaves room for the 16384 connections of a server besides the
	// files of the log; with less than neededFiles not even the log opens.
	wantedFiles = 20_000
	neededFiles = 512
	// slowSync and stuckSync are bounds of the median of a sync: one is under every
	// acknowledged write.
	slowSync  = 10 * time.Millisecond
	stuckSync = 500 * time.Millisecond
	syncs     = 32
)

// checkSettings tries the settings of the node, and completes them.
func (d *doctor) checkSettings() finding {
	warnings, err := d.settings.check(d.getenv)
	if d.unseated != nil {
		err = d.unseated
	}
	switch {
	case err != nil:
		return finding{"settings", verdictFail, err.Error(), `correct it: "leat serve" would not start`}
	case len(warnings) > 0:
		return finding{"settings", verdictWarn, strings.Join(warnings, "; "), "docs/configuration.md explains every setting"}
	}
	return healthy("settings", "a node would listen on %s", d.settings.address())
}

// checkDirectory looks at the data directory, or where it would be made.
func (d *doctor) checkDirectory() []finding {
	dir, err := existing(d.settings.dataDir)
	if err != nil {
		return []finding{{"directory", verdictFail, err.Error(), "name another place with --data-dir"}}
	}
	took, err := d.machine.syncs(dir, syncs)
	if err != nil {
		return []finding{{"directory", verdictFail, fmt.Sprintf("cannot write in %s: %v", dir, err),
			"give the user that runs leat the right to write there, or name another place with --data-dir"}}
	}
	directory := healthy("directory", "%s can be written", d.settings.dataDir)
	if whole, err := filepath.Abs(d.settings.dataDir); err != nil || dir != whole {
		directory = healthy("directory", "%s will be made in %s", d.settings.dataDir, dir)
	}
	return []finding{directory, d.checkSpace(dir), d.checkSync(dir, took)}
}

// existing is dir, or the nearest directory above it that is there.
func existing(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && info.IsDir():
			return dir, nil
		case err == nil:
			return "", fmt.Errorf("%s is not a directory", dir)
		case !errors.Is(err, os.ErrNotExist) || filepath.Dir(dir) == dir:
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

func (d *doctor) checkSpace(dir string) finding {
	free, total, err := d.machine.space(dir)
	if err != nil {
		return finding{"space", verdictWarn, err.Error(), "watch the room on the disk yourself"}
	}
	keep := cluster.Reserve(total)
	message := fmt.Sprintf("%s MiB free of %s MiB; a node keeps %s MiB for itself", thousands(free>>20), thousands(total>>20), thousands(keep>>20))
	switch {
	case free < keep:
		return finding{"space", verdictFail, message, "free some room: writes are refused with disk_full"}
	case free < 4*keep:
		return finding{"space", verdictWarn, message, "free some room, or set a retention"}
	}
	return healthy("space", "%s", message)
}

func (d *doctor) checkSync(dir string, took []time.Duration) finding {
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1]
	message := fmt.Sprintf("a sync takes %.2fms, at worst %.2fms", millis(median), millis(worst))
	switch {
	case d.machine.volatile(dir):
		return finding{"sync", verdictWarn, message + ", on a file system in memory", "name a place on a disk with --data-dir: a restart of the machine loses what is here"}
	case median >= stuckSync:
		return finding{"sync", verdictFail, message, "name a place on a faster disk with --data-dir: every write waits for a sync"}
	case median >= slowSync:
		return finding{"sync", verdictWarn, message, "a faster disk, or one with a protected write cache, makes every write faster"}
	}
	return healthy("sync", "%s", message)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (d *doctor) checkFiles() finding {
	limit, err := d.machine.openFiles()
	if err != nil {
		return finding{"files", verdictWarn, err.Error(), ""}
	}
	message := fmt.Sprintf("%s open files are allowed", thousands(int64(min(limit, 1<<62))))
	switch {
	case limit < neededFiles:
		return finding{"files", verdictFail, message, fmt.Sprintf(`raise the limit to %d: "ulimit -n", LimitNOFILE of systemd`, wantedFiles)}
	case limit < wantedFiles:
		return finding{"files", verdictWarn, message, fmt.Sprintf(`for many clients raise it to %d: "ulimit -n", LimitNOFILE of systemd`, wantedFiles)}
	}
	return healthy("files", "%s", message)
}

// checkPort tries to listen, and asks who is there where it cannot.
func (d *doctor) checkPort(ctx context.Context) finding {
	address := d.settings.address()
	listener, err := listen(*d.settings)
	if err == nil {
		if err = listener.Close(); err == nil {
			return healthy("port", "%s is free", address)
		}
	}
	var f *failure
	if !errors.As(err, &f) {
		fix := "choose an address of this machine with --host"
		if errors.Is(err, syscall.EACCES) {
			fix = "choose a --port above 1023, or give the right to use this one"
		}
		return finding{"port", verdictFail, err.Error(), fix}
	}
	err = d.askOwn(ctx)
	if err != nil {
		return finding{"port", verdictFail, address + " is in use, and not by leat", "choose another --port, or stop what uses it"}
	}
	return healthy("port", "%s is answered by a leat that runs", address)
}

// askOwn asks whether it is a leat that has the port.
func (d *doctor) askOwn(ctx context.Context) error {
	server, secure := d.settings.reachable()
	own, err := newClient(server, "", secure)
	if err != nil {
		return err
	}
	defer own.close()
	_, err = own.get(ctx, "/health", nil)
	return err
}

func reachableAddress(c *settings) string {
	copied := *c
	copied.host = reachableHost(c.host)
	return copied.address()
}

func (d *doctor) checkClock() finding {
	now := d.machine.now()
	if now.Year() < 2025 {
		return finding{"clock", verdictFail, "the clock shows " + now.UTC().Format(time.RFC3339), "set the clock: times of records and retention follow it"}
	}
	if !d.machine.clockSynced() {
		return finding{"clock", verdictWarn, "the kernel does not know the clock to be synchronised", "run an NTP client; where one runs that does not tell the kernel, all is well"}
	}
	return healthy("clock", "%s, synchronised", now.UTC().Format(time.RFC3339))
}

// checkServer asks the node whether it is ready.
func (d *doctor) checkServer(ctx context.Context) finding {
	_, err := d.client.get(ctx, "/ready", nil)
	if err == nil {
		return healthy("server", "%s is ready", d.client.base)
	}
	f := classify(err)
	switch {
	case f.code != "unreachable":
		return finding{"server", verdictFail, fmt.Sprintf("%s: %v", d.client.base, err), "the log of the server says more"}
	case d.named:
		return finding{"server", verdictFail, fmt.Sprintf("nothing answers at %s", d.client.base), `start it with "leat serve", or name another with --server`}
	}
	return healthy("server", "nothing runs at %s yet", d.client.base)
}
