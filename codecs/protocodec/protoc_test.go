package protocodec

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/dynamicpb"
)

// protocRules are the differences from C++ that are meant, by the reason that a record is
// refused for here and not there.
//
//   - A number of which 64 bits cannot hold all is refused, as by protobuf-go; C++ cuts it.
//   - Text that is not UTF-8 is refused in proto2 as well.
//
// And of a closed enum, a number without a name is that number here, as in protobuf-go,
// and in C++ a field that is not known: there is no vector of that.
var protocRules = []string{"a number of more than 64 bits", "not UTF-8"}

// TestVectorsOfProtoc has records that protoc 3.21 has read with the schemas of this
// package's tests (--decode), and rows as it writes them (--encode). A vector of
// testdata/protoc.golden is a line "decode SCHEMA HEX" or "encode SCHEMA HEX", and below it
// the text that it was read as, or "refused", or the row.
func TestVectorsOfProtoc(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/protoc.golden")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]*Message{"meaning": parse(t, meaningSchema), "sample": parse(t, sampleSchema)}
	read, refused, written := 0, 0, 0
	vectors := strings.Split(strings.ReplaceAll("\n"+string(text), "\nencode ", "\ndecode =encode "), "\ndecode ")
	for _, vector := range vectors[1:] {
		head, body, _ := strings.Cut(vector, "\n")
		what := strings.Fields(head)
		record := []byte{}
		if last := what[len(what)-1]; types[last] == nil {
			if record, err = hex.DecodeString(last); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case what[0] == "=encode":
			written++
			got, err := NewEncoder(types[what[1]]).AppendJSON(nil, []byte(strings.TrimSpace(body)))
			if err != nil || string(got) != string(record) {
				t.Errorf("%s\nis written as % x, %v", vector, got, err)
			}
		case strings.TrimSpace(body) == "refused":
			refused++
			if _, reason := decodeOne(t, types[what[0]], record, ""); reason == "" {
				t.Errorf("%s: accepted", head)
			}
		default:
			read++
			checkProtoc(t, types[what[0]], record, body)
		}
	}
	if read < 100 || refused < 20 || written < 20 {
		t.Errorf("%d records read, %d refused, %d written", read, refused, written)
	}
}

func checkProtoc(t *testing.T, m *Message, record []byte, text string) {
	t.Helper()
	cells, reason := decodeOne(t, m, record, "")
	if reason != "" {
		for _, rule := range protocRules {
			if strings.Contains(reason, rule) {
				return
			}
		}
		t.Errorf("% x: %s; protoc reads\n%s", record, reason, text)
		return
	}
	theirs := dynamicpb.NewMessage(byReference(t, m))
	if err := (prototext.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(withoutNumbers(text)), theirs); err != nil {
		t.Errorf("% x: %v: %s", record, err, text)
		return
	}
	if want := textOf(t, tree(theirs)); !sameText(cells[0].Str, want) {
		t.Errorf("% x\nis   %s\nwant %s", record, cells[0].Str, want)
	}
}

// withoutNumbers takes the fields that are not known, which protoc writes by their numbers,
// out of a text.
func withoutNumbers(text string) string {
	var b strings.Builder
	deep, skip := 0, -1 // brackets open, and those around what is left out
	for l := range strings.Lines(text) {
		trimmed := strings.TrimSpace(l)
		if skip < 0 && trimmed != "" && trimmed[0] >= '0' && trimmed[0] <= '9' {
			if strings.HasSuffix(trimmed, "{") {
				skip = deep
			} else {
				continue
			}
		}
		if strings.HasSuffix(trimmed, "{") {
			deep++
		}
		if skip < 0 {
			b.WriteString(l)
		}
		if trimmed == "}" {
			if deep--; deep == skip {
				skip = -1
			}
		}
	}
	return b.String()
}
