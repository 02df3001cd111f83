package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func newSchema(s *session) *cobra.Command {
	commands := []*cobra.Command{newSchemaList(s), newSchemaShow(s), newSchemaRegister(s), newSchemaCheck(s), newSchemaDelete(s), newSchemaConfig(s)}
	s.clientFlags(commands...)
	return commandGroup("schema", "Register, check and delete schemas", commands...)
}

// registered is a version of a subject as the server answers it.
type registered struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int    `json:"id"`
	Type    string `json:"schemaType"`
	Schema  string `json:"schema"`
	Deleted bool   `json:"deleted"`
}

// kind is the type of a schema; an answer names all but Avro.
func (r *registered) kind() string { return orText(r.Type, "AVRO") }

func newSchemaList(s *session) *cobra.Command {
	var all, deleted bool
	c := &cobra.Command{
		Use:     "list [PREFIX]",
		Short:   "List the subjects with their newest version, or all versions",
		Example: "  leat schema list\n  leat schema list station --all --deleted",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("%q takes one PREFIX at most", cmd.CommandPath())
			}
			q := url.Values{"latestOnly": {strconv.FormatBool(!all)}, "deleted": {strconv.FormatBool(deleted)}}
			if len(args) == 1 {
				q.Set("subjectPrefix", args[0])
			}
			return s.withClient(func(c *client) error {
				body, err := c.listSchemas(cmd.Context(), q)
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					var list []registered
					if err := readAnswer(body, &list); err != nil {
						return err
					}
					g := &grid{header: []string{"SUBJECT", "VERSION", "ID", "TYPE", "DELETED"}}
					for i := range list {
						g.add(list[i].Subject, list[i].Version, list[i].ID, list[i].kind(), yesNo(list[i].Deleted))
					}
					return g.write(w, "")
				})
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "list every version")
	c.Flags().BoolVar(&deleted, "deleted", false, "list deleted versions too")
	return c
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func newSchemaShow(s *session) *cobra.Command {
	var id int
	var deleted bool
	c := &cobra.Command{
		Use:   "show [SUBJECT [VERSION]]",
		Short: "Print the text of a schema, by subject or by id",
		Long: `Print the text of a schema as it was registered: that of a version of SUBJECT, the
newest without VERSION, or with --id that of an id. -o json and yaml print what is
known of it besides.`,
		Example: "  leat schema show station-value\n  leat schema show station-value 1 -o yaml\n  leat schema show --id 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			byID := cmd.Flags().Changed("id")
			if byID && len(args) > 0 || !byID && (len(args) < 1 || len(args) > 2) {
				return usage("%q takes SUBJECT [VERSION], or --id", cmd.CommandPath())
			}
			path, q := "", url.Values{}
			if byID {
				path = route("schemas", "ids", strconv.Itoa(id))
			} else {
				path = route("subjects", args[0], "versions", versionOf(args))
				if deleted {
					q.Set("deleted", "true")
				}
			}
			return s.withClient(func(c *client) error {
				body, err := c.get(cmd.Context(), path, q)
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					var found registered
					if err := readAnswer(body, &found); err != nil {
						return err
					}
					_, err := fmt.Fprintln(w, strings.TrimSuffix(found.Schema, "\n"))
					return err
				})
			})
		},
	}
	c.Flags().IntVar(&id, "id", 0, "the schema with this id")
	c.Flags().BoolVar(&deleted, "deleted", false, "also where the version is deleted")
	return c
}

// versionOf is the second argument, or the newest version.
func versionOf(args []string) string {
	if len(args) < 2 {
		return "latest"
	}
	return args[1]
}

// schemaFlags describe a schema that is to be sent.
type schemaFlags struct {
	file       string
	kind       string
	references []string
}

func (f *schemaFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.file, "file", "f", "", "file with the schema, - for the standard input")
	c.Flags().StringVar(&f.kind, "type", "", "avro, protobuf or json; by default protobuf for *.proto, json for *.json, else avro")
	c.Flags().StringArrayVar(&f.references, "reference", nil, "NAME=SUBJECT:VERSION of a schema that this one uses; may be repeated")
}

// body reads the schema and makes the body that sends it.
func (f *schemaFlags) body(s *session, cmd *cobra.Command) (any, error) {
	if f.file == "" {
		return nil, usage("%q needs the schema: -f FILE", cmd.CommandPath())
	}
	text, err := s.readValue(f.file)
	if err != nil {
		return nil, err
	}
	type reference struct {
		Name    string `json:"name"`
		Subject string `json:"subject"`
		Version int    `json:"version"`
	}
	sent := struct {
		Schema     string      `json:"schema"`
		Type       string      `json:"schemaType"`
		References []reference `json:"references,omitempty"`
	}{Schema: string(text), Type: strings.ToUpper(f.kind)}
	if sent.Type == "" {
		sent.Type = typeByName(f.file)
	}
	for _, given := range f.references {
		name, target, ok := strings.Cut(given, "=")
		colon := strings.LastIndexByte(target, ':')
		if !ok || colon < 0 {
			return nil, usage("--reference has to be NAME=SUBJECT:VERSION, not %q", given)
		}
		version, err := strconv.Atoi(target[colon+1:])
		if err != nil {
			return nil, usage("--reference has to end with the number of a version, not %q", target[colon+1:])
		}
		sent.References = append(sent.References, reference{name, target[:colon], version})
	}
	return sent, nil
}

// typeByName is the type of the schemas that files of such a name hold.
func typeByName(file string) string {
	switch filepath.Ext(file) {
	case ".proto":
		return "PROTOBUF"
	case ".json":
		return "JSON"
	}
	return "AVRO"
}

func newSchemaRegister(s *session) *cobra.Command {
	var schema schemaFlags
	c := &cobra.Command{
		Use:   "register SUBJECT -f FILE",
		Short: "Make a schema the newest version of a subject",
		Long: `Make a schema the newest version of a subject, which for the values of a topic is
TOPIC-value and for its keys TOPIC-key. A schema that the subject has already stays
as it is. One that is not compatible with the versions before it, by the level of
the subject, is refused.`,
		Example: `  leat schema register station-value -f weather.avsc
  leat schema register gauge-value -f weather.proto`,
		Args: exactArgs("SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sent, err := schema.body(s, cmd)
			if err != nil {
				return err
			}
			return s.withClient(func(c *client) error {
				body, err := c.post(cmd.Context(), route("subjects", args[0], "versions"), sent)
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					var done registered
					if err := readAnswer(body, &done); err != nil {
						return err
					}
					_, err := fmt.Fprintf(w, "%s has the schema with id %d\n", args[0], done.ID)
					return err
				})
			})
		},
	}
	schema.add(c)
	return c
}

func newSchemaCheck(s *session) *cobra.Command {
	var schema schemaFlags
	var version string
	c := &cobra.Command{
		Use:   "check SUBJECT -f FILE",
		Short: "Tell whether a schema is compatible with a subject",
		Long: `Tell whether a schema could be registered for a subject: whether it is compatible
with the versions that the level of the subject names, or with the one of --version.
If not, the reasons are printed and the exit code is 4.`,
		Example: "  leat schema check station-value -f weather.avsc",
		Args:    exactArgs("SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sent, err := schema.body(s, cmd)
			if err != nil {
				return err
			}
			parts := []string{"compatibility", "subjects", args[0], "versions"}
			if version != "" {
				parts = append(parts, version)
			}
			return s.withClient(func(c *client) error { return s.check(cmd.Context(), c, route(parts...), args[0], sent) })
		},
	}
	schema.add(c)
	c.Flags().StringVar(&version, "version", "", "compare with this version only: a number or latest")
	return c
}

// check asks whether a schema is compatible.
func (s *session) check(ctx context.Context, c *client, path, subject string, sent any) error {
	text, err := json.Marshal(sent)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	body, err := c.call(ctx, request{method: http.MethodPost, path: path, query: url.Values{"verbose": {"true"}}, body: text, json: true})
	if err != nil {
		return err
	}
	var told struct {
		Compatible bool     `json:"is_compatible"`
		Messages   []string `json:"messages"`
	}
	if err := readAnswer(body, &told); err != nil {
		return err
	}
	if !told.Compatible {
		return &failure{exit: exitConflict, code: "incompatible_schema", body: body,
			text: "the schema is not compatible with " + subject + "\n  " + strings.Join(told.Messages, "\n  ")}
	}
	return s.answer(body, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "the schema is compatible with %s\n", subject)
		return err
	})
}

func newSchemaDelete(s *session) *cobra.Command {
	var permanent bool
	c := &cobra.Command{
		Use:   "delete SUBJECT [VERSION]",
		Short: "Delete a subject, or one of its versions",
		Long: `Delete the versions of a subject, or the one that is named. They are hidden, and
records that have their ids can still be read. With --permanent what has been
deleted before goes for good: records with an id that nothing else has cannot be
read any more.`,
		Example: "  leat schema delete station-value\n  leat schema delete station-value --permanent",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("%q takes SUBJECT [VERSION]", cmd.CommandPath())
			}
			path, q := route("subjects", args[0]), url.Values{}
			if len(args) == 2 {
				path = route("subjects", args[0], "versions", args[1])
			}
			if permanent {
				q.Set("permanent", "true")
			}
			return s.withClient(func(c *client) error {
				body, err := c.call(cmd.Context(), request{method: http.MethodDelete, path: path, query: q})
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					how := "deleted"
					if permanent {
						how = "deleted for good"
					}
					_, err := fmt.Fprintf(w, "%s of %s: %s\n", how, args[0], strings.Trim(string(body), "[]"))
					return err
				})
			})
		},
	}
	c.Flags().BoolVar(&permanent, "permanent", false, "delete for good what has been deleted")
	return c
}
