package codecs

import (
	"bytes"
	"slices"

	"leat/codecs/internal/jsontext"
)

// appendKeyJSON appends the key of the one array or object that text holds, or the
// text itself, as opaque, if it is not JSON.
func appendKeyJSON(dst []byte, text string) []byte {
	w := keyWriter{src: viewBytes(text), dst: dst}
	at := jsontext.SkipSpace(w.src, 0)
	if at < len(text) && (text[at] == '[' || text[at] == '{') {
		at = w.value(at, 0)
	} else {
		at = -1
	}
	if at < 0 || jsontext.SkipSpace(w.src, at) != len(w.src) {
		return appendKeyText(w.dst[:len(dst)], tagOpaque, text)
	}
	return w.dst
}

// keyWriter turns JSON text into key bytes. Its methods take the index of what they
// read and return the index after it, or -1 for text that is not JSON.
type keyWriter struct {
	src   []byte
	dst   []byte
	fault jsontext.Fault
}

func (w *keyWriter) value(at, depth int) int {
	if at >= len(w.src) {
		return -1
	}
	switch c := w.src[at]; c {
	case '[', '{':
		if depth == jsontext.MaxDepth {
			return -1
		}
		if c == '[' {
			return w.array(at+1, depth+1)
		}
		return w.object(at+1, depth+1)
	case '"':
		return w.text(at)
	case 't':
		w.dst = append(w.dst, tagTrue)
		return jsontext.Skip(w.src, at, 0, &w.fault)
	case 'f':
		w.dst = append(w.dst, tagFalse)
		return jsontext.Skip(w.src, at, 0, &w.fault)
	case 'n':
		w.dst = append(w.dst, tagNull)
		return jsontext.Skip(w.src, at, 0, &w.fault)
	}
	end, integral, bits := jsontext.Number(w.src, at, &w.fault)
	if end >= 0 {
		kind := Float
		if integral {
			kind = Int
		}
		w.dst = AppendKey(w.dst, Value{Kind: kind, Num: bits})
	}
	return end
}

func (w *keyWriter) text(at int) int {
	end, escaped := jsontext.SkipString(w.src, at+1, &w.fault)
	if end < 0 {
		return -1
	}
	body := w.src[at+1 : end-1]
	if escaped {
		body = jsontext.AppendUnescaped(nil, body)
	}
	w.dst = appendKeyText(w.dst, tagString, viewString(body))
	return end
}

func (w *keyWriter) array(at, depth int) int {
	w.dst = append(w.dst, tagArray)
	at = jsontext.SkipSpace(w.src, at)
	if at < len(w.src) && w.src[at] == ']' {
		w.dst = append(w.dst, tagEnd)
		return at + 1
	}
	for {
		at = w.value(jsontext.SkipSpace(w.src, at), depth)
		if at < 0 {
			return -1
		}
		at = jsontext.SkipSpace(w.src, at)
		if at == len(w.src) {
			return -1
		}
		switch w.src[at] {
		case ',':
			at++
		case ']':
			w.dst = append(w.dst, tagEnd)
			return at + 1
		default:
			return -1
		}
	}
}

// keyMember is where a member's name key, and after it its value key, lie in dst.
type keyMember struct{ name, value, end int }

func (w *keyWriter) object(at, depth int) int {
	w.dst = append(w.dst, tagObject)
	var members []keyMember
	at = jsontext.SkipSpace(w.src, at)
	if at < len(w.src) && w.src[at] == '}' {
		w.dst = append(w.dst, tagEnd)
		return at + 1
	}
	for {
		m := keyMember{name: len(w.dst)}
		at = jsontext.SkipSpace(w.src, at)
		if at == len(w.src) || w.src[at] != '"' {
			return -1
		}
		if at = w.text(at); at < 0 {
			return -1
		}
		m.value = len(w.dst)
		at = jsontext.SkipSpace(w.src, at)
		if at == len(w.src) || w.src[at] != ':' {
			return -1
		}
		if at = w.value(jsontext.SkipSpace(w.src, at+1), depth); at < 0 {
			return -1
		}
		m.end = len(w.dst)
		members = append(members, m)
		at = jsontext.SkipSpace(w.src, at)
		if at == len(w.src) {
			return -1
		}
		switch w.src[at] {
		case ',':
			at++
		case '}':
			w.sortMembers(members)
			w.dst = append(w.dst, tagEnd)
			return at + 1
		default:
			return -1
		}
	}
}

// sortMembers puts the members, the tail of dst, in order of their names and keeps
// the last of those that share one.
func (w *keyWriter) sortMembers(members []keyMember) {
	byName := func(a, b keyMember) int {
		return bytes.Compare(w.dst[a.name:a.value], w.dst[b.name:b.value])
	}
	strictly := func(a, b keyMember) bool { return byName(a, b) < 0 }
	if sortedStrictly(members, strictly) {
		return
	}
	start := members[0].name
	slices.SortStableFunc(members, byName)
	sorted := make([]byte, 0, len(w.dst)-start)
	for k, m := range members {
		if k+1 == len(members) || strictly(m, members[k+1]) {
			sorted = append(sorted, w.dst[m.name:m.end]...)
		}
	}
	w.dst = append(w.dst[:start], sorted...)
}

func sortedStrictly(members []keyMember, less func(a, b keyMember) bool) bool {
	for k := 1; k < len(members); k++ {
		if !less(members[k-1], members[k]) {
			return false
		}
	}
	return true
}

// decodeKeyJSON rebuilds the JSON text of an array or object from its key.
func decodeKeyJSON(tag byte, src []byte, depth int) (Value, []byte, error) {
	text, rest, err := appendJSONOfKey(nil, tag, src, depth)
	if err != nil {
		return Value{}, nil, err
	}
	if tag == tagArray {
		return ArrayValue(viewString(text)), rest, nil
	}
	return ObjectValue(viewString(text)), rest, nil
}

func appendJSONOfKey(dst []byte, tag byte, src []byte, depth int) ([]byte, []byte, error) {
	opening, closing := byte('['), byte(']')
	if tag == tagObject {
		opening, closing = '{', '}'
	}
	dst = append(dst, opening)
	for first := true; ; first = false {
		if len(src) == 0 {
			return nil, nil, errKey
		}
		if src[0] == tagEnd {
			return append(dst, closing), src[1:], nil
		}
		if !first {
			dst = append(dst, ',')
		}
		if tag == tagObject {
			if src[0] != tagString {
				return nil, nil, errKey
			}
			name, rest, err := decodeKeyText(src[1:])
			if err != nil {
				return nil, nil, err
			}
			dst = append(AppendJSONString(dst, name), ':')
			src = rest
		}
		v, rest, err := decodeKey(src, depth)
		if err != nil {
			return nil, nil, err
		}
		dst, src = AppendJSON(dst, v), rest
	}
}
