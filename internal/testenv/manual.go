package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// DocumentedCertificates runs in a directory the commands of openssl that
// docs/operations.md has, which leave a ca.crt there and a nodeN.crt and nodeN.key for
// nodes 1 to 3. Where there is no openssl the test is skipped, and says so.
func DocumentedCertificates(t testing.TB, directory string) {
	t.Helper()
	root, _ := module()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skipf("SKIPPED, the commands of docs/operations.md have not been tried: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```sh\nopenssl ")
	commands, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/operations.md has no commands of openssl")
	}
	cmd := exec.Command("sh", "-ec", "openssl "+commands)
	cmd.Dir = directory
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
