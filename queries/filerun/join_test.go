package filerun

import (
	"io"
	"strings"
	"testing"

	"leat/internal/fault"
	"leat/queries"
)

func text(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// TestRunJoin joins two files, dealt to several partitions each.
func TestRunJoin(t *testing.T) {
	t.Parallel()
	const spec = `{"name":"q","join":{"type":"full","on":[["k","k"]],"window":{"within":5},
		"left":{"topic":"a","event_time":"t"},"right":{"topic":"b","event_time":"t"}},"select":{"a":"left.v","b":"right.v"}}`
	for _, partitions := range []int32{1, 3} {
		var rows []string
		counts, err := Run(t.Context(), Config{
			Spec: []byte(spec), Partitions: partitions, Clock: stillClock{},
			Inputs: []Input{
				{Topic: "a", Open: text(`{"t":1,"k":1,"v":1}
{"t":8,"k":2,"v":2}
{"t":20,"k":1,"v":3}
`)},
				{Topic: "b", Open: text(`{"t":4,"k":1.0,"v":"x"}
{"t":6,"k":1,"v":"y"}
{"t":30,"k":null,"v":"z"}
`)},
			},
			Output: queries.LocalOutput{Results: func(row []byte) error { rows = append(rows, string(row)); return nil }},
		})
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"a":1,"b":"x"} {"a":1,"b":"y"} {"a":2,"b":null} {"a":3,"b":null} {"a":null,"b":"z"}`
		if got := strings.Join(rows, " "); got != want || counts.In != 6 || counts.Used != 6 {
			t.Errorf("%d partitions: %s, %+v", partitions, got, counts)
		}
	}
}

// TestRunJoinWithItself: a file is read once.
func TestRunJoinWithItself(t *testing.T) {
	t.Parallel()
	const spec = `{"name":"q","join":{"on":[["k","k"]],"window":{"within":5},"left":{"topic":"a"},"right":{"topic":"a"}}}`
	_, err := Run(t.Context(), Config{Spec: []byte(spec), Clock: stillClock{}, Inputs: []Input{{Topic: "a", Open: text("")}}})
	if fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("%v", err)
	}
}
