package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/internal/fault"
)

// object is a JSON body of a call: one flat object of known members, each a
// string or a whole number, each at most once.
type object struct {
	known   []string
	strings map[string]string
	numbers map[string]int64
}

// parseObject reads a body strictly. text and whole are the members it may have.
// The first thing wrong is refused with its pointer, line and column.
func parseObject(body []byte, text, whole []string) (*object, error) {
	r := &objectReader{
		body: body, dec: json.NewDecoder(bytes.NewReader(body)), text: text, whole: whole,
		out: object{
			known:   append(append([]string(nil), text...), whole...),
			strings: make(map[string]string, len(text)),
			numbers: make(map[string]int64, len(whole)),
		},
	}
	r.dec.UseNumber()
	if err := r.read(); err != nil {
		return nil, err
	}
	return &r.out, nil
}

type objectReader struct {
	body        []byte
	dec         *json.Decoder
	text, whole []string
	out         object
}

func (r *objectReader) read() error {
	if !utf8.Valid(r.body) {
		return r.refuse("invalid_json", "", invalidAt(r.body), "The body is not UTF-8")
	}
	token, at, err := r.next()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return r.refuse("invalid_json", "", at, "The body has to be a JSON object")
	}
	for r.dec.More() {
		if err := r.member(); err != nil {
			return err
		}
	}
	if _, _, err := r.next(); err != nil { // the closing brace
		return err
	}
	at = r.start(r.dec.InputOffset())
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return r.refuse("invalid_json", "", at, "Something follows the JSON object")
	}
	return nil
}

func (r *objectReader) member() error {
	token, at, err := r.next()
	if err != nil {
		return err
	}
	name, ok := token.(string)
	if !ok {
		return r.refuse("invalid_json", "", at, "A member has to have a name")
	}
	pointer := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(clip(name))
	if indexOf(r.out.known, name) < 0 {
		message := "unknown member " + strconv.Quote(clip(name))
		if near := nearest(name, r.out.known); near != "" {
			message += ", did you mean " + strconv.Quote(near) + "?"
		}
		return r.refuse("unknown_member", pointer, at, message)
	}
	if r.out.has(name) {
		return r.refuse("duplicate_member", pointer, at, "member "+strconv.Quote(name)+" is given twice")
	}
	token, at, err = r.next()
	if err != nil {
		return err
	}
	if indexOf(r.text, name) >= 0 {
		value, ok := token.(string)
		if !ok {
			return r.refuse("invalid_member", pointer, at, strconv.Quote(name)+" has to be a string")
		}
		r.out.strings[name] = value
		return nil
	}
	number, ok := token.(json.Number)
	value, err := strconv.ParseInt(string(number), 10, 64)
	if !ok || err != nil {
		return r.refuse("invalid_member", pointer, at, strconv.Quote(name)+" has to be a whole number")
	}
	r.out.numbers[name] = value
	return nil
}

// next reads a token and says where it starts.
func (r *objectReader) next() (json.Token, int64, error) {
	at := r.start(r.dec.InputOffset())
	token, err := r.dec.Token()
	if err == nil {
		return token, at, nil
	}
	var syntax *json.SyntaxError
	message := "The body ends before the JSON object does"
	if errors.As(err, &syntax) {
		at, message = max(syntax.Offset-1, 0), "The body is not JSON: "+syntax.Error()
	}
	return nil, 0, r.refuse("invalid_json", "", at, message)
}

// start skips what may stand before a token.
func (r *objectReader) start(at int64) int64 {
	for at < int64(len(r.body)) && (isSpace(r.body[at]) || r.body[at] == ',' || r.body[at] == ':') {
		at++
	}
	return at
}

// refuse makes the fault for what stands at a byte of the body. Lines and columns
// count from 1, columns in bytes.
func (r *objectReader) refuse(code, pointer string, at int64, message string) error {
	before := r.body[:min(at, int64(len(r.body)))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1
	return fault.New(fault.Invalid, code, "%s", message).
		With("pointer", pointer).With("line", line).With("column", column)
}

func invalidAt(b []byte) int64 {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return int64(i)
		}
		i += size
	}
	return int64(len(b))
}

func (o *object) has(name string) bool {
	_, text := o.strings[name]
	_, number := o.numbers[name]
	return text || number
}

// required refuses with the code where the member is absent or an empty string.
func (o *object) required(name, code, message string) error {
	if _, ok := o.numbers[name]; ok || o.strings[name] != "" {
		return nil
	}
	return fault.New(fault.Invalid, code, "%s", message).With("pointer", "/"+name)
}

// integer returns a whole number from low to high; absent where it is not there.
func (o *object) integer(name string, low, high, absent int64) (int64, error) {
	n, ok := o.numbers[name]
	if !ok {
		return absent, nil
	}
	if n < low || n > high {
		limit := "at least " + strconv.FormatInt(low, 10)
		if high != math.MaxInt64 {
			limit = "from " + strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10)
		}
		return 0, fault.New(fault.Invalid, "invalid_member", "%q has to be %s, not %d", name, limit, n).With("pointer", "/"+name)
	}
	return n, nil
}
