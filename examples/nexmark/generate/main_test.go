package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"leat/examples/nexmark"
)

func TestCommand(t *testing.T) {
	t.Parallel()
	for kind, lines := range map[string]int{"person": 20, "auction": 60, "bid": 920} {
		var out bytes.Buffer
		if err := command([]string{"-kind", kind, "-from", "500", "-events", "1000"}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(got) != lines {
			t.Errorf("%d lines of %s", len(got), kind)
		}
		if first, _ := (nexmark.Generator{}).Append(nil, 500); kind == "person" && got[0] != string(first) {
			t.Errorf("first person %s, want %s", got[0], first)
		}
	}
	for _, args := range [][]string{
		{"-kind", "bids"}, {"-kind", ""}, {"-events", "-1"}, {"-from", "-1"}, {"-rate", "0"}, {"-disorder", "0"}, {"more"}, {"-what"},
	} {
		if err := command(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
