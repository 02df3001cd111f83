package filerun

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat/internal/fault"
	"leat/queries"
)

func namespace(name, lines string) Namespace {
	return Namespace{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(lines)), nil }}
}

// TestLookupOverFiles: a lookup reads the file of its namespace, of a key that is there
// twice the last line; what is missing, too much or damaged is said.
func TestLookupOverFiles(t *testing.T) {
	t.Parallel()
	const spec = `{"name":"q","source":{"topic":"in"},"lookup":{"kv":"airports","key":"o","as":"a","type":"left"},"select":{"a":"a"}}`
	good := namespace("airports", `{"key":"JFK","value":1}`+"\n\n"+` {"value":{"name":"Kennedy"},"key":"JFK"}`+"\n"+`{"key":"","value":null}`)
	for _, c := range []struct {
		spec       string
		namespaces []Namespace
		want, err  string
	}{
		{spec, []Namespace{good}, `{"a":{"name":"Kennedy"}}` + "\n" + `{"a":null}` + "\n", ""},
		{spec, nil, "", `there is no content for the namespace "airports"`},
		{spec, []Namespace{good, namespace("others", "")}, "", `namespace "others", which the query does not look up in`},
		{spec, []Namespace{good, good}, "", "has two files"},
		{`{"name":"q","source":{"topic":"in"}}`, []Namespace{good}, "", "does not look up in"},
		{spec, []Namespace{namespace("airports", `{"key":"JFK","value":1}`+"\n"+`{"key":"JFK"}`)}, "", "line 2 is not like"},
		{spec, []Namespace{namespace("airports", `{"key":7,"value":1}`)}, "", "line 1 is not like"},
		{spec, []Namespace{namespace("airports", `["JFK"]`)}, "", "line 1 is not like"},
	} {
		var rows strings.Builder
		_, err := Run(t.Context(), Config{
			Spec: []byte(c.spec), Namespaces: c.namespaces, Clock: stillClock{}, Options: queries.RunOptions{FixedEpochs: true},
			Inputs: []Input{{Open: func() (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(`{"o":"JFK"}` + "\n" + `{"o":"x"}`)), nil
			}}},
			Output: queries.LocalOutput{Results: func(row []byte) error { rows.Write(row); rows.WriteByte('\n'); return nil }},
		})
		if c.err == "" && err != nil || c.err != "" && (fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.err)) || rows.String() != c.want {
			t.Errorf("%d namespaces: %v, %q, want %q, %q", len(c.namespaces), err, rows.String(), c.err, c.want)
		}
	}
}

// TestCasesShareNamespaces: a case has a file of its own for what a lookup reads, or
// shares one.
func TestCasesShareNamespaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const spec = `{"name":"q","source":{"topic":"in"},"lookup":{"kv":"names","key":"k","as":"a"},"select":{"a":"a"}}`
	write("one.json", spec)
	write("two.json", spec)
	write("in.ndjson", `{"k":1}`)
	write("inputs.json", `{"in":"in.ndjson"}`)
	write("one.expected.ndjson", `{"a":"shared"}`)
	write("two.expected.ndjson", `{"a":"own"}`)
	write("two.kv.names.ndjson", `{"key":"1","value":"own"}`)
	cases, err := FindCases([]string{dir}, nil)
	if err != nil || len(cases) != 2 {
		t.Fatal(cases, err)
	}
	if r := cases[0].Run(t.Context(), stillClock{}, false); r.OK || !strings.Contains(r.Error, `no content for namespace "names"`) {
		t.Errorf("without content: %+v", r)
	}
	write("shared.ndjson", `{"key":"1","value":"shared"}`)
	write("inputs.json", `{"in":"in.ndjson","kv:names":"shared.ndjson"}`)
	for i := range cases {
		if r := cases[i].Run(t.Context(), stillClock{}, false); !r.OK {
			t.Errorf("%+v", r)
		}
	}
}
