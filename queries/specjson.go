package queries

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/internal/fault"
)

// MaxSpecBytes is the longest query spec that is read.
const MaxSpecBytes = 1 << 20

// document is a JSON text as a tree that knows where everything was written.
type document struct {
	text []byte
	root *jsonNode
}

// jsonNode is one value of a document. Names of an object's members need not be
// unique: the reader reports repetitions and keeps the first.
type jsonNode struct {
	kind      codecs.Kind // Null, Bool, Int, Float, String, Object or Array
	value     codecs.Value
	children  []*jsonNode // members or elements, as written
	parent    *jsonNode
	name      string // of a member
	index     int    // of an element
	start     int    // offset of the value
	nameStart int    // offset of the member's name; of the value where it has none
}

// member finds the member of an object, nil where there is none.
func (n *jsonNode) member(name string) *jsonNode {
	if n == nil || n.kind != codecs.Object {
		return nil
	}
	for _, m := range n.children {
		if m.name == name {
			return m
		}
	}
	return nil
}

// pointer is the RFC 6901 pointer of n.
func (n *jsonNode) pointer() string {
	if n.parent == nil {
		return ""
	}
	token := strconv.Itoa(n.index)
	if n.parent.kind == codecs.Object {
		token = strings.NewReplacer("~", "~0", "/", "~1").Replace(n.name)
	}
	return n.parent.pointer() + "/" + token
}

// position turns an offset into a line and a column in characters, both from 1.
func (d *document) position(offset int) (line, column int) {
	before := d.text[:offset]
	lineStart := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[lineStart:]) + 1
}

// excerpt is the text of n, as it is written.
func (d *document) excerpt(n *jsonNode) string {
	var raw json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(d.text[n.start:])).Decode(&raw); err != nil {
		return "" // the document is valid
	}
	return string(raw)
}

// readDocument parses text strictly. On a syntax error the document has no root and
// the one problem says where; members written twice are problems of their own.
func readDocument(text []byte) (*document, *reporter) {
	doc := &document{text: text}
	report := &reporter{doc: doc}
	if len(text) > MaxSpecBytes {
		report.problems = Problems{{
			Message: "the query spec is longer than " + strconv.Itoa(MaxSpecBytes) + " bytes",
			Line:    1, Column: 1, Code: codeInvalid, Kind: fault.Invalid,
		}}
		return doc, report
	}
	if err := jsoncodec.Valid(text); err != nil {
		problem := Problem{Message: err.Error(), Line: 1, Column: 1, Code: codeInvalid, Kind: fault.Invalid}
		var syntax *jsoncodec.SyntaxError
		if errors.As(err, &syntax) {
			problem.Line, problem.Column, problem.offset = syntax.Line, syntax.Column, syntax.Offset
		}
		report.problems = Problems{problem}
		return doc, report
	}
	r := treeReader{text: text, report: report}
	r.space()
	doc.root = &jsonNode{nameStart: r.at}
	r.value(doc.root)
	return doc, report
}

// treeReader builds the tree of text that is known to be valid JSON.
type treeReader struct {
	text   []byte
	at     int
	report *reporter
}

func (r *treeReader) space() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
}

// value reads the value that follows into n, whose place is already known.
func (r *treeReader) value(n *jsonNode) {
	r.space()
	n.start = r.at
	switch r.text[r.at] {
	case '{':
		n.kind = codecs.Object
		r.object(n)
	case '[':
		n.kind = codecs.Array
		r.array(n)
	case '"':
		n.kind = codecs.String
		n.value = codecs.StringValue(r.string())
	case 't':
		n.kind, n.value = codecs.Bool, codecs.BoolValue(true)
		r.at += len("true")
	case 'f':
		n.kind, n.value = codecs.Bool, codecs.BoolValue(false)
		r.at += len("false")
	case 'n':
		n.kind, n.value = codecs.Null, codecs.NullValue()
		r.at += len("null")
	default:
		n.value = r.number()
		n.kind = n.value.Kind
	}
}

func (r *treeReader) object(n *jsonNode) {
	r.at++
	seen := make(map[string]bool)
	for r.space(); r.text[r.at] != '}'; r.space() {
		if r.text[r.at] == ',' {
			r.at++
			r.space()
		}
		m := &jsonNode{parent: n, nameStart: r.at}
		m.name = r.string()
		r.space()
		r.at++ // the colon
		r.value(m)
		if seen[m.name] {
			r.report.addName(m, fault.Invalid, codeInvalid, "member %q is there twice", m.name)
			continue
		}
		seen[m.name] = true
		n.children = append(n.children, m)
	}
	r.at++
}

func (r *treeReader) array(n *jsonNode) {
	r.at++
	for r.space(); r.text[r.at] != ']'; r.space() {
		if r.text[r.at] == ',' {
			r.at++
			r.space()
		}
		e := &jsonNode{parent: n, index: len(n.children), nameStart: r.at}
		r.value(e)
		n.children = append(n.children, e)
	}
	r.at++
}

// string reads the string that starts here.
func (r *treeReader) string() string {
	start := r.at
	escaped := false
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			escaped = true
			r.at++
		}
	}
	r.at++
	if !escaped {
		return string(r.text[start+1 : r.at-1])
	}
	var s string
	_ = json.Unmarshal(r.text[start:r.at], &s) // valid: the whole text has been checked
	return s
}

// number reads the number that starts here, as record decoding does: an Int where
// the text is integral and fits, else the nearest Float.
func (r *treeReader) number() codecs.Value {
	start := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.0123456789eE", r.text[r.at]) >= 0 {
		r.at++
	}
	text := string(r.text[start:r.at])
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return codecs.IntValue(i)
	}
	f, _ := strconv.ParseFloat(text, 64) // in range: the whole text has been checked
	return codecs.FloatValue(f)
}
