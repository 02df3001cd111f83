package jsoncodec

import (
	"fmt"

	"leat/codecs/internal/jsontext"
)

// ValidUnique is Valid, and refuses an object that has two members of one name, for
// requests in which a repeated member is a mistake. The error is a *SyntaxError that
// points at the second of the names.
func ValidUnique(b []byte) error {
	if err := Valid(b); err != nil {
		return err
	}
	w := uniqueWalk{src: b}
	if w.value(jsontext.SkipSpace(b, 0)) < 0 {
		return syntaxError(b, w.at, fmt.Sprintf("a second member named %q", w.name))
	}
	return nil
}

// uniqueWalk looks for repeated members in valid text. Its methods return the index
// after what they have read, or -1 with name and at set.
type uniqueWalk struct {
	src   []byte
	fault jsontext.Fault
	name  string
	at    int
}

func (w *uniqueWalk) value(i int) int {
	switch w.src[i] {
	case '{':
		return w.object(i + 1)
	case '[':
		return w.array(i + 1)
	}
	return jsontext.Skip(w.src, i, 0, &w.fault)
}

func (w *uniqueWalk) array(i int) int {
	i = jsontext.SkipSpace(w.src, i)
	for w.src[i] != ']' {
		if i = w.value(i); i < 0 {
			return -1
		}
		i = w.afterValue(i)
	}
	return i + 1
}

func (w *uniqueWalk) object(i int) int {
	names := map[string]struct{}{}
	i = jsontext.SkipSpace(w.src, i)
	for w.src[i] != '}' {
		end, escaped := jsontext.SkipString(w.src, i+1, &w.fault)
		name := w.src[i+1 : end-1]
		if escaped {
			name = jsontext.AppendUnescaped(nil, name)
		}
		if _, again := names[string(name)]; again {
			w.name, w.at = string(name), i
			return -1
		}
		names[string(name)] = struct{}{}
		if i = w.value(jsontext.SkipColon(w.src, end, &w.fault)); i < 0 {
			return -1
		}
		i = w.afterValue(i)
	}
	return i + 1
}

// afterValue passes the comma after a value, if there is one, and white space.
func (w *uniqueWalk) afterValue(i int) int {
	i = jsontext.SkipSpace(w.src, i)
	if w.src[i] == ',' {
		i = jsontext.SkipSpace(w.src, i+1)
	}
	return i
}
