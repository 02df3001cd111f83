package avrocodec

import (
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"leat/codecs"
	"leat/codecs/internal/datum"
)

// binary writes bytes, a fixed, and the logical types on top of them.
func (e *Encoder) binary(dst []byte, n *node, v datum.Datum) ([]byte, *codecs.MemberError) {
	switch {
	case n.logical == decimal && v.Value.Kind != codecs.Bytes:
		raw, err := unscaledOf(n, v)
		if err != nil {
			return nil, err
		}
		return appendRaw(dst, n, raw), nil
	case n.logical == duration && v.Value.Kind == codecs.Object:
		return appendDuration(dst, v.Value.Str)
	case n.logical == uuid && v.Value.Kind == codecs.String:
		raw, ok := parseUUID(v.Value.Str)
		if !ok {
			return nil, wrong("%q is not a UUID", v.Value.Str)
		}
		return append(dst, raw...), nil
	}
	raw, ok := rawBytes(v.Value)
	switch {
	case !ok && v.Value.Kind == codecs.String:
		return nil, wrong("a text that is not base64 where the schema has %s", n.describe())
	case !ok:
		return nil, misplaced(n, v)
	case n.kind == fixed && len(raw) != n.size:
		return nil, wrong("%d bytes where %s has %d", len(raw), n.describe(), n.size)
	case n.logical == decimal && len(raw) > maxDecimalBytes:
		return nil, wrong("a decimal of %d bytes, more than %d", len(raw), maxDecimalBytes)
	}
	return appendRaw(dst, n, raw), nil
}

// rawBytes are the bytes of v: its own, or those that its text is the base64 of.
func rawBytes(v codecs.Value) ([]byte, bool) {
	switch v.Kind {
	case codecs.Bytes:
		return []byte(v.Str), true
	case codecs.String:
		raw, err := base64.StdEncoding.DecodeString(v.Str)
		return raw, err == nil
	}
	return nil, false
}

func appendRaw(dst []byte, n *node, raw []byte) []byte {
	if n.kind == bytesType {
		dst = appendLong(dst, int64(len(raw)))
	}
	return append(dst, raw...)
}

// unscaledOf is a number, or the text of one, as an unscaled decimal of n. It has to
// have no more digits behind the point than n has room for, and no more in all.
func unscaledOf(n *node, v datum.Datum) ([]byte, *codecs.MemberError) {
	text := v.Literal
	switch {
	case text != "":
	case v.Value.Kind == codecs.Int:
		text = strconv.FormatInt(v.Value.Int(), 10)
	case v.Value.Kind == codecs.Float:
		text = strconv.FormatFloat(v.Value.Float(), 'e', -1, 64)
	case v.Value.Kind == codecs.String:
		text = v.Value.Str
	default:
		return nil, misplaced(n, v)
	}
	digits, point, ok := parseDecimal(text)
	if !ok {
		return nil, wrong("%q is not a decimal number", text)
	}
	switch zeros := n.scale - point; {
	case digits == "0" || digits == "-0":
		digits = "0"
	case zeros < 0:
		return nil, wrong("%s has more than %d digits behind the point", text, n.scale)
	case zeros+len(strings.TrimPrefix(digits, "-")) > n.digits:
		return nil, wrong("%s has more digits than a decimal of precision %d and scale %d", text, n.digits, n.scale)
	default:
		digits += strings.Repeat("0", zeros)
	}
	unscaled, _ := new(big.Int).SetString(digits, 10)
	size := unscaledSize(unscaled)
	if n.kind == fixed {
		size = n.size
	}
	return twosComplement(unscaled, size), nil
}

// maxExponent is beyond the exponent of every number that fits in a decimal.
const maxExponent = 1000

// parseDecimal reads a number as JSON writes it, as the digits of an integer, without
// zeros in front or behind, and how many of them are behind the point, which is
// negative for zeros that are left out.
func parseDecimal(text string) (digits string, point int, ok bool) {
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil || exponent > maxExponent || exponent < -maxExponent {
			return "", 0, false
		}
		mantissa = text[:i]
	}
	sign := ""
	if rest, negative := strings.CutPrefix(mantissa, "-"); negative {
		sign, mantissa = "-", rest
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = whole + fraction
	if digits == "" || len(digits) > 2*maxExponent || strings.Trim(digits, "0123456789") != "" {
		return "", 0, false
	}
	digits = strings.TrimLeft(digits, "0")
	point = len(fraction) - exponent
	trimmed := strings.TrimRight(digits, "0")
	point -= len(digits) - len(trimmed)
	if trimmed == "" {
		return "0", 0, true
	}
	return sign + trimmed, point, true
}

// unscaledSize is the fewest bytes of a two's complement number.
func unscaledSize(v *big.Int) int {
	if v.Sign() < 0 {
		v = new(big.Int).Not(v)
	}
	return v.BitLen()/8 + 1
}

// twosComplement is v, big endian, in size bytes.
func twosComplement(v *big.Int, size int) []byte {
	raw := make([]byte, size)
	if v.Sign() >= 0 {
		return v.FillBytes(raw)
	}
	new(big.Int).Not(v).FillBytes(raw)
	for i := range raw {
		raw[i] = ^raw[i]
	}
	return raw
}

// appendDuration writes an object with months, days and milliseconds, 0 where one is
// left out.
func appendDuration(dst []byte, text string) ([]byte, *codecs.MemberError) {
	parts := [...]string{"months", "days", "milliseconds"}
	var values [len(parts)]uint32
	for _, m := range datum.Members(text) {
		part := slices.Index(parts[:], m.Name)
		if part < 0 {
			return nil, wrong("a duration has months, days and milliseconds").Within(codecs.Step{Member: m.Name})
		}
		i, ok := integerOf(m.Value)
		if !ok || i != int64(uint32(i)) {
			return nil, wrong("not a number from 0 to 4294967295").Within(codecs.Step{Member: m.Name})
		}
		values[part] = uint32(i)
	}
	for _, v := range values {
		dst = append(dst, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return dst, nil
}

func parseUUID(text string) ([]byte, bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return nil, false
	}
	raw, err := hex.DecodeString(text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:])
	return raw, err == nil
}
