package queries

import (
	"errors"
	"fmt"
	"math"
	"time"

	"leat/codecs"
	"leat/operators"
)

// Functions of time take what an event time may be: an integer of epoch milliseconds,
// also one written as a float, or RFC 3339 text. All of them are in UTC.

// timeFunction makes a function of a time from one of epoch milliseconds.
func timeFunction(f func(ms int64) (codecs.Value, error)) func(x, _ codecs.Value) (codecs.Value, error) {
	return func(x, _ codecs.Value) (codecs.Value, error) {
		ms, err := timeOf(x)
		if err != nil {
			return codecs.Value{}, err
		}
		return f(ms)
	}
}

func timeOf(x codecs.Value) (ms int64, err error) {
	switch x.Kind {
	case codecs.Int:
		ms = x.Int()
	case codecs.Float:
		f := x.Float()
		if f != math.Trunc(f) || math.Abs(f) > operators.MaxEventTime {
			return 0, fmt.Errorf("%v is not an integer of milliseconds within range", f)
		}
		ms = int64(f)
	default:
		var ok bool
		if ms, ok = codecs.ParseTime(x.Str); !ok {
			return 0, fmt.Errorf("%s is not an RFC 3339 time", excerpt(x.Str))
		}
	}
	if ms > operators.MaxEventTime || ms < -operators.MaxEventTime {
		return 0, errRange
	}
	return ms, nil
}

func epochMs(ms int64) (codecs.Value, error) { return codecs.IntValue(ms), nil }

func timePart(part func(time.Time) int) func(ms int64) (codecs.Value, error) {
	return func(ms int64) (codecs.Value, error) {
		return codecs.IntValue(int64(part(time.UnixMilli(ms).UTC()))), nil
	}
}

func month(t time.Time) int { return int(t.Month()) }

// weekday is 1 on a Monday to 7 on a Sunday, as in ISO 8601.
func weekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

// timeText writes times of the years 0 to 9999, which have four digits.
func timeText(layout string) func(ms int64) (codecs.Value, error) {
	return func(ms int64) (codecs.Value, error) {
		t := time.UnixMilli(ms).UTC()
		if t.Year() < 0 || t.Year() > 9999 {
			return codecs.Value{}, errors.New("a year that has no four digits")
		}
		return codecs.StringValue(t.Format(layout)), nil
	}
}
