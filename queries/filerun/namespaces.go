package filerun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"leat/internal/fault"
	"leat/queries"
)

// Namespace is a file with what a key-value namespace holds: lines {"key": TEXT, "value":
// JSON}, plain or compressed with gzip. Of lines that share a key the last one counts.
type Namespace struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// LookedUp is the namespace that a spec looks things up in, "" where it does not.
func LookedUp(spec []byte) string {
	parsed, _ := queries.Parse(spec)
	if parsed == nil || parsed.Lookup == nil {
		return ""
	}
	return parsed.Lookup.KV
}

// held are namespaces that do not change, by key.
type held map[string]map[string][]byte

// namespaces reads what the query looks up. Every namespace that it names has to be
// there, and no other.
func (c *Config) namespaces() (held, error) {
	needed := LookedUp(c.Spec)
	read := held{}
	for _, n := range c.Namespaces {
		if n.Name != needed {
			return nil, fault.New(fault.Invalid, CodeInvalidInput, "there is content for the namespace %q, which the query does not look up in", n.Name)
		}
		if read[n.Name] != nil {
			return nil, fault.New(fault.Invalid, CodeInvalidInput, "namespace %q has two files", n.Name)
		}
		var err error
		if read[n.Name], err = n.read(); err != nil {
			return nil, fmt.Errorf("read the content of namespace %q: %w", n.Name, err)
		}
	}
	if needed != "" && read[needed] == nil {
		return nil, fault.New(fault.Invalid, CodeInvalidInput, "there is no content for the namespace %q, which the query looks up in", needed)
	}
	return read, nil
}

func (n *Namespace) read() (map[string][]byte, error) {
	file, err := n.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := unpack(file)
	if err != nil {
		return nil, err
	}
	in := &lines{in: unpacked}
	values := map[string][]byte{}
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		var entry struct {
			Key   *string         `json:"key"`
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(line, &entry); err != nil || entry.Key == nil || entry.Value == nil {
			return nil, fault.New(fault.Invalid, CodeInvalidInput, `line %d is not like {"key": "JFK", "value": {"name": "Kennedy"}}`, in.number)
		}
		values[*entry.Key] = entry.Value
	}
}

// Fresh implements queries.Values.
func (h held) Fresh(ctx context.Context, _ string) error { return ctx.Err() }

// Value implements queries.Values.
func (h held) Value(namespace, key string) (value []byte, version uint64, ok bool) {
	value, ok = h[namespace][key]
	return value, 1, ok
}
