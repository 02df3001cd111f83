// Package filerun runs a query over files instead of over topics of a node: the same
// spec, the same job, no log and no server.
package filerun

import (
	"context"
	"fmt"
	"io"
	"slices"

	"leat/codecs/formats"
	"leat/internal/fault"
	"leat/queries"
)

// Input is a file with the records of a topic, plain or compressed with gzip: an Avro
// container file, or one record a line.
type Input struct {
	Topic  string // "" for the only topic that the query reads
	Open   func() (io.ReadCloser, error)
	Base64 bool // lines are the base64 of records
}

// Config is what a run needs.
type Config struct {
	Spec   []byte
	Inputs []Input
	// Namespaces are what a lookup reads.
	Namespaces []Namespace
	// Partitions is how many each topic has, 1 for 0. The records of a file are dealt
	// to them in turn.
	Partitions int32
	// AppendMs is the append time of all records, epoch ms.
	AppendMs int64
	Clock    queries.Clock // paces the output, nothing else
	Options  queries.RunOptions
	Output   queries.LocalOutput
	// Planned, if not nil, is called before the first row.
	Planned func(*queries.Plan) error
}

// CodeInvalidInput is the code of an error about inputs that do not fit the query.
const CodeInvalidInput = "invalid_input"

// MaxPartitions bounds Config.Partitions.
const MaxPartitions = 256

// Topics lists the topics that a spec reads; none where it is no spec.
func Topics(spec []byte) []string {
	parsed, _ := queries.Parse(spec)
	if parsed == nil {
		return nil
	}
	var names []string
	for i := range parsed.Sources {
		if name := parsed.Sources[i].Topic; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// twice tells whether a spec reads a topic on both sides of a join.
func twice(spec []byte) bool {
	parsed, _ := queries.Parse(spec)
	return parsed != nil && parsed.Join != nil && parsed.Sources[0].Topic != "" &&
		parsed.Sources[0].Topic == parsed.Sources[1].Topic
}

// Run runs a query over all of its inputs and closes every window. It holds no more
// of the files than the job has yet to read, some megabytes. With one partition the
// output is the same each time, byte for byte; with more, that of a windowed query is.
//
// Output is called from the calling goroutine. The counts are those of the last epoch
// put out, also with an error. Errors are faults, those of the spec with all problems
// in the detail "problems"; those of the files and of Output are as they are.
func Run(ctx context.Context, c Config) (queries.RowCounts, error) {
	var none queries.RowCounts
	sources, inputs, err := c.sources()
	if err != nil {
		return none, err
	}
	values, err := c.namespaces()
	if err != nil {
		return none, err
	}
	for topic, input := range inputs {
		file, err := input.Open()
		if err == nil {
			defer file.Close()
			err = sources[topic].openWithin(ctx, file, input.Base64)
		}
		if err != nil {
			return none, fmt.Errorf("open the input of topic %q: %w", topic, err)
		}
	}
	names := queries.Names{Topics: sources, Formats: fileFormats{library: formats.New(nil), feeds: sources}}
	_, plan, _, problems := names.Compile(ctx, c.Spec)
	if len(problems) > 0 {
		return none, problems.Fault()
	}
	if c.Planned != nil {
		if err := c.Planned(plan); err != nil {
			return none, err
		}
	}
	running, finish := sources.start(ctx)
	defer finish()
	counts, err := queries.RunLocal(running, queries.LocalConfig{
		Plan: plan, Topics: sources, Values: values, Clock: c.Clock, Options: c.Options, Output: c.Output,
	})
	if cause := context.Cause(running); cause != nil && ctx.Err() == nil {
		err = cause // a file that cannot be read
	}
	return counts, err
}

// sources are the topics of the inputs, which all have to be read by the query.
func (c *Config) sources() (feeds, map[string]Input, error) {
	partitions := max(c.Partitions, 1)
	if partitions > MaxPartitions {
		return nil, nil, fault.New(fault.Invalid, CodeInvalidInput, "there can be %d partitions, not %d", MaxPartitions, partitions)
	}
	read := Topics(c.Spec)
	if twice(c.Spec) {
		return nil, nil, fault.New(fault.Unprocessable, "unsupported", "a file is read once: a topic cannot be joined with itself here")
	}
	sources, inputs := feeds{}, map[string]Input{}
	if read == nil {
		return sources, inputs, nil // the problems of the spec say more
	}
	for _, input := range c.Inputs {
		if input.Topic == "" {
			if len(read) > 1 {
				return nil, nil, fault.New(fault.Invalid, CodeInvalidInput, "the query reads %d topics: say which one each input is of", len(read))
			}
			input.Topic = read[0]
		}
		switch {
		case !slices.Contains(read, input.Topic):
			return nil, nil, fault.New(fault.Invalid, CodeInvalidInput, "there is an input for topic %q, which the query does not read", input.Topic)
		case sources[input.Topic] != nil:
			return nil, nil, fault.New(fault.Invalid, CodeInvalidInput, "topic %q has two inputs", input.Topic)
		}
		sources[input.Topic] = newFeed(input.Topic, uint64(len(sources)+1), partitions, c.AppendMs)
		inputs[input.Topic] = input
	}
	for _, topic := range read {
		if sources[topic] == nil {
			return nil, nil, fault.New(fault.Invalid, CodeInvalidInput, "there is no input for topic %q, which the query reads", topic)
		}
	}
	return sources, inputs, nil
}

// Problems are those of a spec in an error of Run.
func Problems(err error) []queries.Problem {
	f := fault.As(err)
	if f == nil {
		return nil
	}
	problems, _ := f.Detail["problems"].([]queries.Problem)
	return problems
}
