package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"go.yaml.in/yaml/v3"
)

// The forms of the output. Tables are for people and may change; json and yaml
// are what the server answered.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

func checkFormat(format string) error {
	switch format {
	case formatTable, formatJSON, formatYAML:
		return nil
	}
	return usage("-o has to be table, json or yaml, not %q", format)
}

// formatOf finds the form asked for on a command line that may not be readable to
// its end, so that the error about that has the right form too. Without one it is
// the first of the others that is a form.
func formatOf(args []string, others ...string) string {
	format := formatTable
	for _, other := range slices.Backward(others) {
		if checkFormat(other) == nil {
			format = other
		}
	}
	for i, arg := range args {
		value, found := strings.CutPrefix(arg, "--output=")
		switch {
		case found:
		case (arg == "-o" || arg == "--output") && i+1 < len(args):
			value = args[i+1]
		case strings.HasPrefix(arg, "-o"):
			value = strings.TrimPrefix(arg[2:], "=")
		default:
			continue
		}
		if checkFormat(value) == nil {
			format = value
		}
	}
	return format
}

// writeDocument writes one JSON document in a form for machines.
func writeDocument(w io.Writer, format string, body []byte) error {
	var out bytes.Buffer
	switch format {
	case formatYAML:
		node, err := yamlNode(body)
		if err != nil {
			return fmt.Errorf("turn the answer into YAML: %w", err)
		}
		encoder := yaml.NewEncoder(&out)
		encoder.SetIndent(2)
		if err := encoder.Encode(node); err != nil {
			return fmt.Errorf("turn the answer into YAML: %w", err)
		}
	default:
		if err := json.Indent(&out, body, "", "  "); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		out.WriteByte('\n')
	}
	_, err := w.Write(out.Bytes())
	return err
}

// writeItem writes one of a stream of documents: a line of JSON, or a YAML
// document of its own.
func writeItem(w io.Writer, format string, body []byte) error {
	if format == formatYAML {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return writeDocument(w, format, body)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	line.WriteByte('\n')
	_, err := w.Write(line.Bytes())
	return err
}

// answer prints what the server answered: the document itself, or a table made
// of it.
func (s *session) answer(body []byte, draw func(io.Writer) error) error {
	if s.format != formatTable {
		return writeDocument(s.out, s.format, body)
	}
	return draw(s.out)
}

// grid is a table on its way to the terminal.
type grid struct {
	header []string
	rows   [][]string
	right  map[int]bool // columns of numbers
}

// add appends a row; values are shown as fmt shows them, integers with their
// column to the right.
func (g *grid) add(values ...any) {
	row := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case int, int32, int64:
			g.alignRight(i)
			row[i] = fmt.Sprint(v)
		case nil:
			row[i] = "-"
		default:
			row[i] = fmt.Sprint(v)
		}
	}
	g.rows = append(g.rows, row)
}

func (g *grid) alignRight(column int) {
	if g.right == nil {
		g.right = make(map[int]bool)
	}
	g.right[column] = true
}

// write draws the table, its rows after indent.
func (g *grid) write(w io.Writer, indent string) error {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	header := make(table.Row, len(g.header))
	configs := make([]table.ColumnConfig, 0, len(g.header))
	for i, name := range g.header {
		header[i] = name
		if g.right[i] {
			configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(configs)
	for _, cells := range g.rows {
		row := make(table.Row, len(cells))
		for i, cell := range cells {
			row[i] = printable(cell)
		}
		t.AppendRow(row)
	}
	var out strings.Builder
	for line := range strings.Lines(t.Render() + "\n") {
		out.WriteString(indent + strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// printable makes text safe for a terminal and for one line: control characters
// are shown as escapes, so that a record cannot move the cursor.
func printable(cell string) string {
	clean := true
	for _, r := range cell {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			clean = false
			break
		}
	}
	if clean {
		return cell
	}
	var b strings.Builder
	for _, r := range cell {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
