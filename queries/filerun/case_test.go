package filerun

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leat/internal/fault"
)

// files writes files into a new directory.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func runCases(t *testing.T, update bool, inputs map[string]string, paths ...string) map[string]Result {
	t.Helper()
	cases, err := FindCases(paths, inputs)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]Result{}
	for i := range cases {
		r := cases[i].Run(t.Context(), stillClock{}, update)
		results[r.Name] = r
	}
	return results
}

const (
	countSpec = `{"name":"q","source":{"topic":"in","event_time":"t"},"window":{"tumbling":10},"aggregate":{"n":"count(v + 0)"}}`
	events    = `{"t":1,"v":1}` + "\n" + `{"t":12,"v":1}` + "\n" + `{"t":3,"v":1}` + "\n" + `{"t":25,"v":"x"}` + "\n" + `{"t":27,"v":5}` + "\n"
	counted   = `{"n":1,"window_start":0,"window_end":10}` + "\n" + `{"n":1,"window_start":10,"window_end":20}` + "\n" +
		`{"n":1,"window_start":20,"window_end":30}` + "\n"
)

// TestCases: where the input comes from, and what differs.
func TestCases(t *testing.T) {
	t.Parallel()
	late := `{"topic":"in","partition":0,"offset":2,"event_time":3,"watermark":12,"window_start":0,"window_end":10,"value_b64":"eyJ0IjozLCJ2IjoxfQ=="}`
	dir := files(t, map[string]string{
		"shared.txt": events, "inputs.json": `{"in":"shared.txt","unused":"nothing"}`,
		"good.json": strings.Replace(countSpec, "count(v + 0)", "count()", 1), "good.late.ndjson": late + "\n",
		"good.expected.ndjson": `{"n":1 , "window_start":0,"window_end":10}` + "\n\n" + `{"n":1,"window_start":10,"window_end":20}` + "\r\n" +
			`{"n":2,"window_start":20,"window_end":30}`,
		"missing.json": countSpec,
		"own.json":     countSpec, "own.input.ndjson": `{"t":5}`, "own.expected.ndjson": `{"n":0,"window_start":0,"window_end":10}`,
		"named.json": countSpec, "named.input.in.ndjson.gz": string(zip(t, `{"t":5}`)), "named.expected.ndjson": "",
		"letters.json": countSpec, "letters.expected.ndjson": counted, "letters.dead_letters.ndjson": "another\n",
		"bad.json": `{"name":"q","source":{"topic":"in"},"fliter":1}`,
	})
	got := runCases(t, false, nil, dir)
	if len(got) != 6 {
		t.Errorf("%d cases: %v", len(got), got)
	}
	for name, want := range map[string]struct {
		ok    bool
		text  string // in the error or the differences
		count int
	}{
		"good": {ok: true}, "own": {ok: true},
		"missing": {text: "there is no " + filepath.Join(dir, "missing.expected.ndjson")},
		"named":   {text: `"line":1,"expected":[],"actual":["{\"n\":0,\"window_start\":0,\"window_end\":10}"]`, count: 1},
		"letters": {text: `"log":"late","file":"` + filepath.Join(dir, "letters.late.ndjson") + `","line":1,"expected":[],"actual":[`, count: 2},
		"bad":     {text: "fliter"},
	} {
		r := got[name]
		text, err := json.Marshal(r)
		if err != nil || r.OK != want.ok || !strings.Contains(string(text), want.text) || len(r.Differences) != want.count {
			t.Errorf("%s: %s, %v", name, text, err)
		}
		if r.OK && r.Rows.In == 0 {
			t.Errorf("%s has read nothing", name)
		}
	}
	given := filepath.Join(dir, "own.input.ndjson")
	if r := runCases(t, false, map[string]string{"in": given}, filepath.Join(dir, "letters.json"))["letters"]; r.OK || r.Rows.In != 1 {
		t.Errorf("with another input: %+v", r)
	}
	if r := runCases(t, false, map[string]string{"in": given + "x"}, filepath.Join(dir, "own.json"))["own"]; fault.KindOf(r.Err) != fault.NotFound {
		t.Errorf("with an input that is not there: %+v", r)
	}
}

// TestUpdate: after an update every case passes, and nothing is left to update.
func TestUpdate(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"a.json": countSpec, "a.input.ndjson": events,
		"b.json": countSpec, "b.input.ndjson": `{"t":5}`, "b.late.ndjson": "old\n", "b.expected.ndjson": "old\n",
		"c.json": strings.Replace(countSpec, `"window"`, `"filter":"false","window"`, 1), "c.input.ndjson": `{"t":5}`,
	})
	path := func(name string) string { return filepath.Join(dir, name) }
	first := runCases(t, true, nil, dir)
	for name, want := range map[string][]string{
		"a": {path("a.expected.ndjson"), path("a.late.ndjson"), path("a.dead_letters.ndjson")},
		"b": {path("b.expected.ndjson"), path("b.late.ndjson")},
		"c": {path("c.expected.ndjson")},
	} {
		if r := first[name]; !r.OK || !slices.Equal(r.Updated, want) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if text, err := os.ReadFile(path("a.expected.ndjson")); string(text) != counted {
		t.Errorf("written: %s, %v", text, err)
	}
	if _, err := os.Stat(path("b.late.ndjson")); err == nil {
		t.Error("a file for no late rows is left")
	}
	for _, update := range []bool{false, true} {
		for name, r := range runCases(t, update, nil, dir) {
			if !r.OK || len(r.Updated) > 0 {
				t.Errorf("%s after the update: %+v", name, r)
			}
		}
	}
}

func TestFindCases(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"inputs.json": "{}", "x.txt": ""})
	for _, path := range []string{dir, filepath.Join(dir, "nothing")} {
		if _, err := FindCases([]string{path}, nil); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", path, err)
		}
	}
	odd := filepath.Join(dir, "a[b]*")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(odd, "x.json"), []byte(plain), 0o644); err != nil {
		t.Fatal(err)
	}
	cases, err := FindCases([]string{odd}, nil)
	if err != nil || len(cases) != 1 || cases[0].Name != "x" {
		t.Errorf("%v, %v", cases, err)
	}
	if r := cases[0].Run(t.Context(), stillClock{}, false); fault.KindOf(r.Err) != fault.NotFound || !strings.Contains(r.Error, "x.input.ndjson") {
		t.Errorf("without an input: %+v", r)
	}
}
