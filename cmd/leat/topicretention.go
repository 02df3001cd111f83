package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func newTopicRetention(s *session) *cobra.Command {
	var ttl time.Duration
	var maxBytes int64
	var partition int
	c := &cobra.Command{
		Use:   "retention TOPIC",
		Short: "Say how long, and how much of, a topic is kept",
		Long: `Say what a topic keeps, or one of its partitions, or with '*' every topic without
a policy of its own: records that are not older than --ttl, and the newest
--max-bytes. 0 means no bound. A policy replaces the one before; of a partition's,
its topic's and that of all topics the nearest one counts, bound by bound.`,
		Example: `  leat topic retention flights --ttl 168h --max-bytes 1073741824
  leat topic retention flights --partition 0 --max-bytes 0
  leat topic retention '*' --ttl 720h`,
		Args: exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags := cmd.Flags()
			policy := map[string]any{"topic": args[0]}
			if flags.Changed("ttl") {
				if ttl < 0 || ttl > 0 && ttl < time.Millisecond {
					return usage("--ttl has to be 0 or from 1ms on")
				}
				policy["ttl_ms"] = ttl.Milliseconds()
			}
			if flags.Changed("max-bytes") {
				policy["max_bytes"] = maxBytes
			}
			if flags.Changed("partition") {
				policy["partition"] = partition
			}
			if !flags.Changed("ttl") && !flags.Changed("max-bytes") {
				return usage("%q needs --ttl, --max-bytes or both", cmd.CommandPath())
			}
			return s.withClient(func(c *client) error {
				body, err := c.post(cmd.Context(), "/broker/retention", policy)
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error { return drawRetention(w, body) })
			})
		},
	}
	c.Flags().DurationVar(&ttl, "ttl", 0, "keep records so long, like 168h; 0 for ever")
	c.Flags().Int64Var(&maxBytes, "max-bytes", 0, "keep so much of every partition on disk; 0 for all")
	c.Flags().IntVar(&partition, "partition", 0, "only this partition")
	return c
}

func drawRetention(w io.Writer, body []byte) error {
	var set struct {
		Topic     string `json:"topic"`
		Partition *int   `json:"partition"`
		TTLMs     *int64 `json:"ttl_ms"`
		MaxBytes  *int64 `json:"max_bytes"`
	}
	if err := readAnswer(body, &set); err != nil {
		return err
	}
	where := "topic " + set.Topic
	if set.Topic == "*" {
		where = "every topic without a policy of its own"
	}
	if set.Partition != nil {
		where += fmt.Sprintf(" in partition %d", *set.Partition)
	}
	age, size := "of any age", "whatever their size"
	if set.TTLMs != nil && *set.TTLMs > 0 {
		age = "not older than " + (time.Duration(*set.TTLMs) * time.Millisecond).String()
	}
	if set.MaxBytes != nil && *set.MaxBytes > 0 {
		size = "the newest " + thousands(*set.MaxBytes) + " bytes of a partition"
	}
	_, err := fmt.Fprintf(w, "%s keeps records %s, %s\n", where, age, size)
	return err
}

func newTopicDeleteBefore(s *session) *cobra.Command {
	var partition int
	var offset int64
	c := &cobra.Command{
		Use:   "delete-before TOPIC --partition P --offset N",
		Short: "Delete the records of a partition below an offset, for good",
		Long: `Delete the records of a partition below an offset, for good. The room they took is
given back a whole file at a time.`,
		Example: "  leat topic delete-before flights --partition 0 --offset 100",
		Args:    exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags := cmd.Flags(); !flags.Changed("partition") || !flags.Changed("offset") || partition < 0 || offset < 0 {
				return usage("%q needs --partition and --offset, from 0 on", cmd.CommandPath())
			}
			return s.withClient(func(c *client) error {
				body, err := c.post(cmd.Context(), "/broker/delete-before", map[string]any{
					"topic": args[0], "partition": partition, "before_offset": offset,
				})
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					var done struct {
						Deleted int64 `json:"deleted_count"`
						Freed   int64 `json:"freed_bytes"`
					}
					if err := readAnswer(body, &done); err != nil {
						return err
					}
					_, err := fmt.Fprintf(w, "%s of %s/%d are deleted, %s bytes of disk given back\n",
						plural(int(done.Deleted), "record"), args[0], partition, thousands(done.Freed))
					return err
				})
			})
		},
	}
	c.Flags().IntVar(&partition, "partition", 0, "partition")
	c.Flags().Int64Var(&offset, "offset", 0, "the first offset to keep")
	return c
}
