package api

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every example of docs/http.md is run, in order, against one server; -update
// writes the answers in.
func TestHTTPDocExamples(t *testing.T) {
	t.Parallel()
	docExamples(t, "../docs/http.md", 25, func(r *route) bool { return !schemaPath(r.path) })
}

// So are those of docs/schemas.md, which is about the registry's calls.
func TestSchemaDocExamples(t *testing.T) {
	t.Parallel()
	docExamples(t, "../docs/schemas.md", 25, func(r *route) bool { return schemaPath(r.path) })
}

// docExamples runs the examples of a document, of which it has to have some, and looks
// for one of every route that it is about.
func docExamples(t *testing.T, path string, atLeast int, about func(*route) bool) {
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(c *Config) { c.Dev = true })
	var out strings.Builder
	examples := 0
	inside := false
	answered := map[string]bool{}
	for _, l := range strings.SplitAfter(string(doc), "\n") {
		switch {
		case strings.HasPrefix(l, "```console"):
			inside = true
		case strings.HasPrefix(l, "```"):
			inside = false
		case inside && !strings.HasPrefix(l, "$ "):
			continue // an answer: written anew
		case inside:
			examples++
			out.WriteString(l)
			request, a := s.curl(strings.TrimSpace(l[2:]))
			out.WriteString(strings.TrimSuffix(a.body, "\n") + "\n")
			for _, r := range routes() {
				pattern := strings.ReplaceAll(regexp.MustCompile(`:\w+`).ReplaceAllString(r.path, `[^/]+`), "*", ".+")
				if a.status < 300 && regexp.MustCompile("^"+r.method+" "+pattern+"$").MatchString(request) {
					answered[r.method+" "+r.path] = true
				}
			}
			if strings.Contains(l, "delays") && strings.Contains(l, "POST") {
				s.queries.change("delays", func(q *fakeQuery) {
					q.rows = append(q.rows, []byte(`{"flight":"UA1545","dep_delay":42}`))
					q.complete = true
				})
			}
			continue
		}
		out.WriteString(l)
	}
	if examples < atLeast {
		t.Errorf("only %d examples", examples)
	}
	golden(t, path, out.String())
	for _, r := range routes() {
		if !about(&r) {
			continue
		}
		// An answer that does not end, and those that are long, have no example.
		without := []string{"/", "/docs/errors", "/broker/stream/:topic/:partition", "/metrics", "/docs", "/openapi.json"}
		if !answered[r.method+" "+r.path] && !slices.Contains(without, r.path) {
			t.Errorf("%s has no example of %s %s", path, r.method, r.path)
		}
		name := r.pattern()
		if want := "`" + r.method + " " + name; !bytes.Contains(doc, []byte(want+"`")) && !bytes.Contains(doc, []byte(want+"?")) {
			t.Errorf("%s does not mention %s %s", path, r.method, name)
		}
		for _, p := range r.named() {
			p = strings.TrimSuffix(p, repeated)
			if !bytes.Contains(doc, []byte("`"+p)) && !bytes.Contains(doc, []byte(p+"=")) {
				t.Errorf("%s does not mention parameter %s", path, p)
			}
		}
	}
}

// curl does what a curl command line of the document does, with the token of --dev.
// request is the method and path.
func (s *testServer) curl(command string) (request string, a answer) {
	s.t.Helper()
	method, address, body := "GET", "", ""
	headers := []string{"Authorization: Bearer dev"}
	words := shellWords(command)
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case "-sN", "-s":
		case "-X":
			i++
			method = words[i]
		case "-H":
			i++
			if !strings.Contains(words[i], "$TOKEN") {
				headers = append(headers, words[i])
			}
		case "-d", "--data-binary":
			i++
			body = words[i]
			if method == "GET" {
				method = "POST"
			}
		default:
			address = words[i]
		}
	}
	path, ok := strings.CutPrefix(address, "localhost:1109")
	if words[0] != "curl" || !ok {
		s.t.Fatalf("not understood: %s", command)
	}
	a = s.do(method, path, strings.NewReader(body), headers...)
	if a.status >= http.StatusInternalServerError {
		s.t.Errorf("%s: %d", command, a.status)
	}
	path, _, _ = strings.Cut(path, "?")
	return method + " " + path, a
}

// shellWords splits a command at spaces outside quotes; $'…' knows \n.
func shellWords(command string) (words []string) {
	for command = strings.TrimSpace(command); command != ""; command = strings.TrimSpace(command) {
		word := ""
		for command != "" && command[0] != ' ' {
			switch {
			case strings.HasPrefix(command, "$'"):
				text, rest, _ := strings.Cut(command[2:], "'")
				word, command = word+strings.ReplaceAll(text, `\n`, "\n"), rest
			case command[0] == '\'' || command[0] == '"':
				text, rest, _ := strings.Cut(command[1:], command[:1])
				word, command = word+text, rest
			default:
				word, command = word+command[:1], command[1:]
			}
		}
		words = append(words, word)
	}
	return words
}

func TestShellWords(t *testing.T) {
	t.Parallel()
	got := fmt.Sprintf("%q", shellWords(`curl -d '{"a b":1}' "x y"z $'l1\nl2'`))
	if want := `["curl" "-d" "{\"a b\":1}" "x yz" "l1\nl2"]`; got != want {
		t.Errorf("got %s", got)
	}
}
