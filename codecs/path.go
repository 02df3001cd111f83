package codecs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"leat/codecs/internal/jsontext"
)

// The limits of a path, far above real use: a path is walked for every record.
const (
	MaxPathBytes = 4096
	MaxPathSteps = 64
	MaxPathIndex = 1<<31 - 1
)

// Step is one move of a path: to the member named Member of an object or, if
// IsIndex, to element Index of an array, counted from 0.
type Step struct {
	Member  string
	Index   int
	IsIndex bool
}

// Path addresses a value inside a row. The zero Path is the row itself. A path that
// meets no such member, an index beyond the end, or a value of another shape on its
// way gives Missing. Immutable; safe for concurrent use.
type Path struct {
	steps []Step
}

// NewPath is the path of the given steps.
func NewPath(steps ...Step) Path { return Path{steps: slices.Clone(steps)} }

// Steps are the moves of p from the row on; they belong to p and are not modified.
func (p Path) Steps() []Step { return p.steps }

// Equal reports whether p and q address the same value.
func (p Path) Equal(q Path) bool { return slices.Equal(p.steps, q.steps) }

// ParsePath reads a path written like a.b[0].c or a["odd name"].c. Members follow
// each other with dots; a member written bare consists of letters, digits and the
// characters _ - @ $ and any other is written as a JSON string in brackets. A path
// starts with a member, for a row is an object. The error names the byte, from 1,
// where the text stops being a path.
func ParsePath(text string) (Path, error) {
	if text == "" {
		return Path{}, errors.New("empty field path")
	}
	if len(text) > MaxPathBytes {
		return Path{}, fmt.Errorf("field path longer than %d bytes", MaxPathBytes)
	}
	p := pathParser{text: text}
	if err := p.parse(); err != nil {
		return Path{}, fmt.Errorf("field path %q, byte %d: %w", text, p.at+1, err)
	}
	return Path{steps: p.steps}, nil
}

type pathParser struct {
	text  string
	at    int
	steps []Step
}

func (p *pathParser) parse() error {
	for p.at < len(p.text) {
		if len(p.steps) == MaxPathSteps {
			return fmt.Errorf("more than %d steps", MaxPathSteps)
		}
		var err error
		switch c := p.text[p.at]; {
		case c == '[':
			err = p.bracket()
		case len(p.steps) == 0:
			err = p.member()
		case c == '.':
			p.at++
			err = p.member()
		default:
			err = errors.New(`expected "." or "["`)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// member reads a bare name.
func (p *pathParser) member() error {
	end := p.at
	for end < len(p.text) {
		r, n := utf8.DecodeRuneInString(p.text[end:])
		if !bareRune(r) {
			break
		}
		end += n
	}
	if end == p.at {
		return errors.New("expected a member name")
	}
	p.steps = append(p.steps, Step{Member: p.text[p.at:end]})
	p.at = end
	return nil
}

// bracket reads [index] or ["name"].
func (p *pathParser) bracket() error {
	rest := p.text[p.at+1:]
	if strings.HasPrefix(rest, `"`) {
		return p.quoted(rest)
	}
	end := strings.IndexByte(rest, ']')
	if end < 0 {
		return errors.New(`"[" without "]"`)
	}
	digits := rest[:end]
	index, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case err != nil || index > MaxPathIndex:
		return fmt.Errorf(`between "[" and "]" goes an index from 0 to %d or a name in double quotes`, MaxPathIndex)
	case len(digits) > 1 && digits[0] == '0':
		return errors.New("an index has no leading zeros")
	case len(p.steps) == 0:
		return errors.New("a path starts with a member")
	}
	p.steps = append(p.steps, Step{Index: int(index), IsIndex: true})
	p.at += end + 2
	return nil
}

func (p *pathParser) quoted(rest string) error {
	var fault jsontext.Fault
	end, escaped := jsontext.SkipString(viewBytes(rest), 1, &fault)
	if end < 0 {
		p.at += 1 + fault.Offset
		return errors.New(fault.Reason)
	}
	if end == len(rest) || rest[end] != ']' {
		p.at += 1 + end
		return errors.New(`expected "]" after the name`)
	}
	name := rest[1 : end-1]
	if escaped {
		name = string(jsontext.AppendUnescaped(nil, viewBytes(name)))
	}
	p.steps = append(p.steps, Step{Member: name})
	p.at += end + 2
	return nil
}

// bareRune reports whether r may stand in a member name without quotes.
func bareRune(r rune) bool {
	return r == '_' || r == '-' || r == '@' || r == '$' || r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// String is the canonical text of p, which ParsePath reads back: bare names only for
// identifiers (letters, digits and _, not starting with a digit). Empty for the row
// itself.
func (p Path) String() string {
	var b []byte
	for i, s := range p.steps {
		switch {
		case s.IsIndex:
			b = append(b, '[')
			b = strconv.AppendInt(b, int64(s.Index), 10)
			b = append(b, ']')
		case identifier(s.Member):
			if i > 0 {
				b = append(b, '.')
			}
			b = append(b, s.Member...)
		default:
			b = append(b, '[')
			b = AppendJSONString(b, s.Member)
			b = append(b, ']')
		}
	}
	return string(b)
}

func identifier(s string) bool {
	for i, r := range s {
		digit := unicode.IsDigit(r)
		if r == utf8.RuneError || r != '_' && !digit && !unicode.IsLetter(r) || digit && i == 0 {
			return false
		}
	}
	return s != ""
}
