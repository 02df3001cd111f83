package torture

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"leat/internal/testenv"
)

// TestOperationsManual runs the commands of docs/operations.md as they stand there, in one
// shell and in their order, on ports of its own: nodes are restarted, added, removed,
// replaced and put back, backed up and restored, and of three two are lost. In the end the
// new node has what the cluster had.
func TestOperationsManual(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "jq", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED, the commands of docs/operations.md have not been tried: %v", err)
		}
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if path, err = filepath.Abs(path); err == nil {
		err = os.Symlink(path, filepath.Join(dir, "leat"))
	}
	if err != nil {
		t.Fatal(err)
	}
	const guard = 10 * testenv.Patience
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	base := freeBase(t, 22)
	cmd := exec.CommandContext(ctx, "sh", "-ec", manual(t, string(text), base)+`
		leat consume orders --limit 0 -o json --server $new | jq -r .value | sort -n >is
		leat consume users -o json --server $new | jq -r '.key + .value' >>is
		{ seq 1000; echo 'ada{"name":"Ada"}'; } | diff - is
	`)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"),
		"LEAT_TOKENS=", "RF_BEARER_TOKENS=", "RF_HA_ENABLED=", "LEAT_TOKEN=", "LEAT_CONFIG=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // upon which it ends its nodes
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// manual is the script of all commands of the text but those of openssl, which other tests
// run. The nodes that it has started end with it.
func manual(t *testing.T, text string, base int) string {
	t.Helper()
	script := "trap 'set +e; for f in *.pid; do kill $(cat $f) 2>/dev/null; done; wait' EXIT\ntrap 'exit 1' TERM\n"
	blocks := 0
	for i, block := range strings.Split(text, "```") {
		commands, found := strings.CutPrefix(block, "sh\n")
		if i%2 == 0 || !found || strings.HasPrefix(commands, "openssl ") {
			continue
		}
		blocks++
		script += commands
	}
	if blocks < 10 {
		t.Errorf("docs/operations.md has %d blocks of commands", blocks)
	}
	return regexp.MustCompile(`\b70[012]\d\b`).ReplaceAllStringFunc(script, func(port string) string {
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(base + n - 7000)
	})
}
