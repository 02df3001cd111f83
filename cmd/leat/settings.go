package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"leat/api"
)

// settings is what the flags and the environment say about a node.
type settings struct {
	host    string
	port    int
	dataDir string
	dev     bool
	url     string // under which clients reach the node, "" = where it listens
	limits  api.Limits
	// stateBytes bounds the state of all queries.
	stateBytes int64
	tokens     api.Tokens
	tlsCert    string // files, "" = HTTP is not encrypted
	tlsKey     string
	tls        *certificates // made of them; nil before check
	replication
	file configFile
}

// defaultPort is the port for HTTP where none is said.
const defaultPort = 1109

// address is host:port.
func (c *settings) address() string { return net.JoinHostPort(c.host, strconv.Itoa(c.port)) }

// check completes the settings and refuses what cannot be, or must not be
// ignored. Warnings are for the log.
func (c *settings) check(getenv func(string) string) (warnings []string, err error) {
	if c.port < 0 || c.port > 65535 {
		return nil, usage("--port has to be from 0 to 65535, not %d", c.port)
	}
	if strings.TrimSpace(c.host) == "" {
		return nil, usage("--host is empty")
	}
	if err := checkLimits(c.limits); err != nil {
		return nil, err
	}
	switch {
	case c.stateBytes == 0:
		c.stateBytes = defaultStateBytes(os.DirFS("/"))
	case c.stateBytes < 1<<20:
		return nil, usage("--max-state-bytes has to be 1048576 or more")
	}
	if err := checkURL(c.url); err != nil {
		return nil, err
	}
	replicated, err := c.replication.check(getenv)
	if err != nil {
		return nil, err
	}
	c.takePort()
	if warnings, err = c.readTokens(getenv); err != nil {
		return nil, err
	}
	warnings = append(warnings, replicated...)
	more, err := c.checkTLS()
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, more...)
	if own := c.own(); own != nil && c.url == "" && loopbackHost(c.host) && !loopbackHost(own.host) {
		warnings = append(warnings, fmt.Sprintf("node %q is on %s and listens for clients on %s: only those on this machine reach it; give --host", own.id, own.host, c.host))
	}
	if c.dataDir == "" {
		if c.dataDir, err = stateDir(getenv); err != nil {
			return nil, err
		}
	}
	return warnings, nil
}

// takePort has a node that was not told a port listen on the one that the list of nodes
// gives it.
func (c *settings) takePort() {
	if own := c.own(); own != nil && own.httpPort > 0 && c.port == defaultPort {
		c.port = own.httpPort
	}
}

// checkTLS reads the certificate that clients are shown.
func (c *settings) checkTLS() (warnings []string, err error) {
	c.tls = &certificates{cert: c.tlsCert, key: c.tlsKey}
	if warnings, err = c.tls.load(time.Now()); err != nil || !c.tls.on() {
		return warnings, err
	}
	host := reachableHost(c.host)
	if u, err := url.Parse(c.url); err == nil && c.url != "" {
		host = u.Hostname()
		if u.Scheme == "http" {
			warnings = append(warnings, "--url begins with http:// and clients are served over TLS; where nothing in front of the node changes that, they will not reach it")
		}
	}
	if !c.tls.names(host) {
		warnings = append(warnings, fmt.Sprintf("%s does not name %s, by which clients reach the node: they will refuse it", c.tls.cert, host))
	}
	return warnings, nil
}

// readTokens finds the tokens, in the environment or else in the file, and refuses
// to do without where others reach the node.
func (c *settings) readTokens(getenv func(string) string) (warnings []string, err error) {
	text, err := tokenText(getenv)
	if err != nil {
		return nil, err
	}
	exposed := false
	if set, inFile := c.file.find(tokensKey); inFile && text == "" {
		text, exposed = set.value, c.file.exposed
	}
	if c.tokens, warnings, err = api.ParseTokens(text); err != nil {
		return nil, usage("read the tokens: %v", err)
	}
	if exposed {
		warnings = append(warnings, c.file.name+" holds tokens and everybody on this machine can read it; chmod o-r it")
	}
	if err := api.CheckBind(c.address(), c.tokens, c.dev); err != nil {
		return nil, usage("%v", err)
	}
	return warnings, nil
}

// checkURL refuses an address under which no client would reach a node.
func checkURL(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return usage("--url has to be like http://leat.example:1109, not %q", address)
	}
	return nil
}

// tokenText finds the tokens, which go by two names.
func tokenText(getenv func(string) string) (string, error) {
	own, known := getenv("LEAT_TOKENS"), getenv("RF_BEARER_TOKENS")
	if own != "" && known != "" && own != known {
		return "", usage("LEAT_TOKENS and RF_BEARER_TOKENS are both set and differ; unset one")
	}
	return orText(own, known), nil
}

// flags are the flags of a node.
func (c *settings) flags(flags *pflag.FlagSet) {
	flags.StringVar(&c.host, "host", "127.0.0.1", "address to listen on")
	flags.IntVar(&c.port, "port", defaultPort, "port to listen on, 0 for any free one")
	flags.StringVar(&c.url, "url", "", "address that clients reach the node by (default: where it listens)")
	flags.StringVar(&c.tlsCert, "tls-cert", "", "file with the certificate that clients are served over TLS with, and those between it and its CA behind it, in PEM; read again when it changes and on SIGHUP")
	flags.StringVar(&c.tlsKey, "tls-key", "", "file with the key of the certificate of --tls-cert, in PEM")
	flags.StringVar(&c.dataDir, "data-dir", "", "where the data is kept (default: leat in the user's state directory)")
	flags.BoolVar(&c.dev, "dev", false, `for development: token "dev" is required, topics are created on first produce`)
	flags.StringVar(&c.nodeID, "node-id", "", "name of this node (default: 1)")
	flags.StringVar(&c.nodes, "nodes", "", "the nodes of the cluster, as id:host:raft_port:priority[:http_port],…; none or one for a lone node")
	flags.StringVar(&c.join, "join", "", "on an empty data directory: the address for clients of a node of a running cluster, which this node has been added to; with LEAT_TOKEN, which may have to have the scope admin, and LEAT_CA")
	flags.BoolVar(&c.proxyWrites, "proxy-writes", false, "in a cluster: do writes that another node leads there, instead of answering 307 with its address")
	flags.BoolVar(&c.insecureRaft, "insecure-raft", false, "let the nodes talk to each other unencrypted off loopback, in a network that only they can reach")
	flags.BoolVar(&c.raftTLS.on, "raft-tls", false, "in a cluster: encrypt what nodes say to each other, and let only members in, by the certificates of --raft-tls-ca, --raft-tls-cert and --raft-tls-key")
	flags.StringVar(&c.raftTLS.ca, "raft-tls-ca", "", "file with the certificate of the CA that all nodes' certificates are from, in PEM")
	flags.StringVar(&c.raftTLS.cert, "raft-tls-cert", "", "file with this node's certificate, which names its id or its host, in PEM")
	flags.StringVar(&c.raftTLS.key, "raft-tls-key", "", "file with the key of this node's certificate, in PEM")
	flags.StringVar(&c.writeConcern, "write-concern", "sync-majority", "what a produce call waits for: async, sync-majority, sync-all or a number of nodes")
	flags.IntVar(&c.limits.BodyBytes, "max-body-bytes", 16<<20, "largest request body")
	flags.IntVar(&c.limits.RecordBytes, "max-record-bytes", 1<<20, "largest record, key and value together")
	flags.IntVar(&c.limits.Partitions, "max-partitions", 256, "most partitions of a topic")
	flags.Int64Var(&c.stateBytes, "max-state-bytes", 0, "memory that the state of all queries on this node may take together; a query that would take more stops (default: half of the memory there is)")
	for _, name := range []string{"host", "port", "url", "data-dir", "dev", "max-body-bytes", "max-record-bytes", "max-partitions", "max-state-bytes", "join", "proxy-writes", "insecure-raft", "tls-cert", "tls-key"} {
		configurable(flags, name, "LEAT_"+strings.ToUpper(configKey(name)))
	}
	configurable(flags, "node-id", "LEAT_NODE_ID", "RF_HA_NODE_ID")
	configurable(flags, "nodes", "LEAT_NODES", "RF_HA_NODES")
	configurable(flags, "raft-tls", "LEAT_RAFT_TLS", "RF_HA_TLS")
	configurable(flags, "raft-tls-ca", "LEAT_RAFT_TLS_CA", "RF_HA_TLS_CA")
	configurable(flags, "raft-tls-cert", "LEAT_RAFT_TLS_CERT", "RF_HA_TLS_CERT")
	configurable(flags, "raft-tls-key", "LEAT_RAFT_TLS_KEY", "RF_HA_TLS_KEY")
	configurable(flags, "write-concern", "LEAT_WRITE_CONCERN", "RF_HA_WRITE_CONCERN")
}

func checkLimits(l api.Limits) error {
	switch {
	case l.BodyBytes < 1<<10 || l.BodyBytes > 64<<20:
		return usage("--max-body-bytes has to be from 1024 to 67108864")
	case l.RecordBytes < 1<<10 || l.RecordBytes > l.BodyBytes:
		return usage("--max-record-bytes has to be from 1024 to --max-body-bytes")
	case l.Partitions < 1 || l.Partitions > 4096:
		return usage("--max-partitions has to be from 1 to 4096")
	}
	return nil
}

// stateDir is the place for data nobody named: the user's state directory, as
// the XDG Base Directory Specification defines it.
func stateDir(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "leat"), nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", usage("there is no home directory to keep data in: name a place with --data-dir")
	}
	return filepath.Join(home, ".local", "state", "leat"), nil
}

// newLogger logs text to a terminal and JSON elsewhere.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if terminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
