package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newTopic(s *session) *cobra.Command {
	commands := []*cobra.Command{newTopicCreate(s), newTopicList(s), newTopicDescribe(s), newTopicRetention(s), newTopicDeleteBefore(s), newTopicDelete(s)}
	s.clientFlags(commands...)
	return commandGroup("topic", "Create, describe, trim and delete topics", commands...)
}

func newTopicCreate(s *session) *cobra.Command {
	var partitions int
	c := &cobra.Command{
		Use:   "create TOPIC",
		Short: "Create a topic; the same again is no error",
		Example: `  leat topic create events
  leat topic create clicks --partitions 4`,
		Args: exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec := map[string]any{"name": args[0]}
			if cmd.Flags().Changed("partitions") {
				spec["partitions"] = partitions
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			defer c.close()
			body, err := c.post(cmd.Context(), "/broker/topics", spec)
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				var created struct {
					Topic      string `json:"topic"`
					Partitions int    `json:"partitions"`
				}
				if err := readAnswer(body, &created); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w, "topic %s has %s\n", created.Topic, plural(created.Partitions, "partition"))
				return err
			})
		},
	}
	c.Flags().IntVar(&partitions, "partitions", 8, "number of partitions; it cannot be changed later")
	return c
}

func newTopicList(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the topics",
		Example: "  leat topic list\n  leat topic list -o json",
		Args:    noArgs,
		RunE: s.asking(func(cmd *cobra.Command, c *client, _ []string) error {
			body, err := c.get(cmd.Context(), "/broker/topics", nil)
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				var list struct {
					Topics []struct {
						Topic      string `json:"topic"`
						Partitions int    `json:"partitions"`
						CreatedMs  int64  `json:"created_ms"`
					} `json:"topics"`
				}
				if err := readAnswer(body, &list); err != nil {
					return err
				}
				g := &grid{header: []string{"TOPIC", "PARTITIONS", "CREATED"}}
				for _, t := range list.Topics {
					g.add(t.Topic, t.Partitions, instant(t.CreatedMs))
				}
				return g.write(w, "")
			})
		}),
	}
}

// topicDetail is what the server says about one topic.
type topicDetail struct {
	Topic  string `json:"topic"`
	Detail []struct {
		Partition int    `json:"partition"`
		First     int64  `json:"first_offset"`
		Next      int64  `json:"next_offset"`
		Bytes     int64  `json:"bytes"`
		Leader    string `json:"leader"`
	} `json:"detail"`
}

func (c *client) describeTopic(ctx context.Context, name string) (topicDetail, []byte, error) {
	var detail topicDetail
	body, err := c.get(ctx, route("broker", "topics", name), nil)
	if err == nil {
		err = readAnswer(body, &detail)
	}
	return detail, body, err
}

func newTopicDescribe(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "describe TOPIC",
		Short:   "Show the partitions of a topic: offsets, size, leader",
		Example: "  leat topic describe flights",
		Args:    exactArgs("TOPIC"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			topic, body, err := c.describeTopic(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				g := &grid{header: []string{"PARTITION", "FIRST", "NEXT", "BYTES", "LEADER"}}
				for _, p := range topic.Detail {
					g.add(p.Partition, p.First, p.Next, p.Bytes, p.Leader)
				}
				return g.write(w, "")
			})
		}),
	}
}

func newTopicDelete(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "delete TOPIC",
		Short:   "Delete a topic and its records",
		Example: "  leat topic delete flights",
		Args:    exactArgs("TOPIC"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			body, err := c.call(cmd.Context(), request{method: http.MethodDelete, path: route("broker", "topics", args[0])})
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "topic %s is deleted\n", args[0])
				return err
			})
		}),
	}
}

// readAnswer reads an answer of the server.
func readAnswer(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the answer of the server: %w", err)
	}
	return nil
}

// instant shows epoch milliseconds as UTC time.
func instant(ms int64) string {
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}
