package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func newKV(s *session) *cobra.Command {
	commands := []*cobra.Command{newKVPut(s), newKVGet(s), newKVMeta(s), newKVList(s), newKVWatch(s), newKVDelete(s)}
	s.clientFlags(commands...)
	return commandGroup("kv", "Keep, read and watch values by key", commands...)
}

// casFlag adds --cas, which counts where it is given: 0 asks for no such key.
func casFlag(c *cobra.Command, what string) {
	c.Flags().Uint64("cas", 0, what)
}

func setCas(c *cobra.Command, q url.Values) {
	if flag := c.Flags().Lookup("cas"); flag.Changed {
		q.Set("cas", flag.Value.String())
	}
}

func newKVPut(s *session) *cobra.Command {
	var file string
	var ttl time.Duration
	c := &cobra.Command{
		Use:   "put NAMESPACE KEY [VALUE]",
		Short: "Set a key to a value, or to the bytes of a file",
		Long: `Set a key to VALUE, or with -f to the bytes of a file. Every change gives the key
another cas. With --cas the key is changed only if that is its cas; --cas 0 only
makes a new one. Without --ttl the key does not expire.`,
		Example: `  leat kv put app theme dark
  leat kv put app session/41 active --ttl 30m
  leat kv put app report -f flights.ndjson`,
		RunE: func(cmd *cobra.Command, args []string) error {
			fromFile := cmd.Flags().Changed("file")
			if len(args) < 2 || len(args) > 3 || fromFile == (len(args) == 3) {
				return usage("%q takes NAMESPACE KEY and either VALUE or -f FILE", cmd.CommandPath())
			}
			q := url.Values{}
			setCas(cmd, q)
			if cmd.Flags().Changed("ttl") {
				if ttl < time.Millisecond {
					return usage("--ttl has to be 1ms or more")
				}
				q.Set("ttl_ms", strconv.FormatInt(ttl.Milliseconds(), 10))
			}
			var value []byte
			if fromFile {
				var err error
				if value, err = s.readValue(file); err != nil {
					return err
				}
			} else {
				value = []byte(args[2])
			}
			return s.withClient(func(c *client) error {
				return s.changeKey(cmd.Context(), c, request{
					method: http.MethodPost, path: route("kv", args[0], args[1]), query: q, body: value,
				}, args[1])
			})
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "file with the value, - for the standard input")
	c.Flags().DurationVar(&ttl, "ttl", 0, "let the key expire so long after this change, like 30m")
	casFlag(c, "change the key only if this is its cas; 0: only if there is none")
	return c
}

// readValue reads a file to be sent as one value.
func (s *session) readValue(name string) ([]byte, error) {
	in, _, err := s.openInput(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	value, err := io.ReadAll(io.LimitReader(in, maxAnswerBytes+1))
	if err == nil && len(value) > maxAnswerBytes {
		return nil, usage("%s is over %d bytes", name, maxAnswerBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	return value, nil
}

// changeKey sends a change and says what became of it.
func (s *session) changeKey(ctx context.Context, c *client, r request, key string) error {
	body, err := c.call(ctx, r)
	if err != nil {
		return err
	}
	return s.answer(body, func(w io.Writer) error {
		var done struct {
			Cas     uint64 `json:"cas"`
			Deleted *bool  `json:"deleted"`
		}
		if err := readAnswer(body, &done); err != nil {
			return err
		}
		switch {
		case done.Deleted == nil:
			_, err = fmt.Fprintf(w, "%s has cas %d\n", printable(key), done.Cas)
		case *done.Deleted:
			_, err = fmt.Fprintf(w, "%s is deleted\n", printable(key))
		default:
			_, err = fmt.Fprintf(w, "%s was not there\n", printable(key))
		}
		return err
	})
}

func newKVDelete(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:     "delete NAMESPACE KEY",
		Short:   "Delete a key; nothing there is no error",
		Example: "  leat kv delete app theme",
		Args:    exactArgs("NAMESPACE", "KEY"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			q := url.Values{}
			setCas(cmd, q)
			return s.changeKey(cmd.Context(), c, request{method: http.MethodDelete, path: route("kv", args[0], args[1]), query: q}, args[1])
		}),
	}
	casFlag(c, "delete the key only if this is its cas")
	return c
}

// staleFlag adds --stale to a command that reads.
func staleFlag(c *cobra.Command) {
	c.Flags().Bool("stale", false, "read what the node has, without asking the others")
}

func setStale(c *cobra.Command, q url.Values) {
	if stale, err := c.Flags().GetBool("stale"); err == nil && stale {
		q.Set("stale", "1")
	}
}

func newKVGet(s *session) *cobra.Command {
	var raw bool
	c := &cobra.Command{
		Use:   "get NAMESPACE KEY",
		Short: "Print the value of a key",
		Long: `Print the value of a key and a line feed; with --raw the bytes as they are. With
-o json or yaml the value is in base64, with its cas.`,
		Example: `  leat kv get app theme
  leat kv get app theme --stale -o json
  leat kv get app theme --raw > theme.txt`,
		Args: exactArgs("NAMESPACE", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if raw && s.format != formatTable {
				return usage("--raw and -o %s exclude each other", s.format)
			}
			q := url.Values{}
			setStale(cmd, q)
			return s.withClient(func(c *client) error {
				body, err := c.get(cmd.Context(), route("kv", args[0], args[1]), q)
				if err != nil {
					return err
				}
				return s.answer(body, func(w io.Writer) error {
					var got struct {
						Value []byte `json:"value"`
					}
					if err := readAnswer(body, &got); err != nil {
						return err
					}
					if !raw {
						got.Value = append(got.Value, '\n')
						if terminal(w) {
							got.Value = append([]byte(printable(string(got.Value[:len(got.Value)-1]))), '\n')
						}
					}
					_, err := w.Write(got.Value)
					return err
				})
			})
		},
	}
	c.Flags().BoolVar(&raw, "raw", false, "print the bytes of the value and nothing else")
	staleFlag(c)
	return c
}

// keyMeta is what is known of a key besides its value.
type keyMeta struct {
	Key       string `json:"key"`
	Cas       uint64 `json:"cas"`
	Size      int64  `json:"size"`
	TTLMs     *int64 `json:"ttl_ms"`
	CreatedMs int64  `json:"created_ms"`
	UpdatedMs int64  `json:"updated_ms"`
}

// keyGrid makes a table of keys.
func keyGrid(keys ...keyMeta) *grid {
	g := &grid{header: []string{"KEY", "CAS", "BYTES", "EXPIRES IN", "CREATED", "UPDATED"}}
	for _, k := range keys {
		expires := "-"
		if k.TTLMs != nil {
			expires = (time.Duration(*k.TTLMs) * time.Millisecond).Round(time.Second).String()
		}
		g.add(k.Key, int64(k.Cas), k.Size, expires, instant(k.CreatedMs), instant(k.UpdatedMs))
	}
	return g
}

func newKVMeta(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:     "meta NAMESPACE KEY",
		Short:   "Show the cas, size, times and time to live of a key",
		Example: "  leat kv meta app theme",
		Args:    exactArgs("NAMESPACE", "KEY"),
		RunE: s.asking(func(cmd *cobra.Command, c *client, args []string) error {
			q := url.Values{}
			setStale(cmd, q)
			// "/meta" is the call; in the key it is %2Fmeta.
			body, err := c.get(cmd.Context(), route("kv", args[0], args[1], "meta"), q)
			if err != nil {
				return err
			}
			return s.answer(body, func(w io.Writer) error {
				meta := keyMeta{Key: args[1]}
				if err := readAnswer(body, &meta); err != nil {
					return err
				}
				return keyGrid(meta).write(w, "")
			})
		}),
	}
	staleFlag(c)
	return c
}
