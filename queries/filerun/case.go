package filerun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"leat/internal/fault"
	"leat/queries"
)

// Case is a query with an input and what it has to put out, in files that lie beside
// each other:
//
//	NAME.json                 the spec
//	NAME.input.ndjson         the input; NAME.input.TOPIC.ndjson where there are more topics
//	NAME.kv.NAMESPACE.ndjson  what a lookup reads: lines {"key": TEXT, "value": JSON}
//	inputs.json               {"TOPIC": FILE, "kv:NAMESPACE": FILE}: inputs that the cases of
//	                          the directory share
//	NAME.expected.ndjson      the result rows
//	NAME.late.ndjson          the late rows, where there have to be any
//	NAME.dead_letters.ndjson  the dead letters, where there have to be any
//
// An input of the case's own goes before a shared one; it may have .gz at its end. The
// files in inputs.json are relative to its directory.
type Case struct {
	Name   string
	Spec   string            // file
	Inputs map[string]string // by topic, or "kv:" and namespace; these go before all others
}

const (
	sharedInputs = "inputs.json"
	specEnd      = ".json"
	maxSpecBytes = 1 << 20
)

// The logs of a case and the ends of the files that hold what is expected of them.
var expectedEnds = [...]struct{ log, end string }{
	{"results", ".expected.ndjson"}, {"late", ".late.ndjson"}, {"dead_letters", ".dead_letters.ndjson"},
}

// FindCases finds the cases of paths: files with specs, and directories all of whose
// .json files but inputs.json are specs. inputs, by topic, go before those of the
// cases.
func FindCases(paths []string, inputs map[string]string) ([]Case, error) {
	var cases []Case
	add := func(file string) {
		cases = append(cases, Case{Name: strings.TrimSuffix(filepath.Base(file), specEnd), Spec: file, Inputs: inputs})
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, notFound(err)
		}
		if !info.IsDir() {
			add(path)
			continue
		}
		files, err := filepath.Glob(filepath.Join(escapeGlob(path), "*"+specEnd))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", path, err)
		}
		before := len(cases)
		for _, file := range files {
			if filepath.Base(file) != sharedInputs {
				add(file)
			}
		}
		if len(cases) == before {
			return nil, fault.New(fault.NotFound, "not_found", "%s holds no specs, files that end in %s", path, specEnd)
		}
	}
	return cases, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "not_found", "%w", err)
	}
	return err
}

func (c *Case) base() string { return strings.TrimSuffix(c.Spec, specEnd) }

// Result is what came of a case.
type Result struct {
	Name        string            `json:"name"`
	File        string            `json:"file"`
	OK          bool              `json:"ok"`
	Rows        queries.RowCounts `json:"rows"`
	Differences []*Difference     `json:"differences,omitempty"`
	Updated     []string          `json:"updated,omitempty"` // files that were written
	// Error is why the query could not be run to its end; Err is the same.
	Error string `json:"error,omitempty"`
	Err   error  `json:"-"`
}

// Run runs the case and compares; with update, it writes the files of what is expected
// anew instead, and removes those of logs that are empty.
func (c *Case) Run(ctx context.Context, clock queries.Clock, update bool) Result {
	r := Result{Name: c.Name, File: c.Spec}
	var put [len(expectedEnds)][][]byte
	r.Rows, r.Err = c.run(ctx, clock, &put)
	for i := range expectedEnds {
		if r.Err != nil {
			break
		}
		file := c.base() + expectedEnds[i].end
		if update {
			r.Err = r.update(file, put[i], i == 0)
			continue
		}
		r.Err = r.compare(file, expectedEnds[i].log, put[i], i == 0)
	}
	if r.Err != nil {
		r.Error = r.Err.Error()
	}
	r.OK = r.Err == nil && len(r.Differences) == 0
	return r
}

func (c *Case) run(ctx context.Context, clock queries.Clock, put *[len(expectedEnds)][][]byte) (queries.RowCounts, error) {
	spec, err := readSome(c.Spec, maxSpecBytes)
	if err != nil {
		return queries.RowCounts{}, err
	}
	topics := Topics(spec)
	inputs, namespaces, err := c.inputs(topics, LookedUp(spec))
	if err != nil {
		return queries.RowCounts{}, err
	}
	into := func(i int) func([]byte) error {
		return func(row []byte) error {
			put[i] = append(put[i], bytes.Clone(row))
			return nil
		}
	}
	return Run(ctx, Config{
		Spec: spec, Inputs: inputs, Namespaces: namespaces, Clock: clock, Options: queries.RunOptions{FixedEpochs: true},
		Output: queries.LocalOutput{Results: into(0), Late: into(1), DeadLetters: into(2)},
	})
}

func readSome(file string, most int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, notFound(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is over %d bytes", file, most)
	}
	return text, err
}

// KVInput stands for the content of a namespace among the inputs of cases.
func KVInput(namespace string) string { return "kv:" + namespace }

// inputs finds the files of the topics and of the namespace, if there is one.
func (c *Case) inputs(topics []string, namespace string) (inputs []Input, namespaces []Namespace, err error) {
	shared, err := c.shared()
	if err != nil {
		return nil, nil, err
	}
	for _, topic := range topics {
		candidates := []string{c.base() + ".input." + topic + ".ndjson"}
		if len(topics) == 1 {
			candidates = append(candidates, c.base()+".input.ndjson")
		}
		file, err := c.file(topic, "input for topic "+strconv.Quote(topic), candidates, shared)
		if err != nil {
			return nil, nil, err
		}
		inputs = append(inputs, Input{Topic: topic, Open: opens(file)})
	}
	if namespace == "" {
		return inputs, nil, nil
	}
	candidates := []string{c.base() + ".kv." + namespace + ".ndjson"}
	file, err := c.file(KVInput(namespace), "content for namespace "+strconv.Quote(namespace), candidates, shared)
	if err != nil {
		return nil, nil, err
	}
	return inputs, []Namespace{{Name: namespace, Open: opens(file)}}, nil
}

func opens(file string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(file) }
}

// file is the first of an input's files that is there: the one given, or those beside the
// spec and the shared one.
func (c *Case) file(name, what string, candidates []string, shared map[string]string) (string, error) {
	if given := c.Inputs[name]; given != "" {
		candidates = []string{given}
	} else if file := shared[name]; file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(c.Spec), filepath.FromSlash(file))
		}
		candidates = append(candidates, file)
	}
	file := firstThatExists(candidates)
	if file == "" {
		return "", fault.New(fault.NotFound, "not_found", "there is no %s: neither %s", what, strings.Join(candidates, " nor "))
	}
	return file, nil
}

// shared are the inputs that the cases of a directory share.
func (c *Case) shared() (map[string]string, error) {
	shared := map[string]string{}
	file := filepath.Join(filepath.Dir(c.Spec), sharedInputs)
	text, err := readSome(file, maxSpecBytes)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &shared); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	case fault.KindOf(err) != fault.NotFound:
		return nil, err
	}
	return shared, nil
}

func firstThatExists(files []string) string {
	for _, file := range files {
		for _, end := range []string{"", ".gz"} {
			if _, err := os.Stat(file + end); err == nil {
				return file + end
			}
		}
	}
	return ""
}

// compare holds the rows of a log to its file. One of a log that may be empty need not
// be there.
func (r *Result) compare(file, log string, rows [][]byte, needed bool) error {
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && needed:
		return fault.New(fault.NotFound, "not_found", "there is no %s", file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if d := differ(splitRows(text), rows); d != nil {
		d.Log, d.File = log, file
		r.Differences = append(r.Differences, d)
	}
	return nil
}

func (r *Result) update(file string, rows [][]byte, needed bool) error {
	before, err := os.ReadFile(file)
	if len(rows) == 0 && !needed {
		if err != nil {
			return nil
		}
		r.Updated = append(r.Updated, file)
		return os.Remove(file)
	}
	text := slices.Concat(bytes.Join(rows, []byte{'\n'}), []byte{'\n'})
	if len(rows) == 0 {
		text = nil
	}
	if err == nil && bytes.Equal(before, text) {
		return nil
	}
	r.Updated = append(r.Updated, file)
	return os.WriteFile(file, text, 0o644)
}
