// Package arch holds no code. Its test keeps the structure: who may import
// whom, one door per dependency, no clock in the engine, files and functions of
// a size that can be read.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root             = "../.."
	maxFileLines     = 700
	maxFunctionLines = 70
)

// layers says for every package which packages of the module it may import. A
// package that is not listed may not exist: a new room in the house is a
// decision (docs/adr).
var layers = map[string][]string{
	"internal/fault":            {},
	"internal/arch":             {},
	"log":                       {"internal/fault"},
	"log/crashfs":               {"log"},
	"internal/bus":              {"log"},
	"codecs":                    {"codecs/internal/jsontext"},
	"codecs/internal/jsontext":  {},
	"codecs/jsoncodec":          {"codecs", "codecs/internal/jsontext"},
	"codecs/avrocodec":          {"codecs", "codecs/internal/datum", "codecs/internal/jsontext", "codecs/internal/utf8text", "codecs/internal/varint"},
	"codecs/protocodec":         {"codecs", "codecs/internal/datum", "codecs/internal/utf8text", "codecs/internal/varint"},
	"codecs/inline":             {"codecs", "codecs/jsoncodec", "codecs/avrocodec", "codecs/protocodec", "codecs/internal/datum", "internal/fault"},
	"codecs/internal/datum":     {"codecs", "codecs/internal/jsontext"},
	"codecs/internal/utf8text":  {},
	"codecs/internal/varint":    {},
	"codecs/codecstest":         {"codecs"},
	"codecs/formats":            {"codecs", "codecs/jsoncodec", "codecs/avrocodec", "codecs/protocodec", "codecs/internal/datum", "internal/fault"},
	"codecs/formatstest":        {"codecs/formats", "internal/fault"},
	"codecs/registry":           {"codecs", "codecs/avrocodec", "codecs/protocodec", "internal/bus", "internal/fault"},
	"dataflow":                  {"codecs", "log"},
	"operators":                 {"dataflow", "codecs", "log"},
	"queries":                   {"operators", "dataflow", "codecs", "codecs/jsoncodec", "log", "internal/bus", "internal/fault"},
	"queries/fakebus":           {"log", "internal/bus", "internal/fault"},
	"queries/filerun":           {"queries", "codecs", "codecs/avrocodec", "codecs/formats", "log", "internal/bus", "internal/fault"},
	"cluster/internal/wire":     {},
	"cluster/state":             {"log", "cluster/internal/wire"},
	"cluster/raftlog":           {"log", "internal/fault"},
	"cluster/peer":              {"internal/fault"},
	"cluster":                   {"cluster/internal/wire", "cluster/state", "cluster/raftlog", "cluster/peer", "log", "internal/bus", "internal/fault"},
	"api":                       {"queries", "codecs", "codecs/jsoncodec", "codecs/registry", "log", "internal/bus", "internal/fault"},
	"examples":                  {},
	"examples/nexmark":          {},
	"examples/nexmark/generate": {"examples/nexmark"},
	"internal/oracle":           {"codecs", "dataflow", "queries", "queries/fakebus", "log", "internal/bus", "internal/fault"},
	"internal/bench":            {},
	"internal/testenv":          {},
	"internal/torture":          {},
	"cmd/leat":                  nil, // wiring: sees everything
}

// doors lists the one package that may import a dependency, by path prefix.
var doors = map[string]string{
	"github.com/hamba/avro":             "codecs/avrocodec",
	"github.com/twmb/avro":              "(tests)",
	"github.com/twmb/franz-go":          "(tests)",
	"github.com/go-json-experiment":     "(tests)",
	"github.com/gogo/protobuf":          "(tests)",
	"github.com/bufbuild/protocompile":  "codecs/protocodec",
	"google.golang.org/protobuf":        "codecs/protocodec",
	"github.com/expr-lang/expr":         "queries",
	"github.com/lni/dragonboat":         "cluster",
	"github.com/gofiber/fiber":          "api",
	"github.com/valyala/fasthttp":       "api",
	"github.com/prometheus":             "api",
	"github.com/getkin/kin-openapi":     "(tests)",
	"github.com/spf13/cobra":            "cmd/leat",
	"github.com/jedib0t/go-pretty":      "cmd/leat",
	"github.com/pelletier/go-toml":      "cmd/leat",
	"github.com/HdrHistogram":           "cmd/leat",
	"github.com/ncruces/go-sqlite3":     "(tests)",
	"github.com/anishathalye/porcupine": "(tests)",
	"github.com/rogpeppe/go-internal":   "(tests)",
	"github.com/tidwall/btree":          "cluster/state",
	"github.com/cespare/xxhash":         "cluster",
}

// benchDoor is the one package besides the door that may import what the node
// serves HTTP with: its ceiling is a handler of the same library.
const benchDoor = "internal/bench"

// standardOnly packages import nothing from outside the module and the standard
// library.
var standardOnly = []string{"log", "codecs", "codecs/jsoncodec", "codecs/avrocodec", "codecs/registry", "codecs/formats", "codecs/inline", "dataflow", "operators", "internal/fault", "internal/bus"}

// timeless packages see event time and log time only.
var timeless = []string{"log", "codecs", "codecs/jsoncodec", "codecs/avrocodec", "codecs/protocodec", "codecs/registry", "codecs/formats", "codecs/inline", "dataflow", "operators", "queries", "cluster/state"}

// timelessFiles are the state machines inside a package that may know the clock.
var timelessFiles = []string{"cluster/machine.go", "cluster/apply.go", "cluster/checkpoint.go", "cluster/snapshot.go", "cluster/command.go"}

var clockCalls = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep"}

// source is one Go file of the module.
type source struct {
	pkg   string // directory from the root
	path  string // file from the root
	test  bool
	file  *ast.File
	set   *token.FileSet
	lines int
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		all = append(all, source{
			pkg: filepath.ToSlash(filepath.Dir(rel)), path: filepath.ToSlash(rel), file: file, set: set,
			test: strings.HasSuffix(path, "_test.go"), lines: strings.Count(string(text), "\n"),
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

func TestLayers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		allowed, known := layers[s.pkg]
		if !known {
			t.Errorf("%s: package %s is not in the drawing; add it to ARCHITECTURE.md and to layers", s.path, s.pkg)
			continue
		}
		if s.pkg == "cmd/leat" || s.test {
			continue
		}
		for _, path := range s.imports() {
			inner, ours := strings.CutPrefix(path, "leat/")
			if ours && !slices.Contains(allowed, inner) {
				t.Errorf("%s: %s may not import %s", s.path, s.pkg, inner)
			}
			if path == "log" {
				t.Errorf("%s: the standard library's log is not used here; slog is", s.path)
			}
		}
	}
}

func TestOneDoorPerDependency(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, path := range s.imports() {
			first, _, _ := strings.Cut(path, "/")
			outside := strings.Contains(first, ".")
			if outside && slices.Contains(standardOnly, s.pkg) && !s.test {
				t.Errorf("%s: %s uses the standard library only, not %s", s.path, s.pkg, path)
			}
			for prefix, door := range doors {
				if !strings.HasPrefix(path, prefix) {
					continue
				}
				through := s.pkg == door || strings.HasPrefix(s.pkg, door+"/") || s.test && door == "(tests)" ||
					s.pkg == benchDoor && prefix == "github.com/gofiber/fiber"
				if !through {
					t.Errorf("%s: %s is imported by %s only", s.path, prefix, door)
				}
			}
		}
	}
}

func TestNoClock(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || !slices.Contains(timeless, s.pkg) && !slices.Contains(timelessFiles, s.path) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "time" && slices.Contains(clockCalls, sel.Sel.Name) {
				t.Errorf("%s: time.%s; this code knows event time and log time only", s.set.Position(n.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d", s.path, s.lines, maxFileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			if lines > maxFunctionLines && !isTable(s.set, f) {
				t.Errorf("%s: %s has %d lines, more than %d", s.path, f.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

// isTable tells whether most of a function is one composite literal or one
// switch over opcodes: those may be long.
func isTable(set *token.FileSet, f *ast.FuncDecl) bool {
	size := func(n ast.Node) int { return set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1 }
	table := 0
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.CompositeLit, *ast.SwitchStmt:
			table = max(table, size(n))
		}
		return true
	})
	return size(f)-table <= maxFunctionLines/2
}

// TestNoHiddenState keeps package variables constant by convention: errors,
// tables and compiled patterns, never set after they are made.
func TestNoHiddenState(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: init does work nobody asked for", s.set.Position(f.Pos()))
			}
		}
		if !s.test {
			checkAssignments(t, &s)
		}
	}
}

// checkAssignments reports assignments to a file's own package variables, by
// name: a function that has a local of that name is left alone.
func checkAssignments(t *testing.T, s *source) {
	t.Helper()
	vars := make(map[string]bool)
	for _, d := range s.file.Decls {
		if gen, ok := d.(*ast.GenDecl); ok && gen.Tok == token.VAR {
			declared(gen, vars)
		}
	}
	delete(vars, "_")
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		locals := make(map[string]bool)
		declared(f, locals)
		ast.Inspect(f, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || a.Tok == token.DEFINE {
				return true
			}
			for _, left := range a.Lhs {
				if id, ok := left.(*ast.Ident); ok && vars[id.Name] && !locals[id.Name] {
					t.Errorf("%s: package variable %s is set after it was made", s.set.Position(n.Pos()), id.Name)
				}
			}
			return true
		})
	}
}

// declared adds the names that a node declares, at any depth.
func declared(n ast.Node, names map[string]bool) {
	add := func(ids []*ast.Ident) {
		for _, id := range ids {
			names[id.Name] = true
		}
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			add(n.Names)
		case *ast.Field:
			add(n.Names)
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
					names[id.Name] = true
				}
			}
		}
		return true
	})
}
