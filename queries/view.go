package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"leat/codecs"
	"leat/internal/fault"
)

// maxViews is how many queries a node keeps the index of a view of, at most 16 x 10 MiB.
const maxViews = 16

// views are the indexes of the queries whose view was asked for last.
type views struct {
	mu   sync.Mutex
	list []openView // the one used last is the last
}

type openView struct {
	id    string
	index *viewIndex
}

func (v *views) of(topics Topics, id string) *viewIndex {
	v.mu.Lock()
	defer v.mu.Unlock()
	open := openView{id: id}
	for i, o := range v.list {
		if o.id == id {
			open = o
			v.list = append(v.list[:i], v.list[i+1:]...)
			break
		}
	}
	if open.index == nil {
		open.index = newViewIndex(topics, resultsTopic(id))
	}
	if len(v.list) == maxViews {
		v.list = v.list[1:]
	}
	v.list = append(v.list, open)
	return open.index
}

// forget drops the index of a query.
func (v *views) forget(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, o := range v.list {
		if o.id == id {
			v.list = append(v.list[:i], v.list[i+1:]...)
			return
		}
	}
}

// View returns the row that a query has written last for a group, or for a group and
// the window that starts at windowStart, epoch ms. keys are the texts of the group_by
// values in their order, see keyValues; there are none for a query that aggregates
// without group_by.
//
// The first call reads the whole result log, the ones after it what is new. It is
// read as this node has it.
//
// Errors are faults: NotFound "unknown_query", NotFound "not_found" where there is no
// such row, Unprocessable "not_grouped" for a query without groups, Invalid
// "invalid_parameter" for another number of keys, Unavailable "view_behind" where ctx
// ended before the log was read, and those of the log.
func (m *Manager) View(ctx context.Context, name string, keys []string, windowStart *int64) (json.RawMessage, error) {
	e, err := m.lookup(name)
	if err != nil {
		return nil, err
	}
	spec, problems := Parse(e.Spec)
	if len(problems) > 0 {
		return nil, problems.Fault()
	}
	if err := viewable(spec, len(keys), windowStart != nil); err != nil {
		return nil, err
	}
	groups, err := groupKeys(keys)
	if err != nil {
		return nil, err
	}
	none := fault.New(fault.NotFound, "not_found", "query %q has no row for that key yet", name)
	if _, ok := m.topics.Topic(resultsTopic(e.ID)); !ok {
		return nil, none
	}
	row, found, err := m.views.of(m.topics, e.ID).find(ctx, groups, windowStart)
	if f := fault.As(err); f != nil && f.Code == codeUnknownTopic {
		return nil, none // named already and not open yet, or no more
	}
	if err != nil {
		return nil, fmt.Errorf("view of query %q: %w", name, err)
	}
	if !found {
		return nil, none
	}
	return row, nil
}

// viewable tells whether a view of the query can be asked for that way.
func viewable(spec *Spec, keys int, window bool) error {
	if len(spec.Aggregate) == 0 {
		return fault.New(fault.Unprocessable, "not_grouped", "query %q has no groups, so there is no latest row of one; read its results", spec.Name)
	}
	fields := len(spec.GroupBy)
	names := make([]string, fields)
	for i, field := range spec.GroupBy {
		names[i] = field.Text
	}
	if keys != fields {
		f := fault.New(fault.Invalid, "invalid_parameter", `query %q has no "group_by": the view takes no key`, spec.Name)
		if fields > 0 {
			f = fault.New(fault.Invalid, "invalid_parameter",
				"query %q groups by %s: give key once for each, in this order, not %d times in all", spec.Name, strings.Join(names, ", "), keys)
		}
		return f.With("parameter", "key").With("group_by", names)
	}
	if window && (spec.Window == nil || spec.running()) {
		return fault.New(fault.Invalid, "invalid_parameter", "query %q has no windows", spec.Name).With("parameter", "window_start")
	}
	return nil
}

// maxAmbiguousKeys bounds the parts of a key that may be read in two ways.
const maxAmbiguousKeys = 8

// groupKeys are the canonical keys that the texts of the parts can mean, in the order
// in which they are to be looked for.
func groupKeys(texts []string) ([][]byte, error) {
	keys := [][]byte{nil}
	ambiguous := 0
	for _, text := range texts {
		values := keyValues(text)
		if len(values) > 1 {
			if ambiguous++; ambiguous > maxAmbiguousKeys {
				return nil, fault.New(fault.Invalid, "invalid_parameter",
					`more than %d keys can be a string or another value: write strings in quotes, as "5"`, maxAmbiguousKeys).With("parameter", "key")
			}
		}
		longer := make([][]byte, 0, len(keys)*len(values))
		for _, key := range keys {
			for _, v := range values {
				longer = append(longer, codecs.AppendKey(key[:len(key):len(key)], v))
			}
		}
		keys = longer
	}
	return keys, nil
}

// keyValues are the values that a key in an address can mean, the likeliest first: a
// string in quotes is that string; other JSON is its value or, where there is no such
// group, the string as it is written; what is no JSON is a string.
func keyValues(text string) []codecs.Value {
	doc, report := readDocument([]byte(text))
	written := codecs.StringValue(text)
	if doc.root == nil || len(report.problems) > 0 {
		return []codecs.Value{written}
	}
	switch doc.root.kind {
	case codecs.String:
		return []codecs.Value{doc.root.value}
	case codecs.Object:
		return []codecs.Value{codecs.ObjectValue(text), written}
	case codecs.Array:
		return []codecs.Value{codecs.ArrayValue(text), written}
	}
	return []codecs.Value{doc.root.value, written}
}
