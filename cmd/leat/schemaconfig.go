package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newSchemaConfig(s *session) *cobra.Command {
	var level, mode string
	var reset, force bool
	c := &cobra.Command{
		Use:   "config [SUBJECT]",
		Short: "Show or set how new versions are checked, and what may be done",
		Long: `Show the compatibility level and the mode of a subject, or without SUBJECT those of
all subjects that have none of their own, and set them first where they are given.
Levels are NONE, BACKWARD, FORWARD, FULL, and each of the last three with
_TRANSITIVE. Modes are READWRITE, READONLY, READONLY_OVERRIDE and IMPORT.`,
		Example: `  leat schema config
  leat schema config station-value --compatibility FULL
  leat schema config station-value --reset`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("%q takes one SUBJECT at most", cmd.CommandPath())
			}
			if reset && (level != "" || mode != "") {
				return usage("--reset excludes --compatibility and --mode")
			}
			return s.withClient(func(c *client) error {
				ctx := cmd.Context()
				for _, set := range []struct{ call, member, value string }{{"config", "compatibility", level}, {"mode", "mode", mode}} {
					if err := c.configure(ctx, route(append([]string{set.call}, args...)...), set.member, set.value, reset, force); err != nil {
						return err
					}
				}
				return s.showConfig(ctx, c, args)
			})
		},
	}
	c.Flags().StringVar(&level, "compatibility", "", "set the level")
	c.Flags().StringVar(&mode, "mode", "", "set the mode")
	c.Flags().BoolVar(&reset, "reset", false, "take the level and the mode away")
	c.Flags().BoolVar(&force, "force", false, "set the mode IMPORT also where there are schemas")
	return c
}

// configure sets a setting if there is a value, or takes it away.
func (c *client) configure(ctx context.Context, path, member, value string, reset, force bool) error {
	if reset {
		_, err := c.call(ctx, request{method: http.MethodDelete, path: path})
		if err != nil && classify(err).exit != exitNotFound { // there is none
			return err
		}
		return nil
	}
	if value == "" {
		return nil
	}
	body, err := json.Marshal(map[string]string{member: value})
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	q := url.Values{}
	if force {
		q.Set("force", "true")
	}
	_, err = c.call(ctx, request{method: http.MethodPut, path: path, query: q, body: body, json: true})
	return err
}

// showConfig prints the settings that hold for a subject.
func (s *session) showConfig(ctx context.Context, c *client, args []string) error {
	var shown struct {
		Subject string `json:"subject,omitempty"`
		Level   string `json:"compatibilityLevel"`
		Mode    string `json:"mode"`
	}
	for _, call := range []string{"config", "mode"} {
		body, err := c.get(ctx, route(append([]string{call}, args...)...), url.Values{"defaultToGlobal": {"true"}})
		if err == nil {
			err = readAnswer(body, &shown)
		}
		if err != nil {
			return err
		}
	}
	if len(args) == 1 {
		shown.Subject = args[0]
	}
	body, err := json.Marshal(shown)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return s.answer(body, func(w io.Writer) error {
		g := &grid{header: []string{"SUBJECT", "COMPATIBILITY", "MODE"}}
		g.add(orText(shown.Subject, "(all)"), shown.Level, shown.Mode)
		return g.write(w, "")
	})
}
