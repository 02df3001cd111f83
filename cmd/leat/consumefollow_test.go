package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"leat/internal/testenv"
)

// TestFollowOverRetention: a follower that retention has overtaken goes on with what
// there is, and commits what it printed.
func TestFollowOverRetention(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	c := dial(t, server.url)
	c.mustPost(t, "/broker/topics", map[string]any{"name": "t", "partitions": 1})
	produce := func(value string) {
		t.Helper()
		if _, err := c.call(t.Context(), request{method: http.MethodPost, path: "/broker/topics/t/produce", body: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, value := range []string{"a", "b", "c"} {
		produce(value)
	}
	c.mustPost(t, "/broker/delete-before", map[string]any{"topic": "t", "partition": 0, "before_offset": 2})
	out := &firstWrite{wrote: make(chan []byte, 16)}
	var errs testenv.Tail
	sh := &shell{in: strings.NewReader(""), out: out, err: &errs, getenv: func(string) string { return "" }}
	exit := make(chan int, 1)
	go func() {
		exit <- run(t.Context(), sh, []string{"consume", "t", "--follow", "--group", "g", "--limit", "3", "--server", server.url, "-o", "json"})
	}()
	for i, want := range []string{`"value":"c"`, `"value":"d"`, `"value":"e"`} {
		if line := string(<-out.wrote); !strings.Contains(line, want) {
			t.Fatalf("line %d is %s", i, line)
		}
		if i < 2 {
			// What is there is read by pages; what comes from here on is not.
			testenv.Succeeds(t, "the live stream is open", func() error {
				body, err := c.get(t.Context(), "/metrics", nil)
				if err == nil && !strings.Contains(string(body), "leat_http_streams 1\n") {
					err = errors.New("it is not")
				}
				return err
			})
			produce(string(rune('d' + i)))
		}
	}
	if code := <-exit; code != exitOK {
		t.Errorf("exit %d, %s", code, &errs)
	}
	got := leat(t.Context(), "", map[string]string{"LEAT_SERVER": server.url}, "group", "show", "g", "t", "-o", "json")
	if !strings.Contains(got.out, `"committed_offset": 4`) {
		t.Errorf("after five records: %s%s", got.out, got.err)
	}
}
