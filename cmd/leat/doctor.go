package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"leat/cluster"
)

// The verdicts of a check.
const (
	verdictOK   = "ok"
	verdictWarn = "warn"
	verdictFail = "fail"
)

// finding is what one check came to. Fix says what to do, empty where nothing has
// to be done.
type finding struct {
	Check   string `json:"check"`
	Status  string `json:"status"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

func healthy(check, format string, args ...any) finding {
	return finding{Check: check, Status: verdictOK, Message: fmt.Sprintf(format, args...)}
}

func newDoctor(s *session) *cobra.Command {
	var c settings
	var readyOnly bool
	var server string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether a node can run here, and how it is",
		Long: `Check what a node needs of this machine: its settings, the data directory, room
and speed of the disk, open files, the port, the clock; and whether a node answers.
Of a cluster, as the node sees it or another member where that one does not answer,
it tells of each member whether it runs and is ready, how many more may be lost,
which shard has no leader, who is far behind or has stopped with a wrong state,
whose version, clock or certificate differs or ends soon, and whether the data
directory here is the node's; that takes a token with the scope admin. Each line
that is not ok has what to do next. It takes the flags, environment and
configuration of "leat serve" and changes nothing. The exit code is 1 where a check
fails; warnings do not fail. With --ready only the node is asked, as a container's
health check does: the exit code is 0 where it is ready, else 5.`,
		Example: `  leat doctor --data-dir ./data
  leat doctor --data-dir ./data -o json
  leat doctor --ready`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			named := server != ""
			s.server = server
			client, err := s.examined(&c, named)
			if err != nil {
				return err
			}
			defer client.close()
			if readyOnly {
				body, err := client.get(cmd.Context(), "/ready", nil)
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%s is ready\n", s.server)
					return err
				})
			}
			c.file = s.file
			d := &doctor{settings: &c, client: client, named: named, getenv: s.getenv, machine: thisMachine(), open: s.member, identity: cluster.Examine}
			d.unseated = s.findSeat(cmd.Context(), &c)
			return s.showFindings(d.examine(cmd.Context()))
		},
	}
	c.flags(cmd.Flags())
	s.tokenFlag(cmd)
	cmd.Flags().StringVar(&server, "server", "", "address of the server (default: that of --host and --port)")
	configurable(cmd.Flags(), "server", "LEAT_SERVER")
	cmd.Flags().BoolVar(&readyOnly, "ready", false, "only ask whether the node is ready")
	return cmd
}

// member makes the client of another member of the cluster.
func (s *session) member(server string) (*client, error) {
	secure, err := trusting(s.ca)
	if err != nil {
		return nil, err
	}
	return newClient(server, s.token, secure)
}

// examined makes the client of the server named, or of the node that the settings
// describe.
func (s *session) examined(c *settings, named bool) (*client, error) {
	if named {
		return s.client()
	}
	own, secure := c.reachable()
	s.server = own
	return newClient(own, s.token, secure)
}

// reachable is where the node of the settings is reached from here, and how it is
// checked. What is wrong with its certificate is told with the settings.
func (c *settings) reachable() (server string, secure *tls.Config) {
	own := certificates{cert: c.tlsCert, key: c.tlsKey}
	if _, err := own.load(time.Now()); err == nil && own.on() {
		secure = own.own()
	}
	at := *c
	if members, err := parseMembers(c.nodes); err == nil && len(members) > 1 {
		at.members = members
		at.takePort()
	}
	return own.scheme() + reachableAddress(&at), secure
}

// reachableHost is where a server that listens on host is reached from here.
func reachableHost(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if ip.To4() == nil {
			return "::1"
		}
		return "127.0.0.1"
	}
	return host
}

// showFindings prints all findings, and is an error where one is a failure.
func (s *session) showFindings(findings []finding) error {
	failed := 0
	for _, f := range findings {
		if f.Status == verdictFail {
			failed++
		}
	}
	body, err := json.Marshal(struct {
		OK     bool      `json:"ok"`
		Checks []finding `json:"checks"`
	}{failed == 0, findings})
	if err != nil {
		return fmt.Errorf("encode the findings: %w", err)
	}
	err = s.answer(body, func(w io.Writer) error {
		for _, f := range findings {
			if _, err := fmt.Fprintf(w, "%-4s  %-10s  %s\n", f.Status, f.Check, printable(f.Message)); err != nil {
				return err
			}
			if f.Fix != "" {
				if _, err := fmt.Fprintf(w, "%18s%s\n", "", f.Fix); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && failed > 0 {
		err = &failure{exit: exitFailure, code: "checks_failed", text: plural(failed, "check") + " failed"}
	}
	return err
}

// doctor examines one machine for one node.
type doctor struct {
	settings *settings
	client   *client
	named    bool // the server was named, and has to be there
	getenv   func(string) string
	machine  machine
	open     func(server string) (*client, error)      // of another member
	unseated error                                     // why it is not known what the node has joined
	identity func(dir string) (node string, err error) // of a data directory, "" = none yet
}

// examine runs all checks, in an order in which the first failure explains those
// after it.
func (d *doctor) examine(ctx context.Context) []finding {
	found := []finding{d.checkSettings()}
	if d.settings.dataDir != "" {
		found = append(found, d.checkDirectory()...)
	}
	found = append(found, d.checkFiles(), d.checkPort(ctx), d.checkClock())
	found = append(found, d.checkServer(ctx))
	return append(found, d.checkCluster(ctx)...)
}
