package examples

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"leat/codecs/avrocodec"
	"leat/queries/filerun"
)

const orders = "orders"

// TestOrders runs the cases as "leat query test examples/orders" does; README.md has a row
// for each.
func TestOrders(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := filerun.FindCases([]string{orders}, nil)
	if err != nil || len(cases) < 3 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	for i := range cases {
		r := cases[i].Run(t.Context(), stillClock{}, false)
		if r.Err != nil || r.Rows.Out == 0 {
			t.Errorf("%s: %d rows: %v", r.Name, r.Rows.Out, r.Err)
		}
		for _, d := range r.Differences {
			var text strings.Builder
			if err := d.Write(&text, ""); err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s: %s", r.Name, &text)
		}
		if link := fmt.Sprintf("| [`%s`](orders/%s.json) |", r.Name, r.Name); !strings.Contains(string(readme), link) {
			t.Errorf("README.md has no row %q", link)
		}
	}
}

// TestOrdersFile: orders.avro holds the rows of orders.ndjson in the schema order.avsc.
func TestOrdersFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(orders + "/order.avsc")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile(orders + "/orders.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := avrocodec.ParseSchema(string(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := avrocodec.NewContainerWriter(&file, string(text), [16]byte{'o', 'r', 'd', 'e', 'r', 's'})
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	encoder := avrocodec.NewEncoder(schema)
	for rows := bufio.NewScanner(bytes.NewReader(lines)); rows.Scan(); {
		record, err := encoder.AppendJSON(nil, rows.Bytes())
		if err == nil {
			err = w.Append(record)
		}
		if err != nil {
			t.Fatalf("%s: %v", rows.Bytes(), err)
		}
		want = append(want, record)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	const name = orders + "/orders.avro"
	if *update {
		if err := os.WriteFile(name, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	is, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer is.Close()
	r, err := avrocodec.NewContainerReader(is)
	if err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	for {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, bytes.Clone(record))
	}
	if r.Text() != strings.TrimSpace(string(text)) || len(got) == 0 || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s is not made of orders.ndjson and order.avsc; run the test with -update", name)
	}
}
