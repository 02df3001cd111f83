package queries

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"leat/codecs"
)

const msPerDay = 24 * 60 * 60 * 1000

// durationUnits are the units of a duration, in the order they are written.
var durationUnits = [...]struct {
	name string
	ms   int64
}{{"d", msPerDay}, {"h", 60 * 60 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}}

var errDuration = errors.New(`a duration is written like "90s", "1h30m", "500ms" or "2d", or is an integer of milliseconds`)

// ParseDuration reads a duration such as 90s, 1h30m, 1.5s or 2d, in milliseconds. A
// day is 24 hours. Units are d, h, m, s and ms, each at most once and from large to
// small; a fraction must come to whole milliseconds. A duration is not negative.
func ParseDuration(text string) (ms int64, err error) {
	rest, unit := text, 0
	if rest == "" {
		return 0, errDuration
	}
	if rest[0] == '-' {
		return 0, errors.New("a duration cannot be negative")
	}
	for rest != "" {
		digits := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if digits <= 0 {
			return 0, errDuration
		}
		number := rest[:digits]
		rest = rest[digits:]
		letters := strings.IndexFunc(rest, func(r rune) bool { return r < 'a' || r > 'z' })
		if letters < 0 {
			letters = len(rest)
		}
		name := rest[:letters]
		rest = rest[letters:]
		for unit < len(durationUnits) && durationUnits[unit].name != name {
			unit++
		}
		if unit == len(durationUnits) {
			return 0, errDuration
		}
		part, err := scaleDecimal(number, durationUnits[unit].ms)
		if err != nil {
			return 0, err
		}
		unit++
		if ms > math.MaxInt64-part {
			return 0, errDurationTooLong
		}
		ms += part
	}
	if ms > maxDurationMs {
		return 0, errDurationTooLong
	}
	return ms, nil
}

// maxDurationMs keeps sums of durations and event times far from overflow: about
// 10,000 years.
const maxDurationMs = 10_000 * 366 * msPerDay

var errDurationTooLong = errors.New("a duration of more than 10,000 years")

// scaleDecimal is number × unit, exactly.
func scaleDecimal(number string, unit int64) (int64, error) {
	whole, fraction, dotted := strings.Cut(number, ".")
	if whole == "" || dotted && fraction == "" || strings.Contains(fraction, ".") {
		return 0, errDuration
	}
	w, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || w > math.MaxInt64/unit {
		return 0, errDurationTooLong
	}
	ms := w * unit
	scale := unit
	for _, digit := range fraction {
		if (scale == 0 || scale%10 != 0) && digit != '0' {
			return 0, errors.New("a duration is whole milliseconds")
		}
		scale /= 10
		ms += int64(digit-'0') * scale
	}
	return ms, nil
}

// durationOf reads the duration a spec has at n.
func durationOf(n *jsonNode) (int64, error) {
	switch n.kind {
	case codecs.String:
		return ParseDuration(n.value.Str)
	case codecs.Int:
		ms := n.value.Int()
		switch {
		case ms < 0:
			return 0, errors.New("a duration cannot be negative")
		case ms > maxDurationMs:
			return 0, errDurationTooLong
		}
		return ms, nil
	}
	return 0, errDuration
}

// FormatDuration writes milliseconds so that ParseDuration reads them back.
func FormatDuration(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var b []byte
	for _, unit := range durationUnits {
		if n := ms / unit.ms; n > 0 {
			b = strconv.AppendInt(b, n, 10)
			b = append(b, unit.name...)
			ms %= unit.ms
		}
	}
	return string(b)
}
