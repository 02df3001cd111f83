package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"leat/internal/fault"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{
		307: 5, 400: 1, 401: 1, 403: 1, 404: 3, 405: 1, 408: 5, 409: 4, 410: 1, 412: 4, 413: 1, 415: 1, 422: 1,
		429: 1, 500: 1, 502: 5, 503: 5, 504: 5, 507: 1,
	} {
		if got := classify(refusal(status, []byte(`{"error":"code","message":"m"}`))).exit; got != want {
			t.Errorf("status %d ends with %d, not %d", status, got, want)
		}
		if got := classify(fmt.Errorf("around: %w", refusal(status, []byte("<html>")))); got.exit != want || got.code != "unexpected_answer" {
			t.Errorf("status %d without a body ends with %d, %s", status, got.exit, got.code)
		}
	}
	for kind, want := range map[fault.Kind]int{
		fault.NotFound: 3, fault.Conflict: 4, fault.Precondition: 4, fault.Unavailable: 5, fault.Timeout: 5,
		fault.Invalid: 1, fault.Corrupt: 1, fault.Internal: 1,
	} {
		if got := classify(fmt.Errorf("around: %w", fault.New(kind, "code", "m"))); got.exit != want || got.code != "code" {
			t.Errorf("kind %d ends with %d, %s", kind, got.exit, got.code)
		}
	}
	if got := classify(errors.New("plain")).exit; got != exitFailure {
		t.Errorf("another error ends with %d", got)
	}
}

func TestFormatOf(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"topic list":                     formatTable,
		"topic list --frob -o json":      formatJSON,
		"-o yaml topic list":             formatYAML,
		"topic list -ojson":              formatJSON,
		"topic list -o=json":             formatJSON,
		"topic list --output json":       formatJSON,
		"topic list --output=yaml":       formatYAML,
		"topic list -o xml":              formatTable,
		"topic list -o":                  formatTable,
		"topic list -o json --output=no": formatJSON,
	} {
		if got := formatOf(strings.Fields(line)); got != want {
			t.Errorf("%s: %s, not %s", line, got, want)
		}
	}
}

// TestYAMLIsTheSameDocument: what is written as YAML reads back as the JSON it was
// made of, awkward strings included.
func TestYAMLIsTheSameDocument(t *testing.T) {
	t.Parallel()
	const document = `{"s":["","yes","null","~","1","1e3","0x1f","2013-01-01","a: b","- a","#","line\nline","\ud83d\ude00","\u0000\u001b[2J","é","<<","=","'\""],
		"n":[0,-1,9223372036854775807,1.5,1e300,-0.0],"b":[true,false],"z":null,"o":{},"a":[],"deep":{"b":1,"a":{"x":[{}]}}}`
	var text bytes.Buffer
	if err := writeDocument(&text, formatYAML, []byte(document)); err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := yaml.Unmarshal(text.Bytes(), &got); err != nil {
		t.Fatalf("%v in\n%s", err, &text)
	}
	if err := json.Unmarshal([]byte(document), &want); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back any
	if err := json.Unmarshal(again, &back); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(back) != fmt.Sprint(want) {
		t.Errorf("\n%v is not\n%v in\n%s", back, want, &text)
	}
	if s, b := strings.Index(text.String(), "s:"), strings.Index(text.String(), "deep:"); s < 0 || b < s {
		t.Errorf("the order of the members is lost in\n%s", &text)
	}
}

// TestTablesCannotMoveTheCursor: records are shown, never obeyed.
func TestTablesCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	g := rowGrid([]json.RawMessage{
		[]byte(`{"a":"\u001b[2J\u009b\u0007","b":null}`), []byte(`{"b":1,"c":{"d":[1, 2]}}`), []byte(`"bare"`), []byte(`{"a":"two\nlines\tx"}`),
	})
	if err := g.write(&out, "  "); err != nil {
		t.Fatal(err)
	}
	p := &rowPrinter{w: &out}
	if err := p.print([]byte(`{"a":"\u001b[2J","window_start":0}`)); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\u009b\t") {
		t.Errorf("control characters in\n%q", out.String())
	}
	for _, want := range []string{`\x1b[2J\x9b\x07`, "null", `{"d":[1,2]}`, "bare", `two\nlines\tx`, "value", "1970-01-01T00:00:00Z"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

func TestProgressLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		done, total, records int64
		want                 string
	}{
		{0, 100, 0, "[                              ]   0%  0 records, 7/s"},
		{50, 100, 1234, "[===============               ]  50%  1,234 records, 7/s"},
		{300, 100, 1, "[==============================] 100%  1 records, 7/s"},
		{50, 0, 12, "12 records, 7/s"},
	} {
		if got := progressLine(c.done, c.total, c.records, 7); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// TestRoutesAreEscaped: a name is one part of a path, whatever is in it.
func TestRoutesAreEscaped(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"a": "/x/a", "a/b": "/x/a%2Fb", "../e": "/x/..%2Fe", "?q#": "/x/%3Fq%23", "%2e": "/x/%252e"} {
		if got := route("x", name); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
	if err := refusal(http.StatusTeapot, nil); !strings.Contains(err.Error(), "418") {
		t.Error(err)
	}
}
