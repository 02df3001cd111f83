package jsoncodec

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"leat/codecs"
)

// The second reference is jsontext, which shares no code with encoding/json: RFC 8259 with
// UTF-8 and surrogates checked, as here. What it takes and is refused here:
//
//   - numbers beyond the range of float64, which it keeps as their text;
//   - nesting deeper than 512: it goes to 10,000.
//
// It refuses names that come twice unless it is told not to, and is told so but for
// ValidUnique, which has the same rule.

// referenceNode is a value as jsontext finds it.
type referenceNode struct {
	cell     codecs.Value
	members  map[string]*referenceNode // of an object; the last of a name
	elements []*referenceNode          // of an array
}

var (
	errReferenceRange = errors.New("a number out of range")
	errReferenceDepth = errors.New("nested more than 512 deep")
)

// byReference reads one value and nothing else.
func byReference(b []byte) (*referenceNode, error) {
	r := referenceReader{b, jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true))}
	n, rule := r.value(1)
	for rule != nil {
		// The rest has to be good all the same, so that the two agree on where they differ.
		switch _, err := r.ReadToken(); {
		case errors.Is(err, io.EOF):
			return nil, rule
		case err != nil:
			return nil, err
		}
	}
	if n == nil {
		return nil, io.ErrUnexpectedEOF
	}
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows")
	}
	return n, nil
}

type referenceReader struct {
	text []byte
	*jsontext.Decoder
}

// value reads a value. depth counts it, if it is an array or object.
func (r referenceReader) value(depth int) (*referenceNode, error) {
	token, err := r.ReadToken()
	if err != nil {
		return nil, err
	}
	from := r.InputOffset() - 1 // of a bracket
	switch kind := token.Kind(); kind {
	case '{', '[':
		if depth > 512 {
			return nil, errReferenceDepth
		}
		n := &referenceNode{members: map[string]*referenceNode{}}
		for r.PeekKind() != kind+2 { // the closing bracket
			name := ""
			if kind == '{' {
				if token, err = r.ReadToken(); err != nil {
					return nil, err
				}
				name = token.String()
			}
			inside, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.members[name] = inside
			n.elements = append(n.elements, inside)
		}
		if _, err := r.ReadToken(); err != nil {
			return nil, err
		}
		text := string(r.text[from:r.InputOffset()])
		if kind == '{' {
			n.cell, n.elements = codecs.ObjectValue(text), nil
		} else {
			n.cell, n.members = codecs.ArrayValue(text), nil
		}
		return n, nil
	case '"':
		return &referenceNode{cell: codecs.StringValue(token.String())}, nil
	case '0':
		return referenceNumber(token)
	case 'n':
		return &referenceNode{cell: codecs.NullValue()}, nil
	}
	return &referenceNode{cell: codecs.BoolValue(token.Bool())}, nil
}

func referenceNumber(token jsontext.Token) (*referenceNode, error) {
	if i, err := token.Int(); err == nil {
		return &referenceNode{cell: codecs.IntValue(i)}, nil
	}
	f, err := token.Float()
	if err != nil {
		return nil, errReferenceRange
	}
	return &referenceNode{cell: codecs.FloatValue(f)}, nil
}

// at is the cell at a path.
func (n *referenceNode) at(steps []codecs.Step) codecs.Value {
	for _, s := range steps {
		switch {
		case s.IsIndex && s.Index < len(n.elements):
			n = n.elements[s.Index]
		case !s.IsIndex && n.members[s.Member] != nil:
			n = n.members[s.Member]
		default:
			return codecs.Value{}
		}
	}
	return n.cell
}

// checkReference: jsontext takes a text if and only if it is taken here, but for the rules
// above, with and without names that come twice.
func checkReference(t testing.TB, b []byte, accepted bool) *referenceNode {
	t.Helper()
	n, err := byReference(b)
	if (err == nil) != accepted {
		t.Fatalf("%q: accepted %v, jsontext says %v", b, accepted, err)
	}
	if accepted {
		unique := jsontext.Value(b).IsValid()
		if got := ValidUnique(b) == nil; got != unique {
			t.Fatalf("%q: ValidUnique accepts %v, jsontext %v", b, got, unique)
		}
	}
	return n
}

// TestReference has the rules by which the two differ, and a text for each.
func TestReference(t *testing.T) {
	t.Parallel()
	for text, rule := range map[string]error{
		`{"a":[1,-1e400]}`: errReferenceRange,
		string(bytes.Repeat([]byte("["), 513)) + closing(513): errReferenceDepth,
	} {
		if _, err := byReference([]byte(text)); !errors.Is(err, rule) || Valid([]byte(text)) == nil {
			t.Errorf("%.20q: %v", text, err)
		}
		if !jsontext.Value(text).IsValid() {
			t.Errorf("%.20q: jsontext does not take it either", text)
		}
	}
	for _, c := range grammarCases {
		checkReference(t, []byte(c.text), c.name[0] == 'y')
	}
}

func closing(n int) string { return string(bytes.Repeat([]byte("]"), n)) }
