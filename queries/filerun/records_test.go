package filerun

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"leat/codecs/avrocodec"
	"leat/queries"
)

const (
	fileSchema = `{"type":"record","name":"R","fields":[{"name":"k","type":"string"},{"name":"v","type":"int"}]}`
	readSchema = `{"type":"record","name":"R","fields":[{"name":"key","type":"string","aliases":["k"]},{"name":"v","type":"double"},{"name":"w","type":"int","default":7}]}`
)

// containerOf is a container file of rows in JSON.
func containerOf(t *testing.T, rows ...string) []byte {
	t.Helper()
	schema, err := avrocodec.ParseSchema(fileSchema, nil)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := avrocodec.NewContainerWriter(&file, fileSchema, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	e := avrocodec.NewEncoder(schema)
	for _, row := range rows {
		record, err := e.AppendJSON(nil, []byte(row))
		if err == nil {
			err = w.Append(record)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// fileRows are the result rows of a spec over one file.
func fileRows(t *testing.T, spec string, file []byte, base64 bool) ([]string, error) {
	t.Helper()
	var rows []string
	_, err := Run(t.Context(), Config{
		Spec: []byte(spec), Clock: stillClock{}, Partitions: 2,
		Inputs: []Input{{Base64: base64, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }}},
		Output: queries.LocalOutput{Results: func(row []byte) error {
			rows = append(rows, string(row))
			return nil
		}},
	})
	return rows, err
}

// TestRunOverContainers: a container file is read by its own schema and as that of the
// spec, whole or packed, and what is wrong with it ends the run.
func TestRunOverContainers(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf(`{"k":"k%d","v":%d}`, i%3, i))
	}
	file := containerOf(t, lines...)
	sums := []string{`{"k":"k0","n":1667,"s":4165833}`, `{"k":"k1","n":1667,"s":4167500}`, `{"k":"k2","n":1666,"s":4164167}`}
	spec := func(source string, more string) string {
		return `{"name":"q","source":{"topic":"in"` + source + `},` + more + `}`
	}
	grouped := `"group_by":["k"],"window":{"tumbling":"1h"},"aggregate":{"n":"count()","s":"sum(v)"},"select":{"k":"k","n":"n","s":"s"}`
	for _, c := range []struct {
		name, spec string
		file       []byte
		want       []string
		err        string
	}{
		{"plain", spec("", grouped), file, sums, ""},
		{"packed", spec("", grouped), zip(t, string(file)), sums, ""},
		{"a subject, which nobody knows here", spec(`,"format":"avro","schema":"in-value:3"`, grouped), file, sums, ""},
		{"with a sink", spec("", grouped+`,"sink":{"topic":"out","format":"protobuf"}`), file, sums, ""},
		{"as another schema", spec(`,"schema":`+readSchema, `"filter":"v > 4998.0","select":{"key":"key","v":"v","w":"w"}`), file, []string{`{"key":"k1","v":4999,"w":7}`}, ""},
		{"a field that is not there", spec("", `"filter":"x > 1"`), file, nil, `no field "x" in the schema`},
		{"another format", spec(`,"format":"protobuf"`, grouped), file, nil, `the format is "protobuf", and the schema of the file is one of "avro"`},
		{"another format with a schema", spec(`,"schema":"syntax = \"proto3\"; message R { string k = 1; int64 v = 2; }"`, grouped), file, nil, `the file is one of "avro"`},
		{"cut short", spec("", grouped), file[:len(file)-100], nil, "cut short"},
		{"a broken head", spec("", grouped), file[:30], nil, `open the input of topic "in": the head of the Avro container file`},
	} {
		got, err := fileRows(t, c.spec, c.file, false)
		if c.err == "" && (err != nil || !slices.Equal(got, c.want)) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, %q, want %q %s", c.name, err, got, c.want, c.err)
		}
	}
}

// TestRunWarns: what of a file is read otherwise than the schema of the spec says is told.
func TestRunWarns(t *testing.T) {
	t.Parallel()
	schema := strings.Replace(readSchema, `"double"`, `"boolean"`, 1)
	for path, want := range map[string]string{
		"key": "",
		"v":   `topic "in": the schema of the file is read as it is written where it does not fit the schema of the spec: field "v" of R: int cannot be read as boolean`,
	} {
		var warned queries.Warnings
		_, err := Run(t.Context(), Config{
			Spec: []byte(`{"name":"q","source":{"topic":"in","schema":` + schema + `},"select":{"x":"` + path + `"}}`), Clock: stillClock{},
			Inputs: []Input{{Open: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(containerOf(t, `{"k":"a","v":1}`))), nil
			}}},
			Output: queries.LocalOutput{Warned: func(w queries.Warnings) { warned = w }},
		})
		if got := strings.Join(warned, "; "); err != nil || got != want {
			t.Errorf("%s: %q, want %q, %v", path, got, want, err)
		}
	}
}

// TestRunOverBase64 reads binary records, one a line.
func TestRunOverBase64(t *testing.T) {
	t.Parallel()
	spec := `{"name":"q","source":{"topic":"in","schema":` + fileSchema + `}}`
	got, err := fileRows(t, spec, []byte("AmEC\nAmIE\n"), true)
	if want := []string{`{"k":"a","v":1}`, `{"k":"b","v":2}`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %q", err, got)
	}
	if _, err := fileRows(t, spec, []byte("AmEC\n*\n"), true); err == nil || !strings.Contains(err.Error(), "line 2: illegal base64 data") {
		t.Error(err)
	}
}
