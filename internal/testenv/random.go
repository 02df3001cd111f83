package testenv

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Seed is the seed of a random test: the number in LEAT_SEED, or where that is empty
// another one every time. A test that fails logs the command that runs it again with the
// same seed.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("LEAT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("LEAT_SEED: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run again with: LEAT_SEED=%d go test %s -run '^%s$'", seed, testedPackage(), strings.ReplaceAll(t.Name(), "/", "$/^"))
		}
	})
	return seed
}

// Rand is a source of random numbers that begins at the Seed of a test. It is not safe
// for concurrent use.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// testedPackage is the package under test as the go command takes it in the root of the
// module.
func testedPackage() string {
	root, inside := module()
	if root == "" {
		return "."
	}
	return "./" + inside
}

// module finds the root of the module and the package under test in it: tests run in the
// directory of their package. root is "" outside of a module.
func module() (root, inside string) {
	directory, err := os.Getwd()
	if err != nil {
		return "", ""
	}
	for root = directory; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, filepath.ToSlash(strings.TrimPrefix(directory[len(root):], string(filepath.Separator)))
		}
	}
	return "", ""
}
