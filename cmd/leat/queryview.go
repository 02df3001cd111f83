package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func newQueryView(s *session) *cobra.Command {
	var keys []string
	var start int64
	c := &cobra.Command{
		Use:   "view NAME",
		Short: "Print the latest row of one group",
		Long: `Print the latest row of one group. A key is a string, or a JSON value: 5 is the number or,
where there is no such group, the string; "5" in quotes is the string.`,
		Example: `  leat query view delays_by_day --key JFK
  leat query view delays_by_day --key JFK --window-start 1356998400000`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"key": keys}
			if cmd.Flags().Changed("window-start") {
				q.Set("window_start", strconv.FormatInt(start, 10))
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			defer c.close()
			body, err := c.get(cmd.Context(), route("queries", args[0], "view"), q)
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				var found struct {
					Row json.RawMessage `json:"row"`
				}
				if err := readAnswer(body, &found); err != nil {
					return err
				}
				g, err := drawRows([]json.RawMessage{found.Row})
				if err != nil {
					return fmt.Errorf("draw the row: %w", err)
				}
				return g.write(w, "")
			})
		},
	}
	c.Flags().StringArrayVar(&keys, "key", nil, "value of a group_by field; once for each field, in their order")
	c.Flags().Int64Var(&start, "window-start", 0, "start of the window, in milliseconds since 1970; the latest one by default")
	return c
}
