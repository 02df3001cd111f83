package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"leat/internal/testenv"
)

// The sinks of the queries of the fault test: rows of even go to a topic, of per_key
// to a namespace.

const (
	sinkTopic = "evens"
	sinkSpace = "latest"
)

// watch reads a key of the namespace. It may never show an older row than before, also
// over a kill.
func (f *faults) watch(ctx context.Context, c *client, r *rand.Rand) error {
	key := "k" + strconv.Itoa(r.IntN(7))
	row, err := readKey(ctx, c, key)
	if failed := (*failure)(nil); errors.As(err, &failed) && failed.code == "not_found" && f.windows[key] == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return f.shows(key, row)
}

// shows notes what a key was seen to hold.
func (f *faults) shows(key, row string) error {
	var g struct {
		K     string `json:"k"`
		Start int64  `json:"window_start"`
	}
	if err := json.Unmarshal([]byte(row), &g); err != nil || g.K != key || g.Start < f.windows[key] {
		f.stale = fmt.Sprintf("key %s was at window %d and then held %s", key, f.windows[key], row)
		return errors.New(f.stale)
	}
	f.windows[key] = g.Start
	return nil
}

func readKey(ctx context.Context, c *client, key string) (row string, err error) {
	body, err := c.get(ctx, route("kv", sinkSpace, key), nil)
	if err != nil {
		return "", err
	}
	var document struct {
		Value []byte `json:"value"`
	}
	err = readAnswer(body, &document)
	return string(document.Value), err
}

// checkSinks compares what the sinks have written with the rows, and views with both.
func (f *faults) checkSinks(t *testing.T, c *client, want expected) {
	t.Helper()
	for _, query := range []struct {
		name string
		rows int
	}{{"even", len(want.even)}, {"per_key", len(want.keys)}} {
		testenv.Succeeds(t, "the sink of "+query.name, func() error {
			q, _, err := c.query(t.Context(), query.name)
			if err == nil && (len(q.Sinks) != 1 || q.Sinks[0].Written != int64(query.rows) || q.Sinks[0].Skipped != 0 || q.Sinks[0].Error != "") {
				err = fmt.Errorf("sinks %+v, for %d rows", q.Sinks, query.rows)
			}
			return err
		})
	}
	var copied []string
	for p := range faultPartitions {
		records, err := readPartition(t.Context(), c, sinkTopic, p)
		if err != nil {
			t.Fatal(err)
		}
		copied = append(copied, records...)
	}
	slices.Sort(copied)
	if err := compareRows(sinkTopic, want.even, copied); err != nil {
		t.Error(err)
	}
	last := map[string]string{}
	for _, row := range want.keys {
		var g struct{ K string }
		if err := json.Unmarshal([]byte(row), &g); err != nil {
			t.Fatal(err)
		}
		last[g.K] = row
	}
	for key, row := range last {
		got, err := readKey(t.Context(), c, key)
		if err != nil || got != row || f.shows(key, got) != nil {
			t.Errorf("key %s holds %s, %v, and should hold %s", key, got, err, row)
		}
		body, err := c.get(t.Context(), route("queries", "per_key", "view"), url.Values{"key": {key}})
		if view := `{"ok":true,"row":` + row + `}`; err != nil || string(body) != view {
			t.Errorf("the view of %s is %s, %v, and should be %s", key, body, err, view)
		}
	}
	if f.stale != "" {
		t.Error(f.stale)
	}
	if len(f.windows) == 0 {
		t.Error("no key was ever read")
	}
}
