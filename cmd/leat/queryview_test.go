package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// What show says about sinks.
func TestShowSinks(t *testing.T) {
	t.Parallel()
	var q standing
	status := `{"name":"q","state":"running","sinks":[{"log":"results","kv":"ns","written":1200,"skipped":3,"error":"no room"},{"log":"late","topic":"l","written":0}],"warnings":["one","two"]}`
	if err := json.Unmarshal([]byte(status), &q); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := drawStanding(&b, &q); err != nil {
		t.Fatal(err)
	}
	if want := "q is running\nwarning: one\nwarning: two\nrows: "; !strings.HasPrefix(b.String(), want) {
		t.Errorf("got %s", b.String())
	}
	if want := "bytes\nresults to kv ns: 1,200 written, 3 skipped; waiting: no room\nlate to topic l: 0 written\n\n"; !strings.Contains(b.String(), want) {
		t.Errorf("got %s", b.String())
	}
}
