package registry

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// The documents are read by the versions of Leat that come after this one:
// docs/formats/schemas.md.
func TestDocumentsGolden(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Limits{})
	d.formats = formats()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d.register("address", `{"type":"record","name":"Address","fields":[{"name":"city","type":"string"}]}`, 1, 1)
	d.register("person-value", `{"type":"record","name":"Person","fields":[{"name":"home","type":"Address"}]}`, 2, 1, Reference{"Address", "address", 1})
	d.register("orders/eu-key", `"string"`, 3, 1)
	_, err := d.Register(ctx, "events", Draft{Type: JSON, Text: `{"type": "object", "title": "<é>"}`})
	check(err)
	_, err = d.DeleteVersion(ctx, "orders/eu-key", 1, false)
	check(err)
	check(d.SetLevel(ctx, "", LevelFull))
	check(d.SetLevel(ctx, "events", LevelNone))
	check(d.SetMode(ctx, "orders/eu-key", Import, false))
	var b bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(d.docs.docs)) {
		b.WriteString(strings.ReplaceAll(key, "\x00", `\0`) + "\n\t")
		b.Write(d.docs.docs[key].Value)
		b.WriteByte('\n')
	}
	const path = "testdata/documents.golden"
	if *update {
		check(os.MkdirAll("testdata", 0o755))
		check(os.WriteFile(path, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	check(err)
	if b.String() != string(want) {
		t.Errorf("%s differs; got:\n%s", path, b.Bytes())
	}
}
