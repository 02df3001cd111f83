package api

import (
	"encoding/base64"
	"math"
	"net/http"
	"strconv"

	"leat/codecs"
	"leat/internal/bus"
	"leat/internal/fault"
)

// listDocuments answers GET /kv/{namespace}: the keys, or with watch=1 what happens
// to them.
func (c *call) listDocuments() error {
	watch, err := c.params.flag("watch")
	if err != nil {
		return err
	}
	if watch {
		return c.watch()
	}
	shard, _, prefix, err := c.space()
	if err != nil {
		return err
	}
	limit, err := c.params.integer("limit", 1, math.MaxInt64, defaultLimit)
	if err != nil {
		return err
	}
	wanted, _ := c.params.get("prefix")
	after, _ := c.params.get("after")
	if err := c.upToDate(shard); err != nil {
		return err
	}
	most := int(min(limit, maxLimit))
	// Read before the page: who watches from here on misses nothing.
	version := c.server.documents.DocVersion(shard)
	page := c.server.documents.DocsPage(shard, prefix+wanted, prefix+after, most+1)
	more := len(page) > most
	page = page[:min(len(page), most)]
	out := append(c.out(), `{"ok":true,"keys":[`...)
	for i := range page {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"key":`...)
		out = codecs.AppendJSONString(out, page[i].Key[len(prefix):])
		out = append(out, `,"cas":`...)
		out = append(c.appendMeta(out, shard, &page[i]), '}')
	}
	out = append(out, ']')
	out = appendField(out, "count", int64(len(page)))
	if more {
		out = append(out, `,"next_after":`...)
		out = codecs.AppendJSONString(out, page[len(page)-1].Key[len(prefix):])
	} else {
		out = append(out, `,"next_after":null`...)
	}
	out = append(out, `,"version":`...)
	return c.send(http.StatusOK, typeJSON, append(strconv.AppendUint(out, version, 10), '}'))
}

// A watched namespace as NDJSON, one JSON value a line:
//
//	{"meta":{"namespace":"ns","version":7}}
//	{"key":"k","cas":8,"value":"<base64>"}                   any number of changes
//	{"key":"k","cas":9,"deleted":true,"expired":false}
//	{"heartbeat":{"version":9}}
//	{"ok":false,"error":…}                                   last, of an error
//
// As server-sent events a change is the data of an unnamed event whose id is its
// cas; a heartbeat has an id as well, so that who comes back is not sent to changes
// of other namespaces that are long forgotten.

// watcher is one watched namespace.
type watcher struct {
	*outlet
	shard     uint64
	namespace string
	prefix    string // of the namespace's documents
	only      string // of the documents asked for
	version   uint64 // everything up to it was sent
}

// watch answers GET /kv/{namespace}?watch=1: changes after a version, or from now on.
func (c *call) watch() error {
	shard, namespace, prefix, err := c.space()
	if err != nil {
		return err
	}
	wanted, _ := c.params.get("prefix")
	after, err := c.params.integer("after", 0, math.MaxInt64, -1)
	if err != nil {
		return err
	}
	if after, err = c.resume(after, 0); err != nil {
		return err
	}
	if err := c.upToDate(shard); err != nil {
		return err
	}
	w := &watcher{shard: shard, namespace: namespace, prefix: prefix, only: prefix + wanted}
	present := c.server.documents.DocVersion(shard)
	if w.version = uint64(after); after < 0 {
		w.version = present
	}
	if w.version > present {
		return invalidParameter("after", "has to be at most %d, the last change there was, not %d", present, after)
	}
	if _, _, ok := c.server.documents.DocChanges(shard, w.version, w.only); !ok {
		return changesGone(w.version)
	}
	return c.stream(ScopeKV, forNamespace(namespace), func(o *outlet) {
		w.outlet = o
		w.run()
	})
}

func changesGone(version uint64) *fault.Error {
	return fault.New(fault.OutOfRange, "changes_gone", "The changes after %d are no longer known: list the keys anew", version)
}

// run writes the changes until the client is gone, the server shuts down or the
// client has fallen too far behind.
func (w *watcher) run() {
	meta := codecs.AppendJSONString([]byte(`{"namespace":`), w.namespace)
	w.event("meta", append(appendField(meta, "version", int64(w.version)), '}'))
	if !w.flush() {
		return
	}
	for {
		arrived := w.server.documents.DocsChanged(w.shard)
		changes, next, ok := w.server.documents.DocChanges(w.shard, w.version, w.only)
		if !ok {
			w.fail(changesGone(w.version))
			return
		}
		for i := range changes {
			w.change(&changes[i])
			if len(w.out) >= writePart && !w.flush() {
				return
			}
		}
		w.version = max(w.version, next)
		if !w.flush() {
			return
		}
		switch w.wait(arrived) {
		case waitOver:
			return
		case waitBeat:
			w.mark(int64(w.version))
			beat := strconv.AppendUint([]byte(`{"version":`), w.version, 10)
			w.event("heartbeat", append(beat, '}'))
			if !w.flush() {
				return
			}
		}
	}
}

// change adds one change.
func (w *watcher) change(change *bus.DocChange) {
	line := codecs.AppendJSONString([]byte(`{"key":`), change.Key[len(w.prefix):])
	line = append(line, `,"cas":`...)
	line = strconv.AppendUint(line, change.Version, 10)
	if change.Gone {
		line = append(line, `,"deleted":true,"expired":`...)
		line = append(strconv.AppendBool(line, change.Expired), '}')
	} else {
		line = append(line, `,"value":"`...)
		line = base64.StdEncoding.AppendEncode(line, change.Value)
		line = append(line, `"}`...)
	}
	w.item(int64(change.Version), line)
}
