package api

import (
	"math"
	"strconv"
	"strings"

	"leat/internal/fault"
)

// params are the decoded parameters of an address, each known to the route and, unless
// it is a list, there at most once.
type params struct {
	names  [16]string
	values [16]string
	count  int
	list   []string // of the one parameter that may be repeated, in order
}

// repeated ends the name of a parameter in the table of routes that may be repeated.
const repeated = "..."

// anyOther among the parameters of a route has all others ignored.
const anyOther = "*"

// parseParams decodes a query string against the names a route knows. The
// strings are copies: they outlive raw.
func parseParams(raw []byte, known []string) (params, error) {
	var p params
	rest := string(raw)
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		if part == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, ok := unescapeQuery(rawName)
		if !ok {
			return p, invalidParameter(rawName, "is not percent-encoded correctly")
		}
		index := indexOf(known, name)
		if strings.HasSuffix(name, repeated) {
			index = -1
		}
		many := index < 0 && indexOf(known, name+repeated) >= 0
		if index < 0 && indexOf(known, anyOther) >= 0 {
			continue
		}
		if index < 0 && !many {
			return p, unknownParameter(name, known)
		}
		if _, again := p.get(name); again {
			return p, invalidParameter(name, "is given twice")
		}
		value, ok := unescapeQuery(rawValue)
		if !ok {
			return p, invalidParameter(name, "is not percent-encoded correctly")
		}
		if many {
			p.list = append(p.list, value)
			continue
		}
		p.names[p.count], p.values[p.count] = known[index], value
		p.count++
	}
	return p, nil
}

func unknownParameter(name string, known []string) error {
	message := "There is no parameter " + strconv.Quote(clip(name))
	if near := strings.TrimSuffix(nearest(name, known), repeated); near != "" {
		message += ", did you mean " + strconv.Quote(near) + "?"
	}
	return fault.New(fault.Invalid, "unknown_parameter", "%s", message).With("parameter", clip(name))
}

// clip shortens what a client sent to what is worth repeating.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

func (p *params) get(name string) (string, bool) {
	for i := 0; i < p.count; i++ {
		if p.names[i] == name {
			return p.values[i], true
		}
	}
	return "", false
}

// integer reads a parameter written in decimal digits, from low to high; absent
// where it is not given.
func (p *params) integer(name string, low, high, absent int64) (int64, error) {
	text, ok := p.get(name)
	if !ok {
		return absent, nil
	}
	digits := text != ""
	for i := 0; i < len(text); i++ {
		digits = digits && text[i] >= '0' && text[i] <= '9'
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case digits && err == nil && n >= low && n <= high:
		return n, nil
	case high == math.MaxInt64:
		return 0, invalidParameter(name, "has to be a whole number, at least %d, not %q", low, clip(text))
	default:
		return 0, invalidParameter(name, "has to be a whole number from %d to %d, not %q", low, high, clip(text))
	}
}

// time reads a parameter in milliseconds since the epoch, nil where it is not given.
func (p *params) time(name string) (*int64, error) {
	text, ok := p.get(name)
	if !ok {
		return nil, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || text[0] == '+' {
		return nil, invalidParameter(name, "has to be a whole number of milliseconds since 1970, not %q", clip(text))
	}
	return &ms, nil
}

// flag reads a parameter that is 1 or true, 0 or false, or absent.
func (p *params) flag(name string) (bool, error) {
	switch text, ok := p.get(name); {
	case !ok, text == "0", text == "false":
		return false, nil
	case text == "1", text == "true":
		return true, nil
	default:
		return false, invalidParameter(name, "has to be 1 or true, 0 or false, not %q", clip(text))
	}
}

// choice reads a parameter that is one of a few words; absent where it is not
// given.
func (p *params) choice(name, absent string, words ...string) (string, error) {
	text, ok := p.get(name)
	if !ok {
		return absent, nil
	}
	if indexOf(words, text) < 0 {
		return "", invalidParameter(name, "has to be one of %s, not %q", strings.Join(words, ", "), clip(text))
	}
	return text, nil
}

// unescapeQuery decodes %XX and + once.
func unescapeQuery(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	return unescapeBytes(s, true)
}

// unescapePath decodes %XX once. The result is a copy.
func unescapePath(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return strings.Clone(s), true
	}
	return unescapeBytes(s, false)
}

func unescapeBytes(s string, plus bool) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case plus && s[i] == '+':
			out = append(out, ' ')
		case s[i] != '%':
			out = append(out, s[i])
		default:
			if len(s)-i < 3 {
				return "", false
			}
			high, ok1 := hexDigit(s[i+1])
			low, ok2 := hexDigit(s[i+2])
			if !ok1 || !ok2 {
				return "", false
			}
			out = append(out, high<<4|low)
			i += 2
		}
	}
	return string(out), true
}
