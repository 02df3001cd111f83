package nexmark

import (
	"bytes"
	"embed"
	"fmt"
)

//go:embed *.json
var files embed.FS

// Spec is one of the queries. Number is that of the benchmark.
type Spec struct {
	Name   string // of the file without .json: "q5_counts"
	Number int
	JSON   []byte
}

// Specs are the queries in the order of their numbers. A query that reads what another
// one writes comes after it.
func Specs() ([]Spec, error) {
	specs := []Spec{
		{Name: "q0"}, {Name: "q1", Number: 1}, {Name: "q2", Number: 2},
		{Name: "q5_counts", Number: 5}, {Name: "q5", Number: 5}, {Name: "q7", Number: 7},
		{Name: "q11", Number: 11}, {Name: "q12", Number: 12}, {Name: "q14", Number: 14}, {Name: "q15", Number: 15},
		{Name: "q16", Number: 16}, {Name: "q17", Number: 17}, {Name: "q21", Number: 21}, {Name: "q22", Number: 22},
	}
	for i := range specs {
		text, err := files.ReadFile(specs[i].Name + ".json")
		if err != nil {
			return nil, fmt.Errorf("read the spec %s: %w", specs[i].Name, err)
		}
		specs[i].JSON = text
	}
	return specs, nil
}

// Bounded is the spec of a query that stops where the topic ends, and closes all
// windows then.
func (s Spec) Bounded() []byte {
	return bytes.Replace(s.JSON, []byte(`"source": { `), []byte(`"source": { "until": "end", `), 1)
}
