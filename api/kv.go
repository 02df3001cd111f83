package api

import (
	"context"
	"encoding/base64"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/internal/bus"
	"leat/internal/fault"
)

const (
	maxDocumentKey = 1024
	maxTTLMs       = 100 * 366 * 24 * 3600 * 1000 // a hundred years
)

// document is what the path of a key-value call names. A namespace lives in one
// shard; in it, a document's key is spacePrefix and the key.
type document struct {
	shard     uint64
	namespace string
	key       string // as the client knows it
	full      string // as the shard knows it
}

// space reads the namespace of the path: its shard and the prefix of its documents.
func (c *call) space() (shard uint64, namespace, prefix string, err error) {
	namespace, ok := c.text("namespace")
	if !ok || !validName(namespace, maxTopicName) {
		return 0, "", "", fault.New(fault.Invalid, "invalid_namespace", "%q is not a valid name of a namespace", clip(namespace))
	}
	if err := forNamespace(namespace)(c.grants); err != nil {
		return 0, "", "", err
	}
	prefix = spacePrefix(namespace)
	return c.server.documents.DataShard(spaceName(prefix)), namespace, prefix, nil
}

// forNamespace asks that the grants cover a namespace.
func forNamespace(namespace string) func([]grant) error {
	return func(grants []grant) error {
		if !allows(grants, ScopeKV, namespace) {
			return fault.New(fault.Forbidden, "forbidden", "The token lacks the scope %s for namespace %q", ScopeKV, namespace).
				With("scope", ScopeKV.String())
		}
		return nil
	}
}

// document reads the namespace and key of the path. A literal "/meta" at the end of
// the path belongs to the call that has it, which meta tells.
func (c *call) document(meta bool) (d document, err error) {
	shard, namespace, prefix, err := c.space()
	if err != nil {
		return d, err
	}
	raw := c.rest()
	if rest, found := strings.CutSuffix(raw, "/meta"); found && rest != "" && !meta {
		c.request.Response.Header.Set("Allow", "GET, HEAD")
		return d, methodNotAllowed(string(c.request.Method()))
	}
	key, ok := unescapePath(raw)
	if !ok {
		return d, fault.New(fault.Invalid, "invalid_key", "The key is not percent-encoded correctly")
	}
	if err := checkKey(key); err != nil {
		return d, err
	}
	return document{shard: shard, namespace: namespace, key: key, full: prefix + key}, nil
}

// checkKey refuses keys that are empty, too long, not text, or that programs which
// take them for paths would read in another way.
func checkKey(key string) error {
	reason := ""
	switch {
	case key == "":
		reason = "is empty"
	case len(key) > maxDocumentKey:
		reason = "is over " + strconv.Itoa(maxDocumentKey) + " bytes"
	case !utf8.ValidString(key):
		reason = "is not UTF-8"
	case strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		reason = "has a control character"
	default:
		for part := range strings.SplitSeq(key, "/") {
			if part == "." || part == ".." {
				reason = `has the part "` + part + `"`
			}
		}
	}
	if reason == "" {
		return nil
	}
	return fault.New(fault.Invalid, "invalid_key", "The key %s", reason)
}

// upToDate makes the reads that follow linearizable, unless the client does not ask
// for that.
func (c *call) upToDate(shard uint64) error {
	if stale, err := c.params.flag("stale"); err != nil || stale {
		return err
	}
	return c.server.documents.Confirm(c.sharedDeadline(), shard)
}

// find reads a document.
func (c *call) find(d document) (bus.Doc, error) {
	if err := c.upToDate(d.shard); err != nil {
		return bus.Doc{}, err
	}
	if doc, ok := c.server.documents.Doc(d.shard, d.full); ok {
		return doc, nil
	}
	f := fault.New(fault.NotFound, "not_found", "There is no key %q in namespace %q", clip(d.key), d.namespace)
	if c.server.documents.DocExpired(d.shard, d.full) {
		f = fault.New(fault.NotFound, "not_found", "Key %q in namespace %q has expired", clip(d.key), d.namespace).With("expired", true)
	}
	return bus.Doc{}, f
}

// getDocument answers GET /kv/{namespace}/{key}.
func (c *call) getDocument() error {
	d, err := c.document(false)
	if err != nil {
		return err
	}
	conditions, err := c.conditions()
	if err != nil {
		return err
	}
	doc, err := c.find(d)
	if err != nil {
		return err
	}
	response := &c.request.Response
	response.Header.Set("ETag", etag(doc.Version))
	switch {
	case !conditions.match.holds(doc.Version, true):
		return preconditionFailed(doc.Version)
	case !conditions.noneMatch.holds(doc.Version, false):
		response.SetStatusCode(http.StatusNotModified)
		return nil
	}
	out := append(c.out(), `{"value":"`...)
	out = base64.StdEncoding.AppendEncode(out, doc.Value)
	out = append(out, `","cas":`...)
	return c.send(http.StatusOK, typeJSON, append(strconv.AppendUint(out, doc.Version, 10), '}'))
}

// documentMeta answers GET /kv/{namespace}/{key}/meta.
func (c *call) documentMeta() error {
	d, err := c.document(true)
	if err != nil {
		return err
	}
	doc, err := c.find(d)
	if err != nil {
		return err
	}
	out := append(c.out(), `{"cas":`...)
	return c.send(http.StatusOK, typeJSON, append(c.appendMeta(out, d.shard, &doc), '}'))
}

// appendMeta appends the number of the last change and what else is known of a
// document besides its value.
func (c *call) appendMeta(dst []byte, shard uint64, doc *bus.Doc) []byte {
	dst = strconv.AppendUint(dst, doc.Version, 10)
	dst = appendField(dst, "size", int64(len(doc.Value)))
	if doc.ExpiresMs == 0 {
		dst = append(dst, `,"ttl_ms":null`...)
	} else {
		dst = appendField(dst, "ttl_ms", max(0, doc.ExpiresMs-c.logTime(shard)))
	}
	dst = appendField(dst, "created_ms", doc.CreatedMs)
	return appendField(dst, "updated_ms", doc.UpdatedMs)
}

// logTime is the log time of a shard, or this node's clock where that is further:
// log time stands still while nobody writes.
func (c *call) logTime(shard uint64) int64 {
	now := c.started.UnixMilli()
	for _, s := range c.server.cluster.Shards() {
		if s.ID == shard {
			return max(now, s.LogTimeMs)
		}
	}
	return now
}

// putDocument answers POST /kv/{namespace}/{key}.
func (c *call) putDocument() error {
	d, err := c.document(false)
	if err != nil {
		return err
	}
	conditions, err := c.conditions()
	if err != nil {
		return err
	}
	ttlMs, err := c.params.integer("ttl_ms", 1, maxTTLMs, 0)
	if err != nil {
		return err
	}
	body, err := c.readBody(c.server.limits.RecordBytes, "value_too_large")
	if err != nil {
		return err
	}
	if err := roomForDocuments(c.server.cluster, c.server.limits, d.shard); err != nil {
		return err
	}
	txn := bus.Txn{Shard: d.shard, Puts: []bus.Doc{{Key: d.full, Value: body, TTLMs: ttlMs}}}
	done, err := c.change(d, conditions, txn)
	if err != nil {
		return err
	}
	c.request.Response.Header.Set("ETag", etag(done.Versions[0]))
	out := append(c.out(), `{"ok":true,"cas":`...)
	out = strconv.AppendUint(out, done.Versions[0], 10)
	return c.send(http.StatusOK, typeJSON, appendSealed(out, done.Versions[0]))
}

// deleteDocument answers DELETE /kv/{namespace}/{key}.
func (c *call) deleteDocument() error {
	d, err := c.document(false)
	if err != nil {
		return err
	}
	conditions, err := c.conditions()
	if err != nil {
		return err
	}
	done, err := c.change(d, conditions, bus.Txn{Shard: d.shard, Deletes: []string{d.full}})
	if err != nil {
		return err
	}
	out := append(c.out(), `{"ok":true,"deleted":`...)
	out = strconv.AppendBool(out, done.Deleted[0])
	return c.send(http.StatusOK, typeJSON, appendSealed(out, c.server.documents.DocVersion(d.shard)))
}

// appendSealed ends the answer of a write. The number of a change stands for that
// of a batch: what it names is durable.
func appendSealed(dst []byte, change uint64) []byte {
	dst = append(dst, `,"sealed":true,"durable":true,"mode":"sealed","synced":true,"batch_id":`...)
	return append(strconv.AppendUint(dst, max(change, 1), 10), '}')
}

// change does a transaction under the conditions of the call.
func (c *call) change(d document, w conditions, txn bus.Txn) (bus.TxnResult, error) {
	ctx := c.sharedDeadline()
	for {
		if w.cas >= 0 {
			txn.Fence = &bus.Fence{Key: d.full, Version: uint64(w.cas)}
		}
		if w.headers() {
			current, err := c.check(ctx, d, w)
			if err != nil {
				return bus.TxnResult{}, err
			}
			txn.Fence = &bus.Fence{Key: d.full, Version: current}
		}
		done, err := c.server.documents.Transact(ctx, txn)
		f := fault.As(err)
		switch {
		case f == nil || f.Kind != fault.Conflict || f.Code != "fenced":
			return done, err
		case !w.headers():
			return done, casMismatch(c.present(d))
		case ctx.Err() != nil:
			return done, fault.New(fault.Unavailable, "overloaded", "Key %q changes too often to be changed under a condition", clip(d.key))
		}
		// Somebody was faster: what the headers say is looked at again.
	}
}

// check reads the present version and holds it against the conditions.
func (c *call) check(ctx context.Context, d document, w conditions) (uint64, error) {
	if err := c.server.documents.Confirm(ctx, d.shard); err != nil {
		return 0, err
	}
	current := c.present(d)
	switch {
	case w.cas >= 0 && uint64(w.cas) != current:
		return 0, casMismatch(current)
	case !w.match.holds(current, true), !w.noneMatch.holds(current, false):
		return 0, preconditionFailed(current)
	}
	return current, nil
}

// present is the number of a document's last change, 0 where there is none.
func (c *call) present(d document) uint64 {
	doc, _ := c.server.documents.Doc(d.shard, d.full)
	return doc.Version
}

func casMismatch(current uint64) *fault.Error {
	if current == 0 {
		return fault.New(fault.Conflict, "cas_mismatch", "There is no such key").With("cas", current)
	}
	return fault.New(fault.Conflict, "cas_mismatch", "The key has cas %d", current).With("cas", current)
}

func preconditionFailed(current uint64) *fault.Error {
	return fault.New(fault.Precondition, "precondition_failed", "The key has cas %d, which If-Match or If-None-Match rules out", current).
		With("cas", current)
}

// casOf reads the parameter cas, -1 where it is not given.
func (c *call) casOf() (int64, error) { return c.params.integer("cas", 0, math.MaxInt64, -1) }
