package avrocodec

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/internal/testenv"
)

// TestDecodeRandomRecords decodes random records of random schemas at random paths and
// looks for what was written into them.
func TestDecodeRandomRecords(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 1500 {
		text := randomSchema(r)
		schema := parse(t, text)
		records, trees := randomBatch(r, schema.root)
		paths := make([]codecs.Path, r.IntN(7))
		for k := range paths {
			paths[k] = randomPath(r, trees[r.IntN(len(trees))])
		}
		d, err := NewDecoder(schema, nil, paths)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var into codecs.Columns
		for range 2 {
			if bad := d.Decode(records, &into); len(bad) > 0 {
				t.Fatalf("%s: % x is refused: %v", text, records[bad[0].Row], bad[0].Reason)
			}
			for row := range records {
				for k, path := range paths {
					if got, want := into.Cols[k].Value(row), lookup(trees[row], path); !same(got, want) {
						t.Fatalf("%s: % x at %q: %v, want %v", text, records[row], path, got, want)
					}
				}
			}
		}
	}
}

func randomBatch(r *rand.Rand, root *node) (records [][]byte, trees []any) {
	for range 1 + r.IntN(4) {
		m := &recordMaker{r: r, plain: r.IntN(2) == 0}
		tree := m.value(root, 6)
		records, trees = append(records, m.b), append(trees, tree)
	}
	return records, trees
}

// everyWay makes decoders of one schema that ask for nothing, all, and parts.
func everyWay(t testing.TB, r *rand.Rand, schema *Schema, tree any) []*Decoder {
	t.Helper()
	ways := [][]codecs.Path{nil, {{}}, {randomPath(r, tree)}, {randomPath(r, tree), {}, randomPath(r, tree), randomPath(r, tree)}}
	var decoders []*Decoder
	for _, paths := range ways {
		d, err := NewDecoder(schema, nil, paths)
		if err != nil {
			t.Fatal(err)
		}
		decoders = append(decoders, d)
	}
	return decoders
}

// agree checks that all decoders find a record good or all bad, and returns which.
func agree(t testing.TB, decoders []*Decoder, record []byte) bool {
	t.Helper()
	first, reason := codecstest.One(decoders[0], record)
	_ = first
	for _, d := range decoders[1:] {
		if cells, other := codecstest.One(d, record); (other == "") != (reason == "") {
			t.Fatalf("% x: %q if nothing is asked for, %q otherwise", record, reason, other)
		} else if other != "" {
			for _, cell := range cells {
				if cell != (codecs.Value{}) {
					t.Fatalf("% x: %q, and a cell of %v", record, other, cell)
				}
			}
		}
	}
	return reason == ""
}

// TestTruncatedRecords: no proper prefix of a record is one, and none with more behind it.
func TestTruncatedRecords(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 300 {
		text := randomSchema(r)
		schema := parse(t, text)
		m := &recordMaker{r: r}
		tree := m.value(schema.root, 5)
		decoders := everyWay(t, r, schema, tree)
		for n := range min(len(m.b), 200) {
			if agree(t, decoders, bytes.Clone(m.b[:n])) {
				t.Fatalf("%s: the first %d bytes of % x are accepted", text, n, m.b)
			}
		}
		if agree(t, decoders, append(bytes.Clone(m.b), 0)) {
			t.Fatalf("%s: % x is accepted with a byte behind", text, m.b)
		}
	}
}

// TestDamagedRecords changes every byte of a record in turn. Whether the result is good
// does not depend on what is asked for.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 60 {
		schema := parse(t, randomSchema(r))
		m := &recordMaker{r: r}
		tree := m.value(schema.root, 4)
		decoders := everyWay(t, r, schema, tree)
		for i := range min(len(m.b), 100) {
			for _, c := range []byte{0, 1, 2, 0x7F, 0x80, 0xFF, m.b[i] ^ 1<<r.IntN(8), byte(r.Uint32())} {
				damaged := bytes.Clone(m.b)
				damaged[i] = c
				agree(t, decoders, damaged)
			}
		}
	}
}
