package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestCompletionScripts: each shell has one, and bash can read its own.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := leat(t.Context(), "", nil, "completion", shell)
		if got.exit != exitOK || !strings.Contains(got.out, "__complete") || !strings.Contains(got.out, "leat") {
			t.Errorf("%s: exit %d, %s", shell, got.exit, got.err)
		}
		if shell == "bash" {
			check := exec.Command("bash", "-n")
			check.Stdin = strings.NewReader(got.out)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("bash cannot read it: %v, %s", err, out)
			}
		}
	}
}
