package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"leat/cluster"
)

func newClusterRejoin(s *session) *cobra.Command {
	var dir, node string
	cmd := &cobra.Command{
		Annotations: map[string]string{clusterAnnotation: "yes"},
		Use:         "rejoin --node-id NODE --server URL",
		Short:       "Have a node that has lost its data begin again",
		Long: `Have a node whose data directory is lost or damaged (identity_lost, log_truncated,
raft_log_corrupt, corrupt) begin again: the cluster gives its place to a new replica, and
the directory is made that replica's. Run it on the machine of that node, while it is not
running, with the address of another one; then start the node as before: it fetches
everything from the others. What the directory held is moved to before-rejoin-N in it, for a
person to look at. It needs a token with the scope admin, and the others to be a majority.`,
		Example: "  leat cluster rejoin --node-id b --data-dir ./b --server http://10.0.0.1:1109",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return usage("say with --node-id which node this is")
			}
			var err error
			if dir == "" {
				if dir, err = stateDir(s.getenv); err != nil {
					return err
				}
			}
			return s.withClient(func(c *client) error {
				answer, err := rejoin(cmd.Context(), c, dir, node)
				if err != nil {
					return err
				}
				return s.answer(answer, func(w io.Writer) error { return drawRejoined(w, answer) })
			})
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", "", "the node's data directory (default: leat in the user's state directory)")
	cmd.Flags().StringVar(&node, "node-id", "", "name of the node")
	configurable(cmd.Flags(), "data-dir", "LEAT_DATA_DIR")
	configurable(cmd.Flags(), "node-id", "LEAT_NODE_ID", "RF_HA_NODE_ID")
	s.clientFlags(cmd)
	return cmd
}

// rejoined is what leat cluster rejoin prints.
type rejoined struct {
	OK      bool   `json:"ok"`
	Node    string `json:"node_id"`
	Replica uint64 `json:"replica_id"`
	Dir     string `json:"data_dir"`
	Aside   string `json:"moved_to,omitempty"` // what the directory held, "" for nothing
}

// rejoin gives a node's place to a new replica, and its directory to that.
func rejoin(ctx context.Context, c *client, dir, node string) (json.RawMessage, error) {
	invitation, err := c.invitation(ctx)
	if err != nil {
		return nil, err
	}
	seat, err := invitation.Seat(node)
	if err != nil {
		return nil, err
	}
	// A rejoin that was cut off after the directory was made goes on with it.
	if !cluster.Seated(dir, invitation, node) {
		if err := cluster.Rejoinable(dir, node, invitation); err != nil {
			return nil, err
		}
		if seat.Reachable {
			return nil, &failure{exit: exitConflict, code: "node_runs", text: fmt.Sprintf("node %q answers the others, so it runs and has its directory; end it first, or try again in a moment where it has just ended", node)}
		}
		if _, err := c.post(ctx, "/cluster/members", map[string]any{"id": node, "replaces": seat.ReplicaID}); err != nil {
			return nil, err
		}
		if invitation, err = c.invitation(ctx); err != nil {
			return nil, err
		}
		if seat, err = invitation.Seat(node); err != nil {
			return nil, err
		}
	}
	out := rejoined{OK: true, Node: node, Replica: seat.ReplicaID, Dir: dir}
	if out.Aside, err = cluster.Rejoin(dir, node, invitation); err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

func drawRejoined(w io.Writer, answer []byte) error {
	var r rejoined
	if err := readAnswer(answer, &r); err != nil {
		return err
	}
	fmt.Fprintf(w, "node %s is replica %d now, with the directory %s; start it as before\n", r.Node, r.Replica, r.Dir)
	if r.Aside != "" {
		fmt.Fprintf(w, "what the directory held is in %s; delete it when you need it no more\n", r.Aside)
	}
	return nil
}
