package avrocodec

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	twmb "github.com/twmb/avro"

	"leat/codecs"
	"leat/codecs/codecstest"
)

// FuzzDecode decodes any bytes with a schema that the seed makes: the same records are
// good whatever is asked for, twmb/avro agrees, and so does hamba/avro with records that
// are good.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 1))
		root := parse(f, randomSchema(r)).root
		m := &recordMaker{r: r}
		m.value(root, 5)
		f.Add(seed, m.b)
	}
	f.Add(uint64(3), []byte("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"))
	f.Fuzz(func(t *testing.T, seed uint64, record []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := randomSchema(r)
		schema := parse(t, text)
		tree := (&recordMaker{r: r}).value(schema.root, 5)
		good := agree(t, everyWay(t, r, schema, tree), record)
		if len(record) > 1<<12 {
			return
		}
		if checkTwmb(t, text, schema, twmb.MustParse(text), record) != good {
			t.Fatalf("%s: % x is good once and bad once", text, record)
		}
		if good {
			cells, _ := decodeOne(t, text, record, "")
			if want := cellOf(byHamba(t, text, schema.root, record)); codecs.Compare(cells[0], want) != 0 {
				t.Fatalf("%s: % x is %s, hamba reads %s", text, record, cells[0].Str, want.Str)
			}
		}
	})
}

// FuzzSchema parses any text: what is accepted has a canonical form that is accepted and
// is its own canonical form.
func FuzzSchema(f *testing.F) {
	for _, c := range apacheSchemas {
		f.Add(c.input)
	}
	f.Add(codecstest.RowsAvro)
	f.Add(`{"type":"record","name":"R","fields":[{"name":"a","type":["null","R"],"default":null},{"name":"b","type":{"type":"fixed","name":"F","size":3},"default":"\u00ff\u0000a"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchema(text, nil)
		if err != nil {
			return
		}
		again, err := ParseSchema(s.Canonical(), nil)
		if err != nil {
			if nullNamespaceInside(s.root) {
				return // the canonical form cannot say that a name has no namespace
			}
			t.Fatalf("%s: the canonical form %s is refused: %v", text, s.Canonical(), err)
		}
		if !nullNamespaceInside(s.root) && (again.Canonical() != s.Canonical() || again.Fingerprint() != s.Fingerprint()) {
			t.Fatalf("%s: canonical form %s, and of that %s", text, s.Canonical(), again.Canonical())
		}
		if _, err := s.TypeOf(codecs.Path{}); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}

// nullNamespaceInside reports whether a schema has types with and without a namespace.
func nullNamespaceInside(root *node) bool {
	with, without := false, false
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if n.name != "" {
			bare := unqualified(n.name) == n.name
			with, without = with || !bare, without || bare
		}
		for _, c := range n.children() {
			visit(c)
		}
	}
	visit(root)
	return with && without
}

// FuzzEncode encodes any JSON text: what is accepted is a good record, and means what the
// text means where the schema leaves no choice.
func FuzzEncode(f *testing.F) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		root := parse(f, randomSchema(r)).root
		f.Add(seed, jsonOf(nil, (&recordMaker{r: r}).value(root, 5)))
	}
	f.Fuzz(func(t *testing.T, seed uint64, row []byte) {
		text := randomSchema(rand.New(rand.NewPCG(seed, 1)))
		record, err := NewEncoder(parse(t, text)).AppendJSON(nil, row)
		if err != nil {
			return
		}
		cells, reason := decodeOne(t, text, record, "")
		if reason != "" || !json.Valid([]byte(cells[0].Str)) {
			t.Fatalf("%s: %s becomes % x: %s, %q", text, row, record, cells[0].Str, reason)
		}
	})
}
