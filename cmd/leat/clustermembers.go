package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

func newClusterMembers(s *session) *cobra.Command {
	list, add, remove := newMembersList(s), newMembersAdd(s), newMembersRemove(s)
	for _, cmd := range []*cobra.Command{list, add, remove} {
		s.clientFlags(cmd)
	}
	return commandGroup("members", "See who belongs to the cluster, add and remove nodes", add, list, remove)
}

// clusterAnnotation marks commands that a lone node refuses.
const clusterAnnotation = "cluster"

// memberAnswer is a member in answers.
type memberAnswer struct {
	ID        string  `json:"id"`
	Replica   int64   `json:"replica_id"`
	Raft      *string `json:"raft_address"`
	URL       *string `json:"url"`
	Priority  int64   `json:"priority"`
	State     string  `json:"state"`
	Reachable bool    `json:"reachable"`
}

func newMembersList(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List who belongs to the cluster",
		Long: `List the members with what they are at present: voting, joining or leaving. It needs
a token with the scope admin.`,
		Example: "  leat cluster members list",
		Args:    noArgs,
		RunE: s.asking(func(cmd *cobra.Command, c *client, _ []string) error {
			body, err := c.get(cmd.Context(), "/cluster/members", nil)
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				var all struct {
					Members []memberAnswer `json:"members"`
				}
				if err := readAnswer(body, &all); err != nil {
					return err
				}
				table := &grid{header: []string{"NODE", "REPLICA", "RAFT ADDRESS", "URL", "PRIORITY", "STATE", "REACHABLE"}}
				for _, m := range all.Members {
					table.add(m.ID, m.Replica, textOr(m.Raft), textOr(m.URL), m.Priority, m.State, m.Reachable)
				}
				return table.write(w, "")
			})
		}),
	}
}

func newMembersAdd(s *session) *cobra.Command {
	var raft, address string
	var priority int
	cmd := &cobra.Command{
		Annotations: map[string]string{clusterAnnotation: "yes"},
		Use:         "add NODE --raft-address HOST:PORT",
		Short:       "Add a node to the cluster",
		Long: `Add a node to the cluster. Then start it, on an empty directory, with

  leat serve --node-id NODE --join URL

where URL is that of any member; it fetches the data and votes once it has caught up.
Adding the same again changes nothing. It needs a token with the scope admin.`,
		Example: "  leat cluster members add d --raft-address 10.0.0.4:7001 --url http://10.0.0.4:1109",
		Args:    exactArgs("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if raft == "" {
				return usage("say with --raft-address where the other nodes reach %q", args[0])
			}
			body := map[string]any{"id": args[0], "raft_address": raft, "priority": priority}
			if address != "" {
				body["url"] = address
			}
			return s.withClient(func(c *client) error {
				answer, err := c.post(cmd.Context(), "/cluster/members", body)
				if err != nil {
					return err
				}
				return s.answerMember(answer)
			})
		},
	}
	cmd.Flags().StringVar(&raft, "raft-address", "", "host:port where the other nodes reach it")
	cmd.Flags().StringVar(&address, "url", "", "address that clients reach it by (default: what it says itself)")
	cmd.Flags().IntVar(&priority, "priority", 1, "shards are led by the nodes with the highest")
	return cmd
}

func newMembersRemove(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{clusterAnnotation: "yes"},
		Use:         "remove NODE",
		Short:       "Take a node out of the cluster",
		Long: `Take a node out of the cluster, whether it runs or not. What it leads is handed over
first, then it leaves every shard and ends; leat cluster members list shows it until then.
Its directory is of no use any more. Removing it again changes nothing. It needs a token
with the scope admin.`,
		Example: "  leat cluster members remove d",
		Args:    exactArgs("NODE"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			body, err := c.call(cmd.Context(), request{method: http.MethodDelete, path: route("cluster", "members", args[0])})
			if err != nil {
				return err
			}
			return s.answerMember(body)
		}),
	}
}

// answerMember prints what a member is now.
func (s *session) answerMember(body []byte) error {
	return s.answer(body, func(w io.Writer) error {
		var m memberAnswer
		if err := readAnswer(body, &m); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "node %s, replica %d, is %s\n", m.ID, m.Replica, m.State)
		return err
	})
}
