package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	// callTimeout bounds a call that is not a stream. The server gives up on its
	// own side earlier, with a reason.
	callTimeout = 60 * time.Second
	// handshakeTimeout bounds the beginning of a connection over TLS: a server that does not
	// speak it waits for the rest of a request.
	handshakeTimeout = 10 * time.Second
	// maxAnswerBytes bounds what is read of one answer.
	maxAnswerBytes = 64 << 20
)

// client calls one server. It is safe for concurrent use.
type client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// newClient makes a client of a server under http:// or https://; secure says how that
// is checked, nil by the CAs of the system.
func newClient(server, token string, secure *tls.Config) (*client, error) {
	base, err := url.Parse(server)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, usage("--server has to be like http://127.0.0.1:1109, not %q", server)
	}
	return &client{base: base, token: token, http: &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     secure,
		TLSHandshakeTimeout: handshakeTimeout,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}, CheckRedirect: follow}}, nil
}

// maxHops is how often a call may be sent on: a leader may move while it is looked for.
const maxHops = 5

// follow goes where a node sends a write, with the token: the node that was given it
// knows where the leader is.
func follow(next *http.Request, before []*http.Request) error {
	if len(before) > maxHops {
		return fmt.Errorf("sent on more than %d times", maxHops)
	}
	if next.URL.Scheme != "https" && before[0].URL.Scheme == "https" {
		return fmt.Errorf("sent on to %s://%s, where what is said is not encrypted", next.URL.Scheme, next.URL.Host)
	}
	if token := before[0].Header.Get("Authorization"); token != "" {
		next.Header.Set("Authorization", token)
	}
	return nil
}

// client makes the client that the flags describe.
func (s *session) client() (*client, error) {
	secure, err := trusting(s.ca)
	if err != nil {
		return nil, err
	}
	return newClient(s.server, s.token, secure)
}

// withClient runs do with the client that the flags describe.
func (s *session) withClient(do func(*client) error) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.close()
	return do(c)
}

// asking is the body of a command that does all it does with the client that the flags
// describe.
func (s *session) asking(run func(cmd *cobra.Command, c *client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return s.withClient(func(c *client) error { return run(cmd, c, args) })
	}
}

// close gives up connections that are kept for further calls.
func (c *client) close() { c.http.CloseIdleConnections() }

// request is one call.
type request struct {
	method string
	path   string // escaped; see route
	query  url.Values
	body   []byte
	json   bool // the body is JSON
	accept string
}

// route joins parts of a path, each escaped as one part.
func route(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}

// get answers a GET.
func (c *client) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	return c.call(ctx, request{method: http.MethodGet, path: path, query: query})
}

// post sends a value as JSON.
func (c *client) post(ctx context.Context, path string, value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return c.call(ctx, request{method: http.MethodPost, path: path, body: body, json: true})
}

// call makes a call and reads its answer whole. What the server refuses is a
// failure with the exit code of its status.
func (c *client) call(ctx context.Context, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err == nil && len(body) > maxAnswerBytes {
		err = fmt.Errorf("the answer is over %d bytes", maxAnswerBytes)
	}
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return body, nil
}

// open makes a call and leaves the answer to be read. The caller closes its body.
func (c *client) open(ctx context.Context, r request) (*http.Response, error) {
	address := strings.TrimSuffix(c.base.String(), "/") + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	q, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if c.token != "" {
		q.Header.Set("Authorization", "Bearer "+c.token)
	}
	if r.json {
		q.Header.Set("Content-Type", "application/json")
	}
	if r.accept != "" {
		q.Header.Set("Accept", r.accept)
	}
	response, err := c.http.Do(q)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return nil, refusal(response.StatusCode, body)
}

// failed tells why there was no answer.
func (c *client) failed(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if hint := hintOf(err); hint != "" {
		return &failure{exit: exitUnavailable, code: "unreachable", text: fmt.Sprintf("cannot reach %s: %v; %s", c.base, err, hint)}
	}
	return unreachable(c.base.String(), err)
}
