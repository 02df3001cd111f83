package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func newGroupCommands(s *session) *cobra.Command {
	commands := []*cobra.Command{newGroupList(s), newGroupShow(s), newGroupCommit(s)}
	s.clientFlags(commands...)
	return commandGroup("group", "See and set how far a consumer group has come", commands...)
}

// groupStanding is how far a group has come in one partition.
type groupStanding struct {
	Partition int    `json:"partition"`
	Committed *int64 `json:"committed_offset"` // the last record processed, nil before the first commit
	Next      int64  `json:"next_offset"`
	Lag       int64  `json:"lag"` // records there are after the commit
}

// groupsPage is what the list of a topic's groups answers.
type groupsPage struct {
	OK     bool           `json:"ok"`
	Topic  string         `json:"topic"`
	Groups []groupOfTopic `json:"groups"`
	Count  int            `json:"count"`
	Next   *string        `json:"next_after"`
}

type groupOfTopic struct {
	Group      string          `json:"group"`
	Partitions []groupStanding `json:"partitions"`
}

func newGroupList(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "list TOPIC",
		Short: "List the groups that have committed in a topic",
		Long: `List the groups that have committed in a topic: in how many of its partitions,
and how many records have come after what they processed.`,
		Example: "  leat group list flights\n  leat group list flights -o json",
		Args:    exactArgs("TOPIC"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			all := groupsPage{OK: true, Topic: args[0], Groups: []groupOfTopic{}}
			for after := (url.Values{}); ; after.Set("after", *all.Next) {
				body, err := c.get(cmd.Context(), route("broker", "topics", args[0], "groups"), after)
				if err != nil {
					return err
				}
				var page groupsPage
				if err := readAnswer(body, &page); err != nil {
					return err
				}
				all.Groups, all.Next = append(all.Groups, page.Groups...), page.Next
				if all.Count = len(all.Groups); page.Next == nil {
					break
				}
			}
			body, err := json.Marshal(all)
			if err != nil {
				return fmt.Errorf("encode the groups: %w", err)
			}
			return s.answer(body, func(w io.Writer) error { return drawGroups(w, all.Groups) })
		}),
	}
}

func drawGroups(w io.Writer, groups []groupOfTopic) error {
	g := &grid{header: []string{"GROUP", "PARTITIONS", "LAG"}}
	for _, group := range groups {
		committed, lag := 0, int64(0)
		for _, p := range group.Partitions {
			if lag += p.Lag; p.Committed != nil {
				committed++
			}
		}
		g.add(group.Group, committed, lag)
	}
	return g.write(w, "")
}

func newGroupShow(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "show GROUP TOPIC",
		Short: "Show what a group has committed in every partition of a topic",
		Long: `Show what a group has committed in every partition of a topic: the offset of the
last record it processed, and how many records have come after it. A group that
never committed is behind by all there are.`,
		Example: "  leat group show billing flights\n  leat group show billing flights -o json",
		Args:    exactArgs("GROUP", "TOPIC"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			group := args[0]
			topic, _, err := c.describeTopic(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			standings := make([]groupStanding, 0, len(topic.Detail))
			for _, p := range topic.Detail {
				// Reading at the end reads nothing and says where the group stands.
				body, err := c.get(cmd.Context(), route("broker", "consume", topic.Topic, group, strconv.Itoa(p.Partition)),
					url.Values{"offset": {strconv.FormatInt(p.Next, 10)}, "limit": {"1"}})
				if err != nil {
					return err
				}
				g := groupStanding{Lag: p.Next - p.First}
				if err := readAnswer(body, &g); err != nil {
					return err
				}
				g.Partition, g.Next = p.Partition, p.Next
				if g.Committed != nil {
					g.Lag = max(p.Next-max(*g.Committed+1, p.First), 0)
				}
				standings = append(standings, g)
			}
			body, err := json.Marshal(struct {
				OK         bool            `json:"ok"`
				Group      string          `json:"group"`
				Topic      string          `json:"topic"`
				Partitions []groupStanding `json:"partitions"`
			}{true, group, topic.Topic, standings})
			if err != nil {
				return fmt.Errorf("encode the standing of the group: %w", err)
			}
			return s.answer(body, func(w io.Writer) error { return drawGroup(w, standings) })
		}),
	}
}

func drawGroup(w io.Writer, standings []groupStanding) error {
	g := &grid{header: []string{"PARTITION", "COMMITTED", "NEXT", "LAG"}}
	for _, p := range standings {
		g.add(p.Partition, optional(p.Committed), p.Next, p.Lag)
	}
	return g.write(w, "")
}

func newGroupCommit(s *session) *cobra.Command {
	var partition int
	var offset int64
	c := &cobra.Command{
		Use:   "commit GROUP TOPIC --partition P --offset N",
		Short: "Say that a group has processed a partition up to a record",
		Long: `Say that a group has processed a partition up to and with the record at an offset:
it resumes at the one after. A commit never goes back; the answer says where the
group stands.`,
		Example: "  leat group commit billing flights --partition 0 --offset 41",
		Args:    exactArgs("GROUP", "TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags := cmd.Flags(); !flags.Changed("partition") || !flags.Changed("offset") || partition < 0 || offset < 0 {
				return usage("%q needs --partition and --offset, from 0 on", cmd.CommandPath())
			}
			return s.withClient(func(c *client) error {
				body, err := c.post(cmd.Context(), "/broker/commit", map[string]any{
					"topic": args[1], "group": args[0], "partition": partition, "offset": offset,
				})
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					var done struct {
						Committed int64 `json:"committed_offset"`
					}
					if err := readAnswer(body, &done); err != nil {
						return err
					}
					note := ""
					if done.Committed != offset {
						note = ", further than asked for"
					}
					_, err := fmt.Fprintf(w, "%s has processed %s/%d up to offset %d%s\n", args[0], args[1], partition, done.Committed, note)
					return err
				})
			})
		},
	}
	c.Flags().IntVar(&partition, "partition", 0, "partition")
	c.Flags().Int64Var(&offset, "offset", 0, "offset of the last record processed")
	return c
}
