// Package api serves the HTTP contract: it translates requests into calls of the
// log and of the queries, and answers and faults back. It decides nothing.
//
// Strings and bytes of a request belong to the HTTP library and are reused after
// the handler: everything that is passed on is a copy or stays owned until the
// callee returns.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"leat/queries"
)

// headerBytes bounds the request line and headers; it is also the size of the
// read buffer of a connection.
const headerBytes = 8 << 10

// Server answers HTTP. It is safe for concurrent use.
type Server struct {
	topics     Topics
	documents  Documents
	trimming   Trimming
	cluster    Cluster
	queries    Queries
	schemas    Schemas
	formats    queries.OneShotFormats
	readiness  Readiness
	limits     Limits
	nodeID     string
	version    string
	everywhere bool
	url        atomic.Pointer[string]
	tls        *tls.Config
	dev        bool
	rocket     bool
	now        func() time.Time
	logger     *slog.Logger

	credentials  atomic.Pointer[credentials] // never nil
	replacing    sync.Mutex                  // held while they are replaced
	guarded      atomic.Pointer[listener]    // nil before Run
	revokedGrace time.Duration

	app      *fiber.App
	base     context.Context // of every call; ends when the time to drain is over
	cancel   context.CancelFunc
	stopping chan struct{} // closed when shutdown begins: waits and streams end
	streams  sync.WaitGroup
	open     atomic.Int64 // streams
	inFlight atomic.Int64 // bytes of large bodies
	pools    pools
	meters   *meters
	asking   chan struct{} // holds an element for every one-shot call that reads
	openapi  []byte        // the document, made once
	ran      atomic.Bool
}

// New makes a server. It opens nothing.
func New(c Config) (*Server, error) {
	if c.Topics == nil || c.Documents == nil || c.Trimming == nil || c.Cluster == nil || c.Queries == nil || c.Schemas == nil || c.Readiness == nil {
		return nil, errors.New("make the api: Topics, Documents, Trimming, Cluster, Queries, Schemas and Readiness are required")
	}
	s := &Server{
		topics: c.Topics, documents: c.Documents, trimming: c.Trimming, cluster: c.Cluster, queries: c.Queries, schemas: c.Schemas, formats: c.Formats, readiness: c.Readiness,
		limits: c.Limits.withDefaults(), nodeID: c.NodeID, version: c.Version, dev: c.Dev, rocket: c.Rocket, everywhere: c.Everywhere, tls: c.TLS,
		now: c.Clock, logger: c.Logger, stopping: make(chan struct{}), revokedGrace: defaultRevokedGrace,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.URL != "" {
		s.url.Store(&c.URL)
	}
	s.asking = make(chan struct{}, s.limits.Questions)
	if s.nodeID == "" {
		s.nodeID = "1"
	}
	if s.dev {
		c.Tokens = c.Tokens.with("dev")
	}
	s.credentials.Store(newCredentials(c.Tokens))
	var err error
	if s.meters, err = newMeters(s); err != nil {
		return nil, err
	}
	if s.openapi, err = marshal(openAPI()); err != nil {
		return nil, fmt.Errorf("make the OpenAPI document: %w", err)
	}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.app = fiber.New(fiber.Config{
		DisableStartupMessage:        true,
		StrictRouting:                true,
		CaseSensitive:                true,
		DisableDefaultContentType:    true,
		DisablePreParseMultipartForm: true,
		StreamRequestBody:            true, // bodies are read by readBody, never ahead of the client
		BodyLimit:                    s.limits.BodyBytes,
		Concurrency:                  s.limits.Connections + 64, // the listener refuses first, in our own words
		ReadBufferSize:               headerBytes,
		ReadTimeout:                  s.limits.ReadTimeout,
		WriteTimeout:                 s.limits.WriteTimeout,
		IdleTimeout:                  s.limits.IdleTimeout,
		ErrorHandler:                 s.transportError,
	})
	s.register()
	return s, nil
}

// Run serves the listener until ctx ends, then answers what is in flight, ends
// waits and streams, and returns nil. It closes the listener. It runs once.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	if s.ran.Swap(true) {
		return errors.New("serve HTTP: the server has run already")
	}
	defer s.cancel()
	address := "http://" + listener.Addr().String()
	if s.tls != nil {
		address = "https://" + listener.Addr().String()
	}
	s.url.CompareAndSwap(nil, &address)
	guarded := newListener(listener, s.tls, s.limits.Connections, s.limits.WriteTimeout)
	defer guarded.refusals.Wait()
	s.guarded.Store(guarded)
	server := s.app.Server()
	route := s.direct(s.app.Handler())
	server.Handler = func(c *fasthttp.RequestCtx) { s.entry(c, route) }
	server.CloseOnShutdown = true
	served := make(chan error, 1)
	go func() { served <- server.Serve(guarded) }()
	select {
	case err := <-served:
		close(s.stopping)
		guarded.closeAll()
		s.streams.Wait()
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	close(s.stopping)
	guarded.drain()
	drained, stop := context.WithTimeout(context.Background(), s.limits.Drain)
	defer stop()
	err := server.ShutdownWithContext(drained)
	// Where serving has not begun yet that has done nothing, and it must not begin now.
	_ = guarded.Close()
	s.cancel()
	guarded.closeAll()
	s.streams.Wait()
	<-served
	if waitErr := guarded.wait(s.limits.Drain); err == nil {
		err = waitErr
	}
	if err != nil {
		return fmt.Errorf("end HTTP: some requests were cut off: %w", err)
	}
	return nil
}

// stopped tells whether shutdown has begun.
func (s *Server) stopped() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}
