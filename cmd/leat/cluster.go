package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
)

func newCluster(s *session) *cobra.Command {
	status, transfer := newClusterStatus(s), newClusterTransfer(s)
	s.clientFlags(status)
	s.clientFlags(transfer)
	return commandGroup("cluster", "See how the nodes stand, add and remove them, move leaders, make certificates",
		status, newClusterMembers(s), newClusterRejoin(s), transfer, newClusterCerts(s))
}

func newClusterTransfer(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "transfer SHARD NODE",
		Short: "Make a node the leader of a shard",
		Long: `Make a node the leader of a shard, whatever the priorities say, until it goes. It
needs a token with the scope admin.`,
		Example: "  leat cluster transfer 1 1",
		Args:    exactArgs("SHARD", "NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			shard, err := strconv.ParseUint(args[0], 10, 63)
			if err != nil || shard == 0 {
				return usage("%q is no number of a shard; leat cluster status lists them", args[0])
			}
			return s.withClient(func(c *client) error {
				body, err := c.post(cmd.Context(), "/cluster/transfer", map[string]any{"shard": shard, "to": args[1]})
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "shard %d is led by %s\n", shard, args[1])
					return err
				})
			})
		},
	}
}

// clusterView is what the calls /metrics_ha and /cluster tell together.
type clusterView struct {
	OK       bool            `json:"ok"`
	Metadata json.RawMessage `json:"metadata"`
	Cluster  json.RawMessage `json:"cluster"`
}

func newClusterStatus(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the nodes and where every shard stands",
		Long: `Show the nodes as the server asked sees them, and every shard with its leader. It
needs a token with the scope admin. With -o json and yaml, "metadata" is the answer
of /metrics_ha and "cluster" that of /cluster.`,
		Example: "  leat cluster status\n  leat cluster status -o json",
		Args:    noArgs,
		RunE: s.asking(func(cmd *cobra.Command, c *client, _ []string) error {
			view := clusterView{OK: true}
			var err error
			if view.Metadata, err = c.get(cmd.Context(), "/metrics_ha", nil); err != nil {
				return err
			}
			if view.Cluster, err = c.get(cmd.Context(), "/cluster", nil); err != nil {
				return err
			}
			body, err := json.Marshal(view)
			if err != nil {
				return fmt.Errorf("encode the status: %w", err)
			}
			return s.answer(body, func(w io.Writer) error { return drawCluster(w, &view) })
		}),
	}
}

func drawCluster(w io.Writer, view *clusterView) error {
	var metadata struct {
		Leader *string `json:"leader_id"`
		Term   int64   `json:"term"`
		Nodes  []struct {
			ID        string  `json:"id"`
			URL       *string `json:"url"`
			Role      string  `json:"role"`
			Lag       *int64  `json:"lag"`
			Reachable bool    `json:"reachable"`
		} `json:"nodes"`
	}
	var cluster struct {
		Shards []struct {
			Shard        int64   `json:"shard"`
			Kind         string  `json:"kind"`
			Role         string  `json:"role"`
			Leader       *string `json:"leader_id"`
			Term         int64   `json:"term"`
			Applied      int64   `json:"applied_index"`
			Checkpointed int64   `json:"checkpointed_index"`
			Queued       int64   `json:"queued_bytes"`
			Documents    int64   `json:"document_bytes"`
		} `json:"shards"`
		RaftLogBytes int64 `json:"raft_log_bytes"`
	}
	if err := readAnswer(view.Metadata, &metadata); err != nil {
		return err
	}
	if err := readAnswer(view.Cluster, &cluster); err != nil {
		return err
	}
	nodes := &grid{header: []string{"NODE", "URL", "ROLE", "LAG", "REACHABLE"}}
	for _, n := range metadata.Nodes {
		nodes.add(n.ID, textOr(n.URL), n.Role, optional(n.Lag), n.Reachable)
	}
	if err := nodes.write(w, ""); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n")
	shards := &grid{header: []string{"SHARD", "KIND", "LEADER", "TERM", "APPLIED", "CHECKPOINTED", "QUEUED BYTES", "DOCUMENT BYTES"}}
	for _, h := range cluster.Shards {
		shards.add(h.Shard, h.Kind, textOr(h.Leader), h.Term, h.Applied, h.Checkpointed, h.Queued, h.Documents)
	}
	if err := shards.write(w, ""); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nraft log: %s bytes\n", thousands(cluster.RaftLogBytes))
	return err
}

// textOr shows a text that may be unknown.
func textOr(text *string) string {
	if text == nil {
		return "-"
	}
	return *text
}
