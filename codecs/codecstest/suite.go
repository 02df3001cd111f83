// Package codecstest holds the contract that the decoders of all formats keep: the same
// rows, written in each format, have the same cells at the same paths.
package codecstest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"leat/codecs"
)

// Format is a format under test. Its sample schema has the members of Rows:
//
//	id string, ts int64, amount double, qty int32, paid bool, note string or absent,
//	address {city string, zip string or absent, geo {lat double, lon double}},
//	lines list of {sku string, price double, count int64, tags list of string},
//	attributes map of int64, status enum of OPEN and CLOSED, at time in epoch ms,
//	either card string or cash int64 or neither of them
type Format struct {
	// Decoder makes a decoder of records of the sample schema.
	Decoder func(t testing.TB, paths []codecs.Path) codecs.Decoder
	// Encode makes a record of a row that is given as JSON text.
	Encode func(t testing.TB, row string) []byte
	// Absent is the kind of a cell whose member the row leaves out: Missing or Null.
	Absent codecs.Kind
	// Bad are records that are not of the format.
	Bad [][]byte
}

// RowsAvro is the sample schema in Avro.
const RowsAvro = `{"type":"record","name":"Order","namespace":"shop","fields":[
	{"name":"id","type":"string"},{"name":"ts","type":"long"},{"name":"amount","type":"double"},{"name":"qty","type":"int"},
	{"name":"paid","type":"boolean"},{"name":"note","type":["null","string"],"default":null},
	{"name":"address","type":{"type":"record","name":"Address","fields":[{"name":"city","type":"string"},
		{"name":"zip","type":["string","null"]},
		{"name":"geo","type":{"type":"record","name":"Geo","fields":[{"name":"lat","type":"double"},{"name":"lon","type":"double"}]}}]}},
	{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"},
		{"name":"price","type":"double"},{"name":"count","type":"long"},{"name":"tags","type":{"type":"array","items":"string"}}]}}},
	{"name":"attributes","type":{"type":"map","values":"long"}},
	{"name":"status","type":{"type":"enum","name":"Status","symbols":["OPEN","CLOSED"]}},{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"card","type":["null","string"],"default":null},{"name":"cash","type":["null","long"],"default":null}]}`

// Rows are the rows that every format is tried with.
func Rows() []string {
	return []string{
		`{"id":"o-1","ts":1700000000000,"amount":12.5,"qty":3,"paid":true,"note":"fragile","address":{"city":"Köln","zip":"50667",` +
			`"geo":{"lat":50.9375,"lon":6.96}},"lines":[{"sku":"A","price":1.5,"count":2,"tags":["x","y"]},` +
			`{"sku":"B","price":0.25,"count":9007199254740993,"tags":[]}],"attributes":{"weight":7,"":0,"odd key":-1},` +
			`"status":"OPEN","at":1700000000123,"cash":9007199254740993}`,
		`{"id":"","ts":-9223372036854775808,"amount":-0.0,"qty":-2147483648,"paid":false,"address":{"city":"",` +
			`"geo":{"lat":1e300,"lon":5e-324}},"lines":[],"attributes":{},"status":"CLOSED","at":-1,"card":""}`,
		`{"id":"a \"quoted\"\n text of more than a few words, \u20ac and 😀","ts":9223372036854775807,"amount":0.1,"qty":2147483647,` +
			`"paid":true,"note":"","address":{"city":"x","zip":"","geo":{"lat":0.5,"lon":-0.5}},"lines":[{"sku":"only","price":3.0,` +
			`"count":-1,"tags":["one"]}],"attributes":{"weight":9223372036854775807},"status":"OPEN","at":0}`,
	}
}

// paths lead to all members, through one another, beyond the ends, and nowhere.
func paths(t testing.TB) []codecs.Path {
	t.Helper()
	return Paths(t,
		"id", "ts", "amount", "qty", "paid", "note", "address", "address.city", "address.zip", "address.geo", "address.geo.lat",
		"address.geo.lon", "lines", "lines[0]", "lines[0].sku", "lines[1].count", "lines[1].price", "lines[0].tags", "lines[0].tags[1]",
		"lines[7].sku", "lines[0].tags[7]", "attributes", "attributes.weight", `attributes[""]`, `attributes["odd key"]`, "attributes.none",
		"id.x", "id[0]", "address[0]", "address.city.x", "lines.sku", "lines[0][0]", "attributes.weight.x", "ts", "lines[0].sku",
		"status", "at", "card", "cash", "status.x", "at.seconds", "")
}

// Run checks that a format keeps the contract.
func Run(t *testing.T, f Format) {
	t.Run("paths", func(t *testing.T) { checkPaths(t, f) })
	t.Run("subsets", func(t *testing.T) { checkSubsets(t, f) })
	t.Run("bad rows", func(t *testing.T) { checkBadRows(t, f) })
	t.Run("batches", func(t *testing.T) { checkBatches(t, f) })
	t.Run("views", func(t *testing.T) { checkViews(t, f) })
	t.Run("nothing", func(t *testing.T) { checkNothing(t, f) })
	t.Run("allocations", func(t *testing.T) { checkAllocations(t, f) })
}

func records(t testing.TB, f Format) [][]byte {
	t.Helper()
	var all [][]byte
	for _, row := range Rows() {
		all = append(all, f.Encode(t, row))
	}
	return all
}

// expect compares row r of a batch with what the row number k says at the paths.
func expect(t testing.TB, f Format, into *codecs.Columns, r, k int, paths []codecs.Path) {
	t.Helper()
	for col, p := range paths {
		want, got := lookup(t, f, Rows()[k], p), into.Cols[col].Value(r)
		if !same(got, want) {
			t.Errorf("row %d at %q is %s, want %s", k, p, show(got), show(want))
		}
	}
}

func checkPaths(t *testing.T, f Format) {
	paths := paths(t)
	var into codecs.Columns
	if bad := f.Decoder(t, paths).Decode(records(t, f), &into); len(bad) > 0 {
		t.Fatalf("row %d is refused: %s", bad[0].Row, bad[0].Reason)
	}
	if into.Rows != len(Rows()) || len(into.Cols) != len(paths) {
		t.Fatalf("%d rows and %d columns, want %d and %d", into.Rows, len(into.Cols), len(Rows()), len(paths))
	}
	for k := range Rows() {
		expect(t, f, &into, k, k, paths)
	}
}

// checkSubsets: a cell does not depend on what else is asked for.
func checkSubsets(t *testing.T, f Format) {
	all := paths(t)
	batch := records(t, f)
	for from := range all {
		subset := []codecs.Path{all[from], all[(from*7+3)%len(all)], all[(from*5+1)%len(all)]}
		slices.SortFunc(subset, func(a, b codecs.Path) int { return strings.Compare(b.String(), a.String()) })
		for width := range len(subset) + 1 {
			var into codecs.Columns
			if bad := f.Decoder(t, subset[:width]).Decode(batch, &into); len(bad) > 0 {
				t.Fatalf("%q: row %d is refused: %s", subset[:width], bad[0].Row, bad[0].Reason)
			}
			for k := range Rows() {
				expect(t, f, &into, k, k, subset[:width])
			}
		}
	}
}

// checkBadRows: bad rows are named in order, have no cells, hurt no others, and are the
// same whatever is asked for.
func checkBadRows(t *testing.T, f Format) {
	if len(f.Bad) == 0 {
		t.Fatal("no bad records to try")
	}
	good := records(t, f)
	var batch [][]byte
	var isBad []bool
	for k, bad := range f.Bad {
		batch = append(batch, good[k%len(good)], bad, bad)
		isBad = append(isBad, false, true, true)
	}
	all := paths(t)
	for _, paths := range [][]codecs.Path{nil, all[:1], all[len(all)-1:], all} {
		var into codecs.Columns
		errors := f.Decoder(t, paths).Decode(batch, &into)
		for row := range batch {
			if !isBad[row] {
				expect(t, f, &into, row, row/3%len(good), paths)
				continue
			}
			if len(errors) == 0 || errors[0].Row != row {
				t.Fatalf("%d paths: the next refused row is %v, want row %d: %q", len(paths), errors, row, batch[row])
			}
			if reason := errors[0].Reason; reason == "" || strings.ContainsAny(reason, "\n\r") {
				t.Errorf("row %d: the reason %q is not one line", row, reason)
			}
			errors = errors[1:]
			for col := range into.Cols {
				if got := into.Cols[col].Value(row); got != (codecs.Value{}) {
					t.Errorf("the bad row %d has %s at %q", row, show(got), paths[col])
				}
			}
		}
		if len(errors) > 0 {
			t.Errorf("good rows are refused: %v", errors)
		}
	}
}

// checkBatches: nothing of a batch is left in the next.
func checkBatches(t *testing.T, f Format) {
	all := paths(t)
	d := f.Decoder(t, all)
	good := records(t, f)
	var into codecs.Columns
	for round, batch := range [][]int{{0, 1, 2, 0, 1, 2}, {1}, {}, {2, 1}, {1, 1, 1, 1, 1, 1, 1, 1}, {0}} {
		var values [][]byte
		for _, k := range batch {
			values = append(values, good[k])
		}
		if round%2 == 1 {
			values = append(values, f.Bad[0])
		}
		errors := d.Decode(values, &into)
		if into.Rows != len(values) || len(errors) != round%2 {
			t.Fatalf("round %d: %d rows and %d errors, want %d and %d", round, into.Rows, len(errors), len(values), round%2)
		}
		for row, k := range batch {
			expect(t, f, &into, row, k, all)
		}
	}
}

// checkViews: the records stay as they are, and the cells until the next batch.
func checkViews(t *testing.T, f Format) {
	all := paths(t)
	d := f.Decoder(t, all)
	var batch, before [][]byte
	for i := range 300 {
		record := f.Encode(t, Rows()[i%len(Rows())])
		batch, before = append(batch, record), append(before, slices.Clone(record))
	}
	var into codecs.Columns
	d.Decode(batch, &into)
	for i := range batch {
		if !slices.Equal(batch[i], before[i]) {
			t.Fatalf("record %d has been written to", i)
		}
		expect(t, f, &into, i, i%len(Rows()), all)
	}
}

// checkNothing: a batch may have no rows, and a record no bytes.
func checkNothing(t *testing.T, f Format) {
	d := f.Decoder(t, paths(t))
	var into codecs.Columns
	if bad := d.Decode(nil, &into); len(bad) > 0 || into.Rows != 0 {
		t.Errorf("an empty batch has %d rows and errors %v", into.Rows, bad)
	}
	bad := d.Decode([][]byte{nil, nil}, &into)
	if into.Rows != 2 || len(bad) != 0 && len(bad) != 2 {
		t.Errorf("two records without bytes: %d rows, errors %v", into.Rows, bad)
	}
}

// checkAllocations: scalars cost no memory once the batch has been as large.
func checkAllocations(t *testing.T, f Format) {
	all := paths(t)[:6]
	d := f.Decoder(t, all)
	var batch [][]byte
	for i := range 64 {
		batch = append(batch, f.Encode(t, Rows()[i%len(Rows())]))
	}
	var into codecs.Columns
	d.Decode(batch, &into)
	if n := testing.AllocsPerRun(20, func() { d.Decode(batch, &into) }); n > 0 {
		t.Errorf("%v allocations for a batch of %d rows", n, len(batch))
	}
}

func show(v codecs.Value) string { return fmt.Sprintf("%s %s", v.Kind, codecs.AppendJSON(nil, v)) }
