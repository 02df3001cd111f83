package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// keyRange is a run of keys asked for.
type keyRange struct {
	namespace, prefix, after string
	limit                    int64 // 0 = all there are
	stale                    bool
}

// keysPage is what the list of a namespace answers.
type keysPage struct {
	OK      bool              `json:"ok"`
	Keys    []json.RawMessage `json:"keys"`
	Count   int               `json:"count"`
	Next    *string           `json:"next_after"`
	Version uint64            `json:"version"`
}

// keys lists keys, page by page. Version is that of the first page: a watch from
// there on misses nothing.
func (c *client) keys(ctx context.Context, r keyRange) (keysPage, error) {
	all := keysPage{OK: true, Keys: []json.RawMessage{}}
	after := r.after
	for first := true; first || all.Next != nil && (r.limit == 0 || int64(all.Count) < r.limit); first = false {
		q := url.Values{"limit": {strconv.FormatInt(pageSize(r.limit, r.limit-int64(all.Count)), 10)}}
		if r.prefix != "" {
			q.Set("prefix", r.prefix)
		}
		if after != "" {
			q.Set("after", after)
		}
		if r.stale {
			q.Set("stale", "1")
		}
		body, err := c.get(ctx, route("kv", r.namespace), q)
		if err != nil {
			return all, err
		}
		var page keysPage
		if err := readAnswer(body, &page); err != nil {
			return all, err
		}
		if first {
			all.Version = page.Version
		}
		all.Keys = append(all.Keys, page.Keys...)
		all.Count, all.Next = len(all.Keys), page.Next
		if page.Next != nil {
			after = *page.Next
		}
	}
	return all, nil
}

func newKVList(s *session) *cobra.Command {
	var r keyRange
	c := &cobra.Command{
		Use:     "list NAMESPACE",
		Short:   "List the keys of a namespace",
		Example: "  leat kv list app\n  leat kv list app --prefix session/ --limit 0 -o json",
		Args:    exactArgs("NAMESPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.limit < 0 {
				return usage("--limit has to be 0 or above")
			}
			r.namespace = args[0]
			return s.withClient(func(c *client) error {
				page, err := c.keys(cmd.Context(), r)
				if err != nil {
					return err
				}
				if s.format == formatTable {
					metas := make([]keyMeta, len(page.Keys))
					for i, key := range page.Keys {
						if err := readAnswer(key, &metas[i]); err != nil {
							return err
						}
					}
					return keyGrid(metas...).write(s.out, "")
				}
				body, err := json.Marshal(page)
				if err != nil {
					return fmt.Errorf("encode the keys: %w", err)
				}
				return writeDocument(s.out, s.format, body)
			})
		},
	}
	c.Flags().StringVar(&r.prefix, "prefix", "", "only keys that begin with this")
	c.Flags().StringVar(&r.after, "after", "", "only keys after this one")
	c.Flags().Int64Var(&r.limit, "limit", 100, "most keys to list, 0 for all there are")
	c.Flags().BoolVar(&r.stale, "stale", false, "read what the node has, without asking the others")
	return c
}

func newKVWatch(s *session) *cobra.Command {
	var prefix string
	var after, limit int64
	c := &cobra.Command{
		Use:   "watch NAMESPACE",
		Short: "Print changes of keys as they happen, until interrupted",
		Long: `Print every change of the keys of a namespace as it happens, until interrupted.
With --after it begins after that version, which is the version of a list or the
cas of a change; without, with the next change. A connection that breaks is made
anew and goes on where it was. With -o json every change is a line of its own.`,
		Example: "  leat kv watch app\n  leat kv watch app --prefix session/",
		Args:    exactArgs("NAMESPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if after < -1 || limit < 0 {
				return usage("--after and --limit have to be 0 or above")
			}
			return s.withClient(func(c *client) error {
				w := &keyWatch{session: s, client: c, namespace: args[0], prefix: prefix, version: after, left: limit}
				return w.run(cmd.Context())
			})
		},
	}
	c.Flags().StringVar(&prefix, "prefix", "", "only keys that begin with this")
	c.Flags().Int64Var(&after, "after", -1, "begin after this version")
	c.Flags().Int64Var(&limit, "limit", 0, "end after so many changes, 0 for never")
	return c
}

// errEnough ends a stream that the command itself has read enough of.
var errEnough = errors.New("enough")

// keyWatch prints the changes of a namespace.
type keyWatch struct {
	*session
	client            *client
	namespace, prefix string
	version           int64 // everything up to it was printed, -1 = begin with the next
	left              int64 // changes still to be printed, 0 = no limit
	titled            bool
}

// change is one line of a watched namespace.
type change struct {
	Key     string `json:"key"`
	Cas     int64  `json:"cas"`
	Value   []byte `json:"value"`
	Deleted bool   `json:"deleted"`
	Expired bool   `json:"expired"`
	Meta    *struct {
		Version int64 `json:"version"`
	} `json:"meta"`
	Heartbeat *struct {
		Version int64 `json:"version"`
	} `json:"heartbeat"`
}

// run reads streams, one after the other.
func (k *keyWatch) run(ctx context.Context) error {
	for {
		q := url.Values{"watch": {"1"}}
		if k.prefix != "" {
			q.Set("prefix", k.prefix)
		}
		if k.version >= 0 {
			q.Set("after", strconv.FormatInt(k.version, 10))
		}
		err := k.client.stream(ctx, route("kv", k.namespace), q, k.line)
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (k *keyWatch) line(line []byte, _ bool) error {
	var c change
	if err := readAnswer(line, &c); err != nil {
		return err
	}
	switch {
	case c.Meta != nil:
		k.version = c.Meta.Version
		return k.title()
	case c.Heartbeat != nil:
		k.version = c.Heartbeat.Version
		return nil
	}
	k.version = c.Cas
	if err := k.print(line, &c); err != nil {
		return err
	}
	if k.left--; k.left == 0 {
		return errEnough
	}
	k.left = max(k.left, 0)
	return nil
}

func (k *keyWatch) title() error {
	if k.titled || k.format != formatTable {
		return nil
	}
	k.titled = true
	_, err := fmt.Fprintf(k.out, "%-24s  %-8s  %s\n", "KEY", "CAS", "VALUE")
	return err
}

func (k *keyWatch) print(line []byte, c *change) error {
	if k.format != formatTable {
		return writeItem(k.out, k.format, line)
	}
	value := printable(string(c.Value))
	switch {
	case c.Expired:
		value = "(expired)"
	case c.Deleted:
		value = "(deleted)"
	}
	_, err := fmt.Fprintf(k.out, "%-24s  %-8d  %s\n", printable(c.Key), c.Cas, value)
	return err
}
