package queries

import (
	"context"
	"os"
	"strings"
	"testing"

	"leat/codecs"
)

// docCells is a row of the table of the document: an expression and its results.
func docCells(t *testing.T, text string) []string {
	t.Helper()
	c := mustCompile(t, text)
	cells := []string{"`" + text + "`"}
	for _, x := range []codecs.Value{
		{},
		codecs.NullValue(),
		codecs.IntValue(7),
		codecs.FloatValue(2.5),
		codecs.StringValue("abc"),
		codecs.BoolValue(true),
		codecs.ArrayValue("[1]"),
	} {
		v, err := c.eval(exprRow{"x": x})
		cell := outcome(v, err)
		if err != nil {
			cell = "error"
		}
		cells = append(cells, strings.ReplaceAll(cell, "nil", "null"))
	}
	return cells
}

// TestSpecDocument holds that the table of the document is true and that its
// examples compile.
func TestSpecDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/query-spec.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- table of kinds -->")
	table, _, _ = strings.Cut(table, "<!-- end of table -->")
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		rows++
		parts := strings.Split(strings.Trim(line, "| \n"), " | ")
		if want := docCells(t, strings.Trim(parts[0], "`")); strings.Join(parts, " | ") != strings.Join(want, " | ") {
			t.Errorf("the table says\n%sand the answer is\n| %s |", line, strings.Join(want, " | "))
		}
	}
	if rows < 30 {
		t.Errorf("the table has %d rows", rows)
	}
	examples := strings.Split(string(text), "```json\n")[1:]
	for _, example := range examples {
		body, _, _ := strings.Cut(example, "```")
		if _, _, _, problems := Compile(context.Background(), []byte(body), specTopics{}); len(problems) > 0 {
			t.Errorf("%s%s", body, problems)
		}
	}
	if len(examples) < 2 {
		t.Errorf("the document has %d examples", len(examples))
	}
}
