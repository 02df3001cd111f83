package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
)

// fakeDocs are the documents of the metadata shard in memory.
type fakeDocs struct {
	mu      sync.Mutex
	docs    map[string]bus.Doc
	version uint64
	changed chan struct{}
	// between, if set, runs before each transaction, without the lock.
	between func()
	refusal error // of Confirm
}

func newFakeDocs() *fakeDocs {
	return &fakeDocs{docs: map[string]bus.Doc{}, changed: make(chan struct{})}
}

func (f *fakeDocs) Confirm(ctx context.Context, _ uint64) error {
	return errors.Join(f.refusal, ctx.Err())
}

func (f *fakeDocs) Doc(_ uint64, key string) (bus.Doc, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.docs[key]
	return d, ok
}

func (f *fakeDocs) DocsPage(_ uint64, prefix, after string, limit int) []bus.Doc {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page []bus.Doc
	for key, d := range f.docs {
		if strings.HasPrefix(key, prefix) && key > after {
			page = append(page, d)
		}
	}
	slices.SortFunc(page, func(a, b bus.Doc) int { return strings.Compare(a.Key, b.Key) })
	return page[:min(len(page), limit)]
}

func (f *fakeDocs) DocsChanged(uint64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fakeDocs) Transact(_ context.Context, t bus.Txn) (bus.TxnResult, error) {
	if between := f.between; between != nil {
		f.between = nil
		between()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.Shard != bus.MetaShard || t.Fence == nil {
		return bus.TxnResult{}, errors.New("a transaction without a fence, or of another shard")
	}
	if f.docs[t.Fence.Key].Version != t.Fence.Version {
		return bus.TxnResult{}, fault.New(fault.Conflict, "fenced", "fenced")
	}
	for _, d := range t.Puts {
		f.version++
		f.docs[d.Key] = bus.Doc{Key: d.Key, Value: d.Value, Version: f.version}
	}
	for _, key := range t.Deletes {
		f.version++
		delete(f.docs, key)
	}
	close(f.changed)
	f.changed = make(chan struct{})
	return bus.TxnResult{}, nil
}

// wordFormat stands for a language: a schema is the set of words a value has, "?" after
// those a reader can do without. Its references have to be words too.
type wordFormat struct{}

type words []string

func (wordFormat) parse(text string, sources []Source) (parsed, error) {
	list := words(strings.Fields(text))
	if len(list) == 0 || slices.Contains(list, "bad") {
		return nil, errors.New("bad words")
	}
	for _, s := range sources {
		list = append(list, strings.Fields(s.Text)...)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func (w words) identity() string { return strings.Join(w, " ") }

func (w words) reads(writer parsed, _ roles) []string {
	var missing []string
	for _, word := range w {
		bare, optional := strings.CutSuffix(word, "?")
		if theirs := writer.(words); !optional && !slices.Contains(theirs, bare) && !slices.Contains(theirs, bare+"?") {
			missing = append(missing, "no "+word)
		}
	}
	return missing
}

// over is a registry of words.
func over(docs Documents, limits Limits) *Registry {
	r := New(docs, limits)
	r.formats = map[Type]format{Avro: wordFormat{}, JSON: jsonFormat{}}
	return r
}

// desk is a registry under test and its documents.
type desk struct {
	*testing.T
	*Registry
	docs *fakeDocs
}

func newDesk(t *testing.T, limits Limits) *desk {
	docs := newFakeDocs()
	return &desk{t, over(docs, limits), docs}
}

// register registers words and checks the id and the version.
func (d *desk) register(subject, text string, id, version int, references ...Reference) {
	d.Helper()
	v, err := d.Register(d.Context(), subject, Draft{Text: text, References: references})
	if err != nil || v.Schema.ID != id || v.Number != version {
		d.Fatalf("register %q for %s: %+v, %v; want id %d, version %d", text, subject, v, err, id, version)
	}
}

// refused checks the code of an error.
func (d *desk) refused(err error, kind fault.Kind, code string) {
	d.Helper()
	if f := fault.As(err); f == nil || f.Kind != kind || f.Code != code {
		d.Fatalf("got %v, want %s", err, code)
	}
}
