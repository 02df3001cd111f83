package api

import (
	"bytes"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"leat/internal/bus"
	"leat/internal/fault"
)

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
	typeSSE    = "text/event-stream"
	typeText   = "text/plain; charset=utf-8"

	maxTopicName = 249
	maxQueryName = 128
)

// call is one request on its way through a handler. It is reused: nothing keeps
// it after the handler returned.
type call struct {
	server      *Server
	request     *fasthttp.RequestCtx
	http        *fiber.Ctx // nil of a call that did not come through the router
	path        pathValues // of such a call
	params      params
	credentials *credentials // the tokens the call was let in with
	grants      []grant      // of the token presented; everything where the server is open
	open        [1]grant
	started     time.Time
	body        *[]byte // pooled
	reserved    int64   // of the budget of bodies
	consumed    bool    // the body was read to its end
}

// entry takes every well-formed request. It refuses what HTTP libraries read in
// different ways, and closes a connection whose request was not read to its end:
// the rest must not be taken for another request.
func (s *Server) entry(c *fasthttp.RequestCtx, next fasthttp.RequestHandler) {
	connection, _ := c.Conn().(*conn)
	if connection != nil {
		connection.state.Store(stateHandling)
		connection.stream.Store(false)
		connection.pass.Store(nil)
		connection.revoked.Store(nil)
		defer connection.state.Store(stateAnswering)
	}
	defer func() {
		if cause := recover(); cause != nil {
			s.logger.Error("a handler panicked", "path", string(c.Path()), "cause", cause, "stack", string(debug.Stack()))
			writeFault(&c.Response, classify(nil))
			c.Response.SetConnectionClose()
		}
	}()
	if err := checkHeaders(&c.Request.Header); err != nil {
		writeFault(&c.Response, err)
		hangUp(c)
	} else if indexOf(fiber.DefaultMethods, string(c.Method())) < 0 {
		writeFault(&c.Response, methodNotAllowed(string(c.Method())))
	} else {
		next(c)
	}
	if length := c.Request.Header.ContentLength(); c.Request.IsBodyStream() && c.UserValue(bodyConsumed{}) == nil &&
		(length < 0 || length > headerBytes) {
		hangUp(c)
	}
}

// hangUp makes the answer the last of its connection, a part of the request being
// unread.
func hangUp(c *fasthttp.RequestCtx) {
	c.Response.SetConnectionClose()
	if connection, ok := c.Conn().(*conn); ok {
		connection.linger.Store(true)
	}
}

// bodyConsumed is the key under which a call notes that its body was read.
type bodyConsumed struct{}

// checkHeaders refuses what could be read as two different requests.
func checkHeaders(h *fasthttp.RequestHeader) *fault.Error {
	var host, length, encoding, authorization int
	for raw := h.RawHeaders(); len(raw) > 0; {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
			return fault.New(fault.Invalid, "malformed_request", "A header has a carriage return or a null in it")
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(line) > 0 && (line[0] == ' ' || line[0] == '\t'):
			return fault.New(fault.Invalid, "malformed_request", "A header is folded over lines")
		case len(name) == len("Host") && bytes.EqualFold(name, []byte("Host")):
			host++
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			length++
		case len(name) == len("Authorization") && bytes.EqualFold(name, []byte("Authorization")):
			authorization++
		case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			encoding++
			if !bytes.EqualFold(trimSpace(value), []byte("chunked")) {
				return fault.New(fault.Invalid, "malformed_request", "Transfer-Encoding has to be chunked")
			}
		}
	}
	switch {
	case length > 1 || encoding > 1 || length+encoding > 1:
		return fault.New(fault.Invalid, "malformed_request", "The length of the body is given twice")
	case host > 1 || host == 0 && h.IsHTTP11():
		return fault.New(fault.Invalid, "malformed_request", "There has to be one Host header")
	case authorization > 1:
		return fault.New(fault.Invalid, "malformed_request", "Authorization is given twice")
	}
	return nil
}

func methodNotAllowed(method string) *fault.Error {
	return fault.New(fault.Invalid, codeMethodNotAllowed, "Method %s is not allowed here", clip(method))
}

// handler makes the fiber handler of a route.
func (s *Server) handler(r route) fiber.Handler {
	serve := s.serving(r)
	return func(h *fiber.Ctx) error {
		serve(h.Context(), h, pathValues{})
		return nil
	}
}

// serving makes what answers the calls of a route: those of the router, which come
// with its context, and those that were found without it, with the values of the
// path.
func (s *Server) serving(r route) func(*fasthttp.RequestCtx, *fiber.Ctx, pathValues) {
	name := r.method + " " + r.pattern()
	answered := s.meters.requests.WithLabelValues(name, "200")
	return func(request *fasthttp.RequestCtx, h *fiber.Ctx, path pathValues) {
		c, _ := s.pools.calls.Get().(*call)
		if c == nil {
			c = new(call)
		}
		c.server, c.request, c.http, c.path, c.started = s, request, h, path, s.now()
		defer c.finish()
		if err := c.run(r); err != nil {
			s.fail(request, err)
		}
		if status := request.Response.StatusCode(); status == fiber.StatusOK {
			answered.Inc()
		} else {
			s.meters.requests.WithLabelValues(name, strconv.Itoa(status)).Inc()
		}
	}
}

func (c *call) run(r route) error {
	if r.scope != public {
		if err := c.authorize(r.scope); err != nil {
			return err
		}
	}
	var err error
	if bytes.IndexByte(c.request.RequestURI(), '?') >= 0 {
		if c.params, err = parseParams(c.request.URI().QueryString(), r.params); err != nil && r.scope != public {
			return err
		}
	}
	return r.handle(c)
}

// finish gives back what the call held.
func (c *call) finish() {
	s := c.server
	if c.body != nil {
		s.pools.giveBuffer(c.body)
	}
	s.inFlight.Add(-c.reserved)
	if length := c.request.Request.Header.ContentLength(); c.consumed && (length < 0 || length > headerBytes) {
		c.request.SetUserValue(bodyConsumed{}, true)
	}
	*c = call{}
	s.pools.calls.Put(c)
}

// authorize finds the grants of the call and checks that they have one of the
// scopes for some topic.
func (c *call) authorize(scopes Scope) error {
	header := &c.request.Request.Header
	c.credentials = c.server.credentials.Load()
	if c.credentials.Empty() {
		if !c.server.pools.own(header.Host(), header.Peek("Origin")) {
			return fault.New(fault.Forbidden, "cross_origin",
				"This server has no tokens: it answers under a loopback address only, and no web page of another origin")
		}
		c.grants = c.open[:]
		c.open[0] = grant{scope: scopeAll}
		return nil
	}
	grants, ok := c.credentials.find(bearer(header.Peek("Authorization")))
	if !ok {
		return unauthorized()
	}
	if !covers(grants, scopes) {
		return forbidden(scopes, "")
	}
	c.grants = grants
	return nil
}

// own is ownOrigin, quick where it is asked about the same loopback address again
// and again.
func (p *pools) own(host, origin []byte) bool {
	if known := p.loopback.Load(); known != nil && len(origin) == 0 && string(host) == *known {
		return true
	}
	name := string(host)
	if !ownOrigin(name, string(origin)) {
		return false
	}
	p.loopback.Store(&name)
	return true
}

// ownOrigin tells whether a request to a server without tokens can be trusted not
// to come from a web page: it names the server by a loopback address, and its
// origin, if it has one, is the server itself.
func ownOrigin(host, origin string) bool {
	if host != "" && !loopback(host) {
		return false
	}
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host)
}

// text decodes a part of the path, once.
func (c *call) text(name string) (string, bool) {
	if c.http == nil {
		return c.path.text(name)
	}
	return unescapePath(c.http.Params(name))
}

// rest is what the path has in the place of "*", as it was sent.
func (c *call) rest() string {
	if c.http == nil {
		return string(c.path.raw("*"))
	}
	return c.http.Params("*")
}

// topicName decodes and checks the topic of the path, and that the token covers it.
func (c *call) topicName(scopes Scope) (string, error) {
	name, ok := c.text("topic")
	if !ok {
		name = "%"
	}
	return name, c.checkTopic(name, scopes)
}

func (c *call) checkTopic(name string, scopes Scope) error {
	if !validName(name, maxTopicName) {
		return fault.New(fault.Invalid, "invalid_topic", "%q is not a valid name of a topic", clip(name))
	}
	if !allows(c.grants, scopes, name) {
		return forbidden(scopes, name)
	}
	return nil
}

// topic is topicName of a topic that exists.
func (c *call) topic(scopes Scope) (bus.Topic, error) {
	name, err := c.topicName(scopes)
	if err != nil {
		return bus.Topic{}, err
	}
	return c.lookup(name)
}

func (c *call) lookup(name string) (bus.Topic, error) {
	t, ok := c.server.topics.Topic(name)
	if !ok {
		if _, err := c.catchUp(); err != nil {
			return bus.Topic{}, err
		}
		t, ok = c.server.topics.Topic(name)
	}
	if !ok || t.Internal {
		return bus.Topic{}, unknownTopic(name)
	}
	return t, nil
}

// catchUp has this node hear of all topics and queries that were made before, maybe through
// another one. It is false where there is no other.
func (c *call) catchUp() (others bool, err error) {
	if len(c.server.cluster.Members()) == 0 {
		return false, nil
	}
	return true, c.server.documents.Confirm(c.sharedDeadline(), bus.MetaShard)
}

// standing tells where a partition of a topic that exists stands here.
func (c *call) standing(t bus.Topic, partition int32) (bus.Partition, error) {
	return c.server.topics.Standing(c.sharedDeadline(), t.Name, partition)
}

// standings is standing of all partitions.
func (c *call) standings(t bus.Topic) (all []bus.Partition, err error) {
	all = make([]bus.Partition, t.Partitions)
	for p := range all {
		if all[p], err = c.standing(t, int32(p)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func checkGroup(name string) error {
	if !validName(name, maxTopicName) {
		return fault.New(fault.Invalid, "invalid_group", "%q is not a valid name of a group", clip(name))
	}
	return nil
}

// pathPartition reads the partition of the path.
func (c *call) pathPartition(t bus.Topic) (int32, error) {
	text, _ := c.text("partition")
	p := params{count: 1}
	p.names[0], p.values[0] = "partition", text
	n, err := p.integer("partition", 0, int64(t.Partitions)-1, 0)
	return int32(n), err
}

// out is the buffer of the answer, to be filled and given to send.
func (c *call) out() []byte { return c.request.Response.SwapBody(nil)[:0] }

// send makes body, made from out, the answer.
func (c *call) send(status int, contentType string, body []byte) error {
	response := &c.request.Response
	response.SwapBody(body)
	setHead(response, status, contentType)
	return nil
}

func setHead(response *fasthttp.Response, status int, contentType string) {
	response.SetStatusCode(status)
	response.Header.SetContentType(contentType)
	response.Header.Set("X-Content-Type-Options", "nosniff")
}

// fail answers with an error.
func (s *Server) fail(c *fasthttp.RequestCtx, err error) {
	f := classify(err)
	if status := statusOf(f); status == fiber.StatusInternalServerError {
		s.logger.Error("a call failed", "method", string(c.Method()), "path", clip(string(c.Path())), "error", err)
	}
	response := &c.Response
	writeFaultOf(c, f)
	switch f.Kind {
	case fault.Unauthorized:
		response.Header.Set("WWW-Authenticate", "Bearer")
	case fault.NotLeader:
		if leader, ok := f.Detail["leader"].(string); ok {
			response.Header.Set("Location", strings.TrimSuffix(leader, "/")+string(c.URI().RequestURI()))
		}
	}
}

func writeFault(response *fasthttp.Response, f *fault.Error) {
	response.SwapBody(appendError(response.SwapBody(nil)[:0], f))
	setHead(response, statusOf(f), typeJSON)
}

// transportError answers what never reached a route: fiber's and fasthttp's own
// errors, put into our form.
func (s *Server) transportError(h *fiber.Ctx, err error) error {
	e, ok := err.(*fiber.Error)
	if !ok {
		s.fail(h.Context(), err)
		return nil
	}
	var f *fault.Error
	switch e.Code {
	case fiber.StatusNotFound:
		f = fault.New(fault.NotFound, "not_found", "There is no path %q", clip(h.Path()))
	case fiber.StatusMethodNotAllowed:
		f = methodNotAllowed(h.Method())
	case fiber.StatusRequestHeaderFieldsTooLarge:
		f = fault.New(fault.Invalid, "headers_too_large", "The request line and headers are over %d bytes", headerBytes)
	case fiber.StatusRequestTimeout, fiber.StatusBadGateway:
		f = fault.New(fault.Invalid, codeRequestTimeout, "The request did not arrive in time")
	case fiber.StatusRequestEntityTooLarge:
		f = fault.New(fault.TooLarge, "body_too_large", "The body is over the limit of %d bytes", s.limits.BodyBytes)
	default:
		f = fault.New(fault.Invalid, "malformed_request", "The request is not well-formed HTTP")
	}
	writeFaultOf(h.Context(), f)
	if e.Code != fiber.StatusNotFound && e.Code != fiber.StatusMethodNotAllowed {
		hangUp(h.Context())
	}
	return nil
}

// appendField appends ,"name":number.
func appendField(dst []byte, name string, n int64) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return strconv.AppendInt(dst, n, 10)
}
