package api

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"leat/internal/fault"
)

// kindsByName are the kinds by the names they have in the source.
func kindsByName() map[string]fault.Kind {
	return map[string]fault.Kind{
		"Internal": fault.Internal, "Invalid": fault.Invalid, "Unprocessable": fault.Unprocessable, "NotFound": fault.NotFound,
		"Conflict": fault.Conflict, "OutOfRange": fault.OutOfRange, "Precondition": fault.Precondition, "TooLarge": fault.TooLarge,
		"Unsupported": fault.Unsupported, "Unauthorized": fault.Unauthorized, "Forbidden": fault.Forbidden, "NotLeader": fault.NotLeader,
		"Unavailable": fault.Unavailable, "Timeout": fault.Timeout, "Exhausted": fault.Exhausted, "DiskFull": fault.DiskFull, "Corrupt": fault.Corrupt,
	}
}

// The codes, and the statuses of the kinds, are frozen.
func TestStatusesGolden(t *testing.T) {
	t.Parallel()
	var lines []string
	for name, kind := range kindsByName() {
		lines = append(lines, fmt.Sprintf("kind %-14s %d", name, statusOf(&fault.Error{Kind: kind})))
	}
	for _, e := range errorTable() {
		lines = append(lines, fmt.Sprintf("code %-22s %s", e.Code, e.Status))
	}
	sort.Strings(lines)
	golden(t, "testdata/errors.golden", strings.Join(lines, "\n")+"\n")
}

func TestErrorTable(t *testing.T) {
	t.Parallel()
	table := errorTable()
	if !sort.SliceIsSorted(table, func(i, j int) bool { return table[i].Code < table[j].Code }) {
		t.Error("the table is not sorted by code")
	}
	known := map[string]documented{}
	for _, e := range table {
		known[e.Code] = e
	}
	if len(known) != len(table) {
		t.Error("a code is there twice")
	}
	for code, kind := range codesInSource(t) {
		e, ok := known[code]
		if status := strconv.Itoa(statusOf(&fault.Error{Kind: kind, Code: code})); !ok || !strings.Contains(e.Status, status) {
			t.Errorf("code %s with status %s is not in the table as such: %+v", code, status, e)
		}
	}
	golden(t, "../docs/errors.md", string(errorsMarkdown()))
}

// codesInSource finds the faults that this package makes for HTTP clients.
func codesInSource(t *testing.T) map[string]fault.Kind {
	t.Helper()
	codes := map[string]fault.Kind{codeRequestTimeout: fault.Invalid, codeMethodNotAllowed: fault.Invalid, codeUnsupportedFormat: fault.Unsupported}
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range names {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			kind, ok1 := call.Args[0].(*ast.SelectorExpr)
			code, ok2 := call.Args[1].(*ast.BasicLit)
			if !ok1 || !ok2 || code.Kind != gotoken.STRING {
				return true
			}
			if k, ok := kindsByName()[kind.Sel.Name]; ok {
				if word, _ := strconv.Unquote(code.Value); word != "invalid_tokens" && word != "insecure_bind" { // of the start, not of HTTP
					codes[word] = k
				}
			}
			return true
		})
	}
	if len(codes) < 20 {
		t.Fatalf("only %d codes found", len(codes))
	}
	return codes
}

// TestCodesOfSpecs: what can be wrong with a spec has a row, and so a page.
func TestCodesOfSpecs(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(gotoken.NewFileSet(), "../queries/problems.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "code") || len(spec.Values) != 1 {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found++
		if docsOf(code) == docsOf("of_another_package") {
			t.Errorf("code %s is not in the table", code)
		}
		return true
	})
	if found < 4 {
		t.Errorf("only %d codes found", found)
	}
}

func TestDocsLinksResolve(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	index := s.do("GET", "/docs/errors", http.NoBody)
	for _, e := range errorTable() {
		a := s.do("GET", docsOf(e.Code), http.NoBody)
		if a.status != 200 || !strings.HasPrefix(a.body, e.Code+" (HTTP "+e.Status+")") || !strings.Contains(index.body, docsOf(e.Code)) {
			t.Errorf("%s: %d %q", e.Code, a.status, a.body)
		}
	}
	if a := s.do("GET", docsOf("of_another_package"), http.NoBody); a.status != 200 {
		t.Errorf("the link of a code without a page: %d", a.status)
	}
	s.wantError(404, "not_found", "GET", "/docs/errors/nothing", "")
}

func TestErrorBody(t *testing.T) {
	t.Parallel()
	f := fault.New(fault.Unavailable, "no_quorum", "No \"quorum\"").With("z", 1).With("a", []int{2}).With("ok", true).With("bad", func() {})
	want := `{"ok":false,"error":"no_quorum","message":"No \"quorum\"","docs":"/docs/errors/no_quorum","retryable":true,"a":[2],"z":1}`
	if got := string(appendError(nil, f)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	wrapped := fmt.Errorf("append to t: %w", fmt.Errorf("propose: %w", f))
	if got := string(appendError(nil, classify(wrapped))); got != want {
		t.Errorf("wrapped: %s", got)
	}
}

func TestNotLeaderRedirects(t *testing.T) {
	t.Parallel()
	s := withTopic(t, nil)
	h := s.server.app.AcquireCtx(&fasthttp.RequestCtx{})
	defer s.server.app.ReleaseCtx(h)
	h.Context().Request.SetRequestURI("/broker/topics/t/produce?key=a%2Fb")
	s.server.fail(h.Context(), fault.New(fault.NotLeader, "not_leader", "Ask the leader").With("leader", "http://10.0.0.2:1109"))
	response := &h.Context().Response
	if got := string(response.Header.Peek("Location")); response.StatusCode() != 307 || got != "http://10.0.0.2:1109/broker/topics/t/produce?key=a%2Fb" {
		t.Errorf("%d %q", response.StatusCode(), got)
	}
}
