package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"leat/queries/filerun"
)

func newQueryTest(s *session) *cobra.Command {
	var inputs, namespaces []string
	var update bool
	c := &cobra.Command{
		Use:   "test DIR|SPEC.json…",
		Short: "Run queries over files and compare what they put out with what they should",
		Long: `Run test cases of queries, without a server, and show where what they put out differs
from what they should. A case is a set of files with a NAME:

  NAME.json                 the spec
  NAME.input.ndjson         its input; NAME.input.TOPIC.ndjson says of which topic
  NAME.kv.NAMESPACE.ndjson  what a lookup reads: lines {"key": TEXT, "value": JSON}
  NAME.expected.ndjson      the rows it has to put out, in this order
  NAME.late.ndjson          the late rows, if there have to be any
  NAME.dead_letters.ndjson  the dead letters, if there have to be any

An input may be compressed with gzip, with .gz at the end of its name. Cases of a directory
can share inputs: its file inputs.json holds {"TOPIC": "FILE", "kv:NAMESPACE": "FILE"},
relative to it. --input and --kv go before both. Of a directory, all .json files but inputs.json are cases. Rows are
compared line by line, without regard for space in the JSON.

--update writes what was put out into the files of what is expected: look at the
difference before you commit it. The exit code is 1 if a case fails.`,
		Example: `  leat query test delays_by_day.json --input flights=flights.ndjson.gz --update
  leat query test delays_by_day.json --input flights=flights.ndjson.gz`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("%q takes directories or specs; see %q", cmd.CommandPath(), cmd.CommandPath()+" --help")
			}
			files := map[string]string{}
			for _, text := range inputs {
				topic, file := splitInput(text)
				if topic == "" {
					return usage("--input takes TOPIC=FILE here, not %q", text)
				}
				files[topic] = file
			}
			for _, text := range namespaces {
				name, file := splitInput(text)
				if name == "" {
					return usage("--kv takes NAMESPACE=FILE, not %q", text)
				}
				files[filerun.KVInput(name)] = file
			}
			cases, err := filerun.FindCases(args, files)
			if err != nil {
				return err
			}
			return s.testCases(cmd.Context(), cases, update)
		},
	}
	c.Flags().StringArrayVar(&inputs, "input", nil, "TOPIC=FILE to read in all cases")
	c.Flags().StringArrayVar(&namespaces, "kv", nil, "NAMESPACE=FILE with what lookups read in all cases")
	c.Flags().BoolVar(&update, "update", false, "write the files of what is expected")
	return c
}

// caseReport is what a run of cases comes to.
type caseReport struct {
	OK     bool             `json:"ok"`
	Passed int              `json:"passed"`
	Failed int              `json:"failed"`
	Cases  []filerun.Result `json:"cases"`
}

func (s *session) testCases(ctx context.Context, cases []filerun.Case, update bool) error {
	report := caseReport{Cases: []filerun.Result{}}
	for i := range cases {
		r := cases[i].Run(ctx, wallClock{}, update)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.OK {
			report.Passed++
		} else {
			report.Failed++
		}
		report.Cases = append(report.Cases, r)
		if s.format == formatTable {
			if err := s.drawCase(&r); err != nil {
				return err
			}
		}
	}
	report.OK = report.Failed == 0
	if s.format != formatTable {
		body, err := json.Marshal(report)
		if err != nil {
			return fmt.Errorf("encode the report: %w", err)
		}
		if err := writeDocument(s.out, s.format, body); err != nil {
			return err
		}
	}
	if !report.OK {
		return &failure{exit: exitFailure, code: "test_failed", text: fmt.Sprintf("%d of %s failed", report.Failed, plural(len(cases), "case"))}
	}
	if s.format == formatTable {
		fmt.Fprintf(s.out, "%s passed\n", plural(report.Passed, "case"))
	}
	return nil
}

func (s *session) drawCase(r *filerun.Result) error {
	if r.OK {
		fmt.Fprintf(s.out, "ok    %s, %s\n", r.Name, plural(int(r.Rows.Out), "row"))
	} else {
		fmt.Fprintf(s.out, "FAIL  %s\n", r.File)
	}
	for _, file := range r.Updated {
		fmt.Fprintf(s.out, "      %s is written\n", file)
	}
	if problems := filerun.Problems(r.Err); problems != nil {
		for _, p := range problems {
			fmt.Fprintf(s.out, "      %d:%d %s: %s\n", p.Line, p.Column, orText(p.Pointer, "(the spec)"), p.Message)
		}
	} else if r.Err != nil {
		fmt.Fprintf(s.out, "      %v\n", r.Err)
	}
	for _, d := range r.Differences {
		if err := d.Write(s.out, "      "); err != nil {
			return err
		}
	}
	return nil
}
