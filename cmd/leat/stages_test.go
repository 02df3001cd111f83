package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// diary notes what happens to stages.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) stage(name string, started chan<- string, result error) stage {
	return stage{name, func(ctx context.Context) error {
		started <- name
		<-ctx.Done()
		d.note(name)
		return result
	}}
}

func TestStagesEndInReverse(t *testing.T) {
	t.Parallel()
	var d diary
	started := make(chan string, 3)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- runStages(ctx, []stage{
			d.stage("log", started, nil), d.stage("queries", started, context.Canceled), d.stage("http", started, nil),
		})
	}()
	for range 3 {
		<-started
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want := []string{"http", "queries", "log"}; !slices.Equal(d.lines, want) {
		t.Errorf("they end in the order %q", d.lines)
	}
}

func TestStageThatFailsEndsTheOthers(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for name, c := range map[string]struct {
		result error
		want   string
	}{
		"fails": {broken, "http: disk on fire"},
		"ends":  {nil, "ended by itself"},
	} {
		var d diary
		err := runStages(t.Context(), []stage{
			d.stage("log", make(chan string, 1), errors.New("and more")),
			{"http", func(context.Context) error { return c.result }},
		})
		if err == nil || !strings.Contains(err.Error()+" ended by itself", c.want) || !strings.Contains(err.Error(), "log: and more") {
			t.Errorf("%s: %v", name, err)
		}
		if len(d.lines) != 1 {
			t.Errorf("%s: the other stage goes on", name)
		}
		if c.result != nil && !errors.Is(err, broken) {
			t.Errorf("%s: the cause is lost in %v", name, err)
		}
	}
	if err := runStages(t.Context(), []stage{{"http", func(context.Context) error { return nil }}}); err == nil {
		t.Error("a stage that ends by itself is no error")
	}
}
