package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leat/internal/testenv"
)

// TestCommandsOfOpenSSL: the commands of docs/operations.md make certificates that
// nodes start with, each with its own only, also where they share a host.
func TestCommandsOfOpenSSL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testenv.DocumentedCertificates(t, dir)
	members, err := parseMembers("node1:127.0.0.1:7001:1,node2:127.0.0.1:7002:1,node3:127.0.0.1:7003:1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range members {
		for _, name := range []string{"node1", "node2", "node3"} {
			file := func(end string) string { return filepath.Join(dir, name+end) }
			r := raftTLS{on: true, ca: filepath.Join(dir, "ca.crt"), cert: file(".crt"), key: file(".key")}
			warnings, err := r.load(&members[i], among(members), time.Now())
			if (err == nil) != (name == members[i].id) || err == nil && len(warnings) > 0 {
				t.Errorf("%s with the certificate of %s: %q, %v", members[i].id, name, warnings, err)
			}
		}
	}
}

// TestWarningsOfCertificates: what will go wrong is said at the start.
func TestWarningsOfCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	members := []clusterMember{{id: "a", host: "127.0.0.1"}, {id: "b", host: "b.example"}}
	made := time.Now()
	files, err := makeCertificates(dir, members, made)
	if err == nil {
		err = writeNew(dir, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	r := raftTLS{on: true, ca: at("ca.crt"), cert: at("node-a.crt"), key: at("node-a.key")}
	load := func(now time.Time) ([]string, error) { return r.load(&members[0], among(members), now) }
	if warnings, err := load(made); err != nil || len(warnings) > 0 {
		t.Errorf("new: %q, %v", warnings, err)
	}
	end := made.AddDate(certificateYears, 0, 0)
	if warnings, err := load(end.Add(-time.Hour)); err != nil || !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "is valid until") }) {
		t.Errorf("soon expired: %q, %v", warnings, err)
	}
	if _, err := load(end.Add(time.Hour)); err == nil {
		t.Error("expired, and taken")
	}
	if err := os.Chmod(r.key, 0o644); err != nil {
		t.Fatal(err)
	}
	if warnings, err := load(made); err != nil || !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "chmod o-r") }) {
		t.Errorf("a key for all: %q, %v", warnings, err)
	}
}

// TestWarnsOnceADay: a node that runs long enough is told of a certificate that ends soon.
func TestWarnsOnceADay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := clusterMember{id: "a", host: "127.0.0.1"}
	synctest.Test(t, func(t *testing.T) {
		made := time.Now()
		files, err := makeCertificates(dir, []clusterMember{own}, made)
		if err == nil {
			err = writeNew(dir, files)
		}
		at := func(name string) string { return filepath.Join(dir, name) }
		tls := raftTLS{on: true, ca: at(authorityCert), cert: at("node-a.crt"), key: at("node-a.key")}
		if _, err := tls.load(&own, among([]clusterMember{own}), made); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		r := reload{settings: settings{replication: replication{raftTLS: tls}}, logger: slog.New(slog.NewTextHandler(&out, nil))}
		time.Sleep(made.AddDate(certificateYears, 0, 0).Add(-expiresSoon).Sub(made) - 12*time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Hour)
		defer cancel()
		if err = errors.Join(err, r.run(ctx, nil, cancel)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), "is valid until"); got != 2 {
			t.Errorf("%d warnings in two days and a half: %s", got, &out)
		}
	})
}

// among tells who is one of the members.
func among(members []clusterMember) func(string) bool {
	r := replication{members: members}
	return r.isMember
}
