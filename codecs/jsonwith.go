package codecs

import "leat/codecs/internal/jsontext"

// AppendJSONWith appends an Object as AppendJSON does, with one more member at its end,
// which takes the place of those that have its name.
func AppendJSONWith(dst []byte, object Value, name string, v Value) []byte {
	src := viewBytes(object.Str)
	var none jsontext.Fault // the text of an Object is valid
	dst = append(dst, '{')
	for i := jsontext.SkipSpace(src, jsontext.SkipSpace(src, 0)+1); src[i] != '}'; {
		start := i
		end, escaped := jsontext.SkipString(src, i+1, &none)
		own := src[start+1 : end-1]
		if escaped {
			own = jsontext.AppendUnescaped(nil, own)
		}
		value := jsontext.SkipSpace(src, jsontext.SkipColon(src, end, &none))
		i = jsontext.Skip(src, value, 0, &none)
		if string(own) != name {
			dst = append(append(dst, src[start:end]...), ':')
			dst = append(jsontext.Compact(dst, src[value:i]), ',')
		}
		if i = jsontext.SkipSpace(src, i); src[i] == ',' {
			i = jsontext.SkipSpace(src, i+1)
		}
	}
	dst = append(AppendJSONString(dst, name), ':')
	return append(AppendJSON(dst, v), '}')
}
