package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"leat/internal/bus"
	"leat/internal/fault"
)

// specTopics is a TopicLookup of topics with four partitions, of which those of
// quiet have records in the first two only.
type specTopics struct{}

func (specTopics) Topic(name string) (bus.Topic, bool) {
	switch name {
	case "flights", "quiet", "weather":
		return bus.Topic{Name: name, Partitions: 4}, true
	case "hidden":
		return bus.Topic{Name: name, Partitions: 1, Internal: true}, true
	}
	return bus.Topic{}, false
}

func (specTopics) Partition(topic string, p int32) (bus.Partition, error) {
	part := bus.Partition{Partition: p, First: 3, Next: 5}
	if topic == "quiet" && p >= 2 {
		part.Next = part.First
	}
	return part, nil
}

// golden runs the cases of a file: blocks of a title line "# …", an input, a line
// "----" and the output that run must give. LEAT_UPDATE=1 writes the outputs.
func golden(t *testing.T, path string, run func(input string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var updated strings.Builder
	blocks := strings.Split(strings.TrimPrefix(string(text), "# "), "\n# ")
	for _, block := range blocks {
		title, rest, _ := strings.Cut(block, "\n")
		input, want, _ := strings.Cut(rest, "\n----\n")
		got := strings.TrimSuffix(run(input), "\n")
		fmt.Fprintf(&updated, "# %s\n%s\n----\n%s\n\n", title, input, got)
		if want = strings.TrimRight(want, "\n"); got != want && os.Getenv("LEAT_UPDATE") == "" {
			t.Errorf("%s: %s\ngot:\n%s\nwant:\n%s", path, title, got, want)
		}
	}
	if os.Getenv("LEAT_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(updated.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProblemsGolden shows each mistake with all problems it is answered by and the
// fault they amount to.
func TestProblemsGolden(t *testing.T) {
	t.Parallel()
	kinds := map[fault.Kind]string{fault.Invalid: "400", fault.Unprocessable: "422", fault.NotFound: "404"}
	golden(t, "testdata/problems.txt", func(input string) string {
		spec, plan, warnings, problems := Compile(context.Background(), []byte(input), specTopics{})
		f := problems.Fault()
		if f == nil {
			return "accepted: " + strings.Join(append([]string{plan.Name}, warnings...), "\n")
		}
		if spec != nil || plan != nil {
			t.Errorf("%s: there are problems and a plan", input)
		}
		return fmt.Sprintf("%s %s\n%s", kinds[f.Kind], f.Code, problems)
	})
}

func TestProblemsFault(t *testing.T) {
	t.Parallel()
	if f := (Problems)(nil).Fault(); f != nil {
		t.Errorf("no problems amount to %v", f)
	}
	_, _, _, problems := Compile(context.Background(), []byte("{\"name\":\"x\",\n \"source\":{\"topic\":\"no\"},\n \"fliter\":1}"), specTopics{})
	f := problems.Fault()
	if f.Kind != fault.NotFound || f.Code != "unknown_topic" || f.Message != problems[0].Message {
		t.Errorf("the fault is %v %s %q", f.Kind, f.Code, f.Message)
	}
	got, err := json.Marshal(f.Detail)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"column":20,"line":2,"pointer":"/source/topic","problems":[` +
		`{"pointer":"/source/topic","message":"there is no topic \"no\"","line":2,"column":20},` +
		`{"pointer":"/fliter","message":"unknown member \"fliter\", did you mean \"filter\"?","line":3,"column":2}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestProblemsBounded holds that a spec of nothing but mistakes is answered quickly
// and shortly.
func TestProblemsBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"name":"x"`)
	for i := range 60_000 {
		fmt.Fprintf(&b, `,"mistake%d":1`, i)
	}
	b.WriteByte('}')
	_, problems := Parse([]byte(b.String()))
	if len(problems) != maxProblems {
		t.Errorf("%d problems", len(problems))
	}
}

func TestEditDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"filter", "filter", 0},
		{"fliter", "filter", 1},
		{"filtr", "filter", 1},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3},
		{strings.Repeat("x", 65), "x", 64},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := editDistance(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
