package torture

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat/internal/testenv"
)

// outcome is what a client knows of a write.
type outcome uint8

const (
	done    outcome = iota
	refused         // the condition did not hold: nothing changed
	full            // the disk is, or nobody was there, or somebody else has to be asked: nothing changed
	unknown         // no answer, or one that leaves it open
)

// watch is the clock of the histories.
type watch struct{ began time.Time }

func newWatch() watch { return watch{time.Now()} }

func (w watch) now() int64 { return int64(time.Since(w.began)) }

// client is one user of a node, with connections of its own. It does one thing at
// a time.
type client struct {
	url  string
	http *http.Client
	lost []time.Time // when requests began that reached the node and had no answer
	last answer

	// Of a client of a cluster: all its nodes.
	others []string
	spread bool // it asks another node every time
	turn   int
}

// call sends a request, in a cluster where it is sent to, which changes nothing on the
// way. It is not tried again, not even where that would be safe.
func (c *client) call(ctx context.Context, method, path string, query url.Values, body string) (a answer) {
	defer func() { c.last = a }()
	if c.spread {
		c.elsewhere()
	}
	a = c.once(ctx, method, path, query, body)
	for hops := 0; a.status == http.StatusTemporaryRedirect && len(c.others) > 0 && hops < 5; hops++ {
		var to struct {
			Leader string `json:"leader"`
		}
		if err := a.read(&to); err != nil || !slices.Contains(c.others, to.Leader) {
			return answer{err: fmt.Errorf("sent to %q: %w", to.Leader, err)}
		}
		c.url = to.Leader
		a = c.once(ctx, method, path, query, body)
	}
	if a.status == http.StatusTemporaryRedirect && len(c.others) > 0 {
		return answer{err: errors.New("sent around")}
	}
	if (a.status == 0 || a.status == http.StatusServiceUnavailable) && len(c.others) > 0 {
		c.elsewhere()
		<-time.After(10 * time.Millisecond)
	}
	return a
}

// elsewhere has the client ask the next node.
func (c *client) elsewhere() {
	c.turn++
	c.url = c.others[c.turn%len(c.others)]
}

func dial(t *testing.T, server string) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 2, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	asked := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{url: server, http: &http.Client{Transport: transport, Timeout: testenv.Patience, CheckRedirect: asked}}
}

// answer is what came back: the status, 0 where nothing came, and the body.
type answer struct {
	status int
	body   []byte
	err    error
	unsent bool // nobody was reached
}

// once sends a request to the present node.
func (c *client) once(ctx context.Context, method, path string, query url.Values, body string) answer {
	address := c.url + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, struct{ io.Reader }{strings.NewReader(body)})
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("Authorization", "Bearer "+testToken)
	request.ContentLength = int64(len(body))
	if body == "" {
		request.Body = http.NoBody
	}
	began := time.Now()
	response, err := c.http.Do(request)
	if err != nil {
		dialing := (*net.OpError)(nil)
		unsent := errors.As(err, &dialing) && dialing.Op == "dial"
		if !unsent {
			c.lost = append(c.lost, began)
		}
		return answer{err: err, unsent: unsent}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.lost = append(c.lost, began)
		return answer{err: err}
	}
	return answer{status: response.StatusCode, body: text}
}

// errDamage is the answer where something is broken on the side of the node.
var errDamage = errors.New("status 500")

// result sorts the answer to a write. An answer that may not come is an error.
func (a answer) result() (outcome, error) {
	switch {
	case a.unsent, a.status == http.StatusServiceUnavailable && bytes.Contains(a.body, []byte(`"no_quorum"`)):
		return full, nil
	case a.status == http.StatusTemporaryRedirect:
		return full, nil
	case a.status == 0, a.status == http.StatusServiceUnavailable, a.status == http.StatusRequestTimeout:
		return unknown, nil
	case a.status == http.StatusOK:
		return done, nil
	case a.status == http.StatusConflict:
		return refused, nil
	case a.status == http.StatusInsufficientStorage:
		return full, nil
	case a.status == http.StatusInternalServerError:
		return unknown, fmt.Errorf("%w: %.300s", errDamage, a.body)
	}
	return unknown, fmt.Errorf("status %d: %.300s", a.status, a.body)
}

// read decodes the body.
func (a answer) read(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("answer %.200q: %w", a.body, err)
	}
	return nil
}

// must sends a request that has to be answered with 200.
func (c *client) must(t *testing.T, method, path string, query url.Values, body string) answer {
	t.Helper()
	began := time.Now()
	a := c.call(t.Context(), method, path, query, body)
	for a.status == http.StatusServiceUnavailable && path == "/broker/topics" && time.Since(began) < testenv.Patience {
		// A leader may move just now, and making a topic again does nothing.
		a = c.call(t.Context(), method, path, query, body)
	}
	if a.status != http.StatusOK {
		t.Fatalf("%s %s: %v, status %d: %.300s", method, path, a.err, a.status, a.body)
	}
	return a
}

// stored is the answer to an append.
type stored struct {
	at        int64 // of its first record
	duplicate bool
}

// append sends records, more than one as lines. Done says durable.
func (c *client) append(ctx context.Context, p place, ids []uint64, size int, key string) (stored, outcome, error) {
	query := url.Values{"partition": {strconv.Itoa(p.partition)}}
	if key != "" {
		query.Set("idempotency_key", key)
	}
	call, lines := "produce", make([]string, len(ids))
	for i, id := range ids {
		lines[i] = payload(id, size)
	}
	if len(ids) > 1 {
		call = "produce-ndjson"
	}
	a := c.call(ctx, http.MethodPost, "/broker/topics/"+p.topic+"/"+call, query, strings.Join(lines, "\n"))
	o, err := a.result()
	if o != done || err != nil {
		return stored{}, o, err
	}
	var body struct {
		Offset    *int64 `json:"offset"`
		First     *int64 `json:"first_offset"`
		Durable   bool   `json:"durable"`
		Duplicate bool   `json:"duplicate"`
	}
	if err := a.read(&body); err != nil {
		return stored{}, unknown, err
	}
	if body.Offset == nil {
		body.Offset = body.First
	}
	if body.Offset == nil || !body.Durable {
		return stored{}, unknown, nil
	}
	return stored{*body.Offset, body.Duplicate}, done, nil
}

// page is the answer to a consume call.
type page struct {
	ids       []uint64
	offsets   []int64
	next      int64
	skipped   int64
	committed int64 // -1 = nothing yet
	truncated bool
}

// consume reads. ok is false where no answer came.
func (c *client) consume(ctx context.Context, p place, group string, from int64, limit int) (got page, ok bool, err error) {
	query := url.Values{"offset": {strconv.FormatInt(from, 10)}, "limit": {strconv.Itoa(limit)}}
	a := c.call(ctx, http.MethodGet, fmt.Sprintf("/broker/consume/%s/%s/%d", p.topic, group, p.partition), query, "")
	if o, err := a.result(); o != done || err != nil {
		return got, false, err
	}
	var body struct {
		Messages []struct {
			Offset int64  `json:"offset"`
			Value  string `json:"value"`
		} `json:"messages"`
		Next      int64  `json:"next_offset"`
		Committed *int64 `json:"committed_offset"`
		Truncated bool   `json:"truncated"`
		Skipped   int64  `json:"skipped"`
	}
	if err := a.read(&body); err != nil {
		return got, false, err
	}
	got = page{next: body.Next, skipped: body.Skipped, committed: -1, truncated: body.Truncated}
	if body.Committed != nil {
		got.committed = *body.Committed
	}
	for _, m := range body.Messages {
		id, err := readPayload(m.Value)
		if err != nil {
			return got, false, fmt.Errorf("%s at offset %d: %w", p, m.Offset, err)
		}
		got.ids, got.offsets = append(got.ids, id), append(got.offsets, m.Offset)
	}
	return got, true, nil
}

// commit says how far a group has come and returns where it stands.
func (c *client) commit(ctx context.Context, p place, group string, offset int64) (int64, outcome, error) {
	a := c.call(ctx, http.MethodPost, "/broker/commit", nil,
		fmt.Sprintf(`{"topic":%q,"group":%q,"partition":%d,"offset":%d}`, p.topic, group, p.partition, offset))
	o, err := a.result()
	if o != done || err != nil {
		return 0, o, err
	}
	var body struct {
		Committed int64 `json:"committed_offset"`
	}
	err = a.read(&body)
	return body.Committed, done, err
}

// deleteBefore trims and returns how many records went.
func (c *client) deleteBefore(ctx context.Context, p place, before int64) (int64, outcome, error) {
	a := c.call(ctx, http.MethodPost, "/broker/delete-before", nil,
		fmt.Sprintf(`{"topic":%q,"partition":%d,"before_offset":%d}`, p.topic, p.partition, before))
	o, err := a.result()
	if o != done || err != nil {
		return 0, o, err
	}
	var body struct {
		Deleted int64 `json:"deleted_count"`
	}
	err = a.read(&body)
	return body.Deleted, done, err
}

// touch does one operation on a key and completes r with how it ended.
func (c *client) touch(ctx context.Context, r *touched) error {
	method, query, body := http.MethodGet, url.Values{}, ""
	switch r.kind {
	case put:
		method, body = http.MethodPost, payload(r.value, 40)
		if r.ttl > 0 {
			query.Set("ttl_ms", strconv.FormatInt(r.ttl.Milliseconds(), 10))
		}
	case remove:
		method = http.MethodDelete
	}
	if r.cas >= 0 {
		query.Set("cas", strconv.FormatInt(r.cas, 10))
	}
	a := c.call(ctx, method, "/kv/torture/"+r.key, query, body)
	if r.kind == get && a.status == http.StatusNotFound {
		r.outcome = refused
	} else if o, err := a.result(); err != nil {
		return err
	} else if r.outcome = o; o == unknown || o == full {
		return nil
	}
	var got struct {
		Cas     int64  `json:"cas"`
		Value   []byte `json:"value"`
		Deleted bool   `json:"deleted"`
		Expired bool   `json:"expired"`
	}
	if err := a.read(&got); err != nil {
		return err
	}
	r.version, r.deleted, r.expired = got.Cas, got.Deleted, got.Expired
	if r.kind != get || r.outcome != done {
		return nil
	}
	id, err := readPayload(string(got.Value))
	if err != nil {
		return fmt.Errorf("key %s holds %s: %w", r.key, base64.StdEncoding.EncodeToString(got.Value), err)
	}
	r.value = id
	return nil
}
