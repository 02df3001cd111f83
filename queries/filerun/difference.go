package filerun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Difference is where what a query has put out and what it should differ: after the
// lines that are equal at the beginning, and before those that are at the end. Line is
// the number, from 1, of the first line that differs, the same on both sides.
type Difference struct {
	Log      string   `json:"log"`  // results, late or dead_letters
	File     string   `json:"file"` // with the expected lines
	Line     int      `json:"line"`
	Expected []string `json:"expected"`
	Actual   []string `json:"actual"`
}

// differ compares lines, without regard for space between the parts of their JSON. It
// returns nil where they are equal.
func differ(expected, actual [][]byte) *Difference {
	same := func(a, b []byte) bool { return bytes.Equal(a, b) || bytes.Equal(compact(a), compact(b)) }
	begin := 0
	for begin < len(expected) && begin < len(actual) && same(expected[begin], actual[begin]) {
		begin++
	}
	if begin == len(expected) && begin == len(actual) {
		return nil
	}
	expected, actual = expected[begin:], actual[begin:]
	for len(expected) > 0 && len(actual) > 0 && same(expected[len(expected)-1], actual[len(actual)-1]) {
		expected, actual = expected[:len(expected)-1], actual[:len(actual)-1]
	}
	return &Difference{Line: begin + 1, Expected: texts(expected), Actual: texts(actual)}
}

func compact(line []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, line) != nil {
		return line
	}
	return b.Bytes()
}

func texts(lines [][]byte) []string {
	list := make([]string, len(lines))
	for i, line := range lines {
		list[i] = string(line)
	}
	return list
}

// shownLines is how many lines of each side Write shows.
const shownLines = 5

// Write shows the difference for people, the first lines of it.
func (d *Difference) Write(w io.Writer, indent string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s, line %d: %d expected, %d put out\n", indent, d.File, d.Line, len(d.Expected), len(d.Actual))
	for _, side := range []struct {
		sign  string
		lines []string
	}{{"-", d.Expected}, {"+", d.Actual}} {
		for i, line := range side.lines {
			if i == shownLines {
				fmt.Fprintf(&b, "%s  %s … %d more\n", indent, side.sign, len(side.lines)-i)
				break
			}
			fmt.Fprintf(&b, "%s  %s %s\n", indent, side.sign, line)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// splitRows splits a file of rows into its lines, without the blank ones.
func splitRows(text []byte) [][]byte {
	rows := bytes.Split(text, []byte{'\n'})
	for i := range rows {
		rows[i] = bytes.TrimSpace(rows[i])
	}
	return slices.DeleteFunc(rows, func(row []byte) bool { return len(row) == 0 })
}
