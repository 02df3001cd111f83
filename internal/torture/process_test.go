// Package torture holds no code. Its tests run the real binary as a process of
// its own, hurt it (SIGKILL, SIGSTOP, SIGTERM, a failed sync, a full disk, a network
// that parts, loses or delays) under the load of concurrent clients, and hold what the
// clients were told against models of a log, a register and a group's commit.
package torture

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"leat/internal/testenv"
)

// buildDir is where this process builds leat.
func buildDir() string { return filepath.Join(os.TempDir(), "leat-torture-"+strconv.Itoa(os.Getpid())) }

// binary builds leat, once for all tests, and says where it is. LEAT_BINARY names
// one that is built already.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("LEAT_BINARY"); path != "" {
		return path, nil
	}
	path := filepath.Join(buildDir(), "leat")
	if out, err := exec.Command("go", "build", "-o", path, "leat/cmd/leat").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build leat: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(buildDir())
	os.Exit(code)
}

// node is leat serve as a process.
type node struct {
	*testenv.Process
	url  string        // where it serves, once it is ready
	took time.Duration // from the start to ready
}

// launch starts leat serve and does not wait until it is ready.
func launch(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	return spawn(t, nil, nil, dir, args...)
}

// spawn is launch within a command that runs another one, with more in the environment.
func spawn(t *testing.T, within, environment []string, dir string, args ...string) *node {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	words := append(slices.Clone(within), append([]string{path, "serve", "--port", "0", "--data-dir", dir}, args...)...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "LEAT_TOKENS=", "RF_BEARER_TOKENS=", "RF_HA_ENABLED=", "LEAT_HOST=", "LEAT_DEV=")
	cmd.Env = append(cmd.Env, environment...)
	n := &node{Process: testenv.Start(t, cmd)}
	watched(t, n)
	return n
}

// start starts leat serve and waits until it says that it is ready.
func start(t *testing.T, dir string) *node {
	t.Helper()
	began := time.Now()
	n := launch(t, dir)
	n.url = n.Ready(t)
	n.took = time.Since(began)
	return n
}

// variable reads a number from the environment.
func variable(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatal(errors.Join(fmt.Errorf("%s=%s is not a number", name, text), err))
	}
	return n
}
