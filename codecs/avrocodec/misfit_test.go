package avrocodec

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/internal/testenv"
)

// TestOnlyWhatIsAskedFor: what no path leads to need not be what the reader's schema can
// take, wherever it is; what a path leads to is read as the reader's.
func TestOnlyWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	inner := func(fields string) string {
		return `{"type":"record","name":"I","fields":[` + fields + `]}`
	}
	var (
		written = inner(`{"name":"a","type":"string"},{"name":"n","type":"string"},{"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}},
			{"name":"u","type":{"type":"enum","name":"U","symbols":["P","Q"]}},{"name":"w","type":["string","int"]}`)
		read = inner(`{"name":"b","type":"bytes","aliases":["a"]},{"name":"n","type":"int"},{"name":"e","type":{"type":"enum","name":"E","symbols":["Z"],"default":"Z"}},
			{"name":"new","type":"string"},{"name":"u","type":{"type":"enum","name":"U","symbols":["P"]}},{"name":"w","type":"string"},{"name":"d","type":"long","default":7}`)
	)
	const row = `{"a":"x","n":"one","e":"Y","u":"Q","w":{"int":3}}`
	for _, c := range []struct{ around, row, path string }{
		{`%s`, row, "f."},
		{`["null",%s]`, row, "f."},
		{`["null","int",%s]`, row, "f."},
		{`{"type":"array","items":%s}`, "[" + row + "," + row + "]", "f[1]."},
		{`{"type":"map","values":%s}`, `{"l":` + row + `,"k":` + row + "}", "f.k."},
		{`{"type":"record","name":"O","fields":[{"name":"i","type":%s}]}`, `{"i":` + row + `}`, "f.i."},
		{`{"type":"array","items":["null",{"type":"map","values":{"type":"array","items":%s}}]}`, `[null,{"k":[` + row + `]}]`, "f[1].k[0]."},
	} {
		w, r := parse(t, fieldSchema(fmt.Sprintf(c.around, written))), parse(t, fieldSchema(fmt.Sprintf(c.around, read)))
		record, err := NewEncoder(w).AppendJSON(nil, []byte(`{"f":`+c.row+`}`))
		if err != nil {
			t.Fatal(err)
		}
		fits := codecstest.Paths(t, c.path+"b", c.path+"e", c.path+"d")
		fitting, misfits, err := NewFittingDecoder(w, r, fits)
		if err != nil || len(misfits) > 0 {
			t.Errorf("%s: %v, %v", c.path, misfits, err)
		}
		strict, err := NewDecoder(w, r, fits)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		for _, d := range []*Decoder{strict, fitting} {
			cells, reason := codecstest.One(d, record)
			if want := []codecs.Value{codecs.BytesValue("x"), codecs.StringValue("Z"), codecs.IntValue(7)}; reason != "" || !slices.Equal(cells, want) {
				t.Errorf("%s is %v (%s), want %v", c.path, cells, reason, want)
			}
		}
		// What does not fit is read as it is written, and all that fits as before.
		all := append(fits, codecstest.Paths(t, c.path+"n", c.path+"new")...)
		if _, err := NewDecoder(w, r, all); err == nil && !strings.Contains(c.around, "null") {
			t.Errorf("%s: a string is read as an int", c.path)
		}
		fitting, misfits, err = NewFittingDecoder(w, r, all)
		if err != nil || len(misfits) != 2 || misfits[0] != `field "n" of I: string cannot be read as int` ||
			misfits[1] != `I as written has no field "new", and the field has no default` {
			t.Errorf("%s: %q, %v", c.path, misfits, err)
		}
		cells, reason := codecstest.One(fitting, record)
		if want := []codecs.Value{codecs.BytesValue("x"), codecs.StringValue("Z"), codecs.IntValue(7), codecs.StringValue("one"), {}}; reason != "" || !slices.Equal(cells, want) {
			t.Errorf("%s is %v (%s), want %v", c.path, cells, reason, want)
		}
		// Values without a place refuse the records in which they are asked for.
		for _, path := range []string{c.path + "u", c.path + "w", c.path[:len(c.path)-1]} {
			fitting, _, err = NewFittingDecoder(w, r, codecstest.Paths(t, path))
			if err != nil {
				t.Fatal(err)
			}
			if _, reason := codecstest.One(fitting, record); reason == "" {
				t.Errorf("%s: a value without a place is read", path)
			}
		}
	}
}

// TestFitting has types whose records never fit as they are.
func TestFitting(t *testing.T) {
	t.Parallel()
	const recursive = `{"type":"record","name":"N","fields":[{"name":"v","type":"%s"},{"name":"next","type":["null","N"]},{"name":"was","type":"%s"}]}`
	for _, c := range []struct{ writer, reader, row, path, misfits, want string }{
		{`{"type":"record","name":"R","fields":[{"name":"f","type":"long"}]}`, `{"type":"record","name":"S","fields":[{"name":"g","type":"long","aliases":["f"]}]}`,
			`{"f":1}`, "f", `the record "R" cannot be read as "S", which does not have that name as an alias`, "int 1"},
		{`{"type":"record","name":"R","fields":[{"name":"f","type":"long"}]}`, `{"type":"record","name":"R","fields":[{"name":"g","type":"int","aliases":["f"]}]}`,
			`{"f":5000000000}`, "g", `field "f" of R: long cannot be read as int`, "int 5000000000"},
		{`{"type":"record","name":"R","fields":[{"name":"f","type":"long"}]}`, `{"type":"record","name":"R","fields":[{"name":"f","type":"int"},{"name":"new","type":"int"},{"name":"d","type":"int","default":3}]}`,
			`{"f":1}`, "", `field "f" of R: long cannot be read as int; R as written has no field "new", and the field has no default`, `object {"f":1,"d":3}`},
		{fmt.Sprintf(recursive, "long", "string"), fmt.Sprintf(recursive, "int", "int"),
			`{"v":1,"next":{"v":2,"next":{"v":3,"next":null,"was":"c"},"was":"b"},"was":"a"}`, "next.next.v", `field "v" of N: long cannot be read as int`, "int 3"},
		{fmt.Sprintf(recursive, "int", "string"), fmt.Sprintf(recursive, "double", "int"),
			`{"v":1,"next":{"v":2,"next":{"v":3,"next":null,"was":"c"},"was":"b"},"was":"a"}`, "next.next.v", ``, "float 3"},
		{fmt.Sprintf(recursive, "int", "string"), fmt.Sprintf(recursive, "double", "int"),
			`{"v":1,"next":{"v":2,"next":null,"was":"b"},"was":"a"}`, "next", `field "was" of N: string cannot be read as int`, `object {"v":2,"next":null,"was":"b"}`},
		// The branch of a union is the one that all of the record fits, if there is one.
		{`{"type":"record","name":"R","fields":[{"name":"f","type":{"type":"record","name":"w.A","fields":[{"name":"x","type":"int"}]}}]}`,
			`{"type":"record","name":"R","fields":[{"name":"f","type":[{"type":"record","name":"r.A","fields":[{"name":"x","type":"long"},{"name":"y","type":"int"}]},
				{"type":"record","name":"s.A","fields":[{"name":"x","type":"double"}]}]}]}`,
			`{"f":{"x":1}}`, "f.x", ``, "float 1"},
		{`{"type":"record","name":"R","fields":[{"name":"f","type":{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"y","type":"string"}]}}]}`,
			`{"type":"record","name":"R","fields":[{"name":"f","type":["null",{"type":"record","name":"A","fields":[{"name":"x","type":"double"},{"name":"y","type":"int"}]}]}]}`,
			`{"f":{"x":1,"y":"z"}}`, "f.x", ``, "float 1"},
		{`{"type":"record","name":"R","fields":[{"name":"f","type":{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"y","type":"string"}]}}]}`,
			`{"type":"record","name":"R","fields":[{"name":"f","type":["null",{"type":"record","name":"A","fields":[{"name":"x","type":"double"},{"name":"y","type":"int"}]}]}]}`,
			`{"f":{"x":1,"y":"z"}}`, "f", `field "y" of A: string cannot be read as int`, `object {"x":1,"y":"z"}`},
	} {
		w, r := parse(t, c.writer), parse(t, c.reader)
		record, err := NewEncoder(w).AppendJSON(nil, []byte(c.row))
		if err != nil {
			t.Fatal(err)
		}
		d, misfits, err := NewFittingDecoder(w, r, codecstest.Paths(t, c.path))
		if got := strings.Join(misfits, "; "); err != nil || got != c.misfits {
			t.Errorf("%s as %s at %q: %q, want %q, %v", c.writer, c.reader, c.path, got, c.misfits, err)
			continue
		}
		cells, reason := codecstest.One(d, record)
		if got := fmt.Sprintf("%v %s", cells[0].Kind, codecs.AppendJSON(nil, cells[0])); reason != "" || got != c.want {
			t.Errorf("%s as %s at %q: %s (%s), want %s", c.writer, c.reader, c.path, got, reason, c.want)
		}
	}
}

// TestPartsReadTheSame: where all of a writer's schema fits, a path leads to the same
// whether all is asked for or the path alone.
func TestPartsReadTheSame(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	found := 0
	for range 1500 {
		w := parse(t, randomSchema(r))
		readerText := readerOf(&schemaMaker{r: r, count: 1000}, w.root, map[*node]bool{})
		reader := parse(t, readerText)
		if _, err := NewDecoder(w, reader, []codecs.Path{{}}); err != nil {
			continue
		}
		records, trees := randomBatch(r, w.root)
		for i, record := range records {
			paths := []codecs.Path{randomPath(r, trees[i]), randomPath(r, trees[i])}
			whole, err := NewDecoder(w, reader, append([]codecs.Path{{}}, paths...))
			if err != nil {
				t.Fatal(err)
			}
			want, refused := codecstest.One(whole, record)
			part, misfits, err := NewFittingDecoder(w, reader, paths)
			if err != nil || len(misfits) > 0 {
				t.Fatalf("%s at %v: %v, %v", readerText, paths, misfits, err)
			}
			got, reason := codecstest.One(part, record)
			if refused != "" {
				continue // perhaps for what is not asked for
			}
			if reason != "" || !same(got[0], want[1]) || !same(got[1], want[2]) {
				t.Fatalf("%s as %s at %v: %v, want %v (%s)", w.Canonical(), readerText, paths, got, want[1:], reason)
			}
			if want[1].Kind != codecs.Missing {
				found++
			}
		}
	}
	if found < 500 {
		t.Errorf("%d cells: too few to mean anything", found)
	}
}
