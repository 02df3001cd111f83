package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"time"

	"leat/api"
	"leat/cluster"
	"leat/queries"
)

const (
	// drainTime bounds how long requests in flight may take at shutdown, and then
	// once more how long connections may take to close. It has to leave something
	// of the five seconds in which a node is gone.
	drainTime = 2200 * time.Millisecond
	readyPoll = 2 * time.Millisecond
)

// engine is a whole node: the replicated log, the queries over it and the HTTP
// server in front.
type engine struct {
	url      string
	node     *cluster.Node
	manager  *queries.Manager
	server   *api.Server
	listener net.Listener
	logger   *slog.Logger
}

// listen takes the address of the settings.
func listen(c settings) (net.Listener, error) {
	listener, err := net.Listen("tcp", c.address())
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &failure{exit: exitConflict, code: "address_in_use", text: fmt.Sprintf(
			"%s is in use, perhaps by another leat; choose another --port, 0 for any free one", c.address())}
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.address(), err)
	}
	return listener, nil
}

// openEngine opens the node in the data directory. It owns the listener from
// here on, also when it fails.
func openEngine(c settings, listener net.Listener, logger *slog.Logger) (*engine, error) {
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the address of the listener: %w", err), listener.Close())
	}
	e := &engine{url: c.tls.scheme() + net.JoinHostPort(c.host, port), listener: listener, logger: logger}
	config, err := c.cluster(port)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	config.Dir, config.Logger = c.dataDir, logger.With("component", "cluster")
	if e.node, err = cluster.Open(config); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if c.own() != nil {
		c.url = config.URL
	}
	if err = e.wire(c, logger); err != nil {
		return nil, errors.Join(err, listener.Close(), closeNode(e.node))
	}
	return e, nil
}

// cluster is what the settings say of the cluster, with the raft port taken; httpPort
// is the one this node listens on. It is empty for a lone node.
func (c *settings) cluster(httpPort string) (cluster.Config, error) {
	own := c.own()
	if own == nil {
		return cluster.Config{}, nil
	}
	config := cluster.Config{NodeID: c.nodeID, URL: c.url, Credentials: c.raftTLS.credentials, Invitation: c.invitation}
	if config.URL == "" {
		host := c.host
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = own.host
		}
		config.URL = c.tls.scheme() + net.JoinHostPort(host, httpPort)
	}
	for _, m := range c.members {
		port := m.httpPort
		if port == 0 {
			port = m.raftPort + 1 // as the reference has it, until the node itself says otherwise
		}
		config.Members = append(config.Members, cluster.Member{
			ID: m.id, RaftAddress: net.JoinHostPort(m.host, strconv.Itoa(m.raftPort)), Priority: m.priority,
			URL: c.tls.scheme() + net.JoinHostPort(m.host, strconv.Itoa(port)),
		})
	}
	address := net.JoinHostPort(own.host, strconv.Itoa(own.raftPort))
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return config, &failure{exit: exitConflict, code: "address_in_use", text: fmt.Sprintf("the raft port %s of node %q is in use", address, c.nodeID)}
	}
	if err != nil {
		return config, fmt.Errorf("listen for the other nodes on %s: %w", address, err)
	}
	config.RaftListener = listener
	return config, nil
}

// closeNode closes a node that never ran: a run that is over at once does it.
func closeNode(n *cluster.Node) error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	return n.Run(over)
}

// run runs the node until ctx ends, and calls ready once it can serve. At the
// end it answers the requests in flight, then stops the queries, then closes the
// log under them. The further stages start before it can serve.
func (e *engine) run(ctx context.Context, ready func() error, further ...stage) error {
	stages := append([]stage{
		{"log", e.node.Run},
		{"queries", e.manager.Run},
		{"http", e.serveHTTP},
	}, further...)
	return runStages(ctx, append(stages, []stage{
		{"start", func(ctx context.Context) error {
			if err := e.awaitReady(ctx); err != nil {
				return err
			}
			if err := ready(); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}},
	}...))
}

// serveHTTP runs the server. A client that does not take its answer at shutdown is
// cut off in the end, which is no failure of the node.
func (e *engine) serveHTTP(ctx context.Context) error {
	err := e.server.Run(ctx, e.listener)
	if err != nil && ctx.Err() != nil {
		e.logger.Warn("the last connections were cut off", "error", err)
		return nil
	}
	return err
}

func (e *engine) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for e.node.Ready() != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
