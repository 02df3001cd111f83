package queries

import (
	"fmt"
	"testing"

	"leat/codecs"
	"leat/internal/testenv"
)

func TestTimeFunctions(t *testing.T) {
	t.Parallel()
	r := exprRow{
		"t": codecs.IntValue(1357035300123), "f": codecs.FloatValue(-1), "half": codecs.FloatValue(0.5), "z": codecs.NullValue(),
		"s": codecs.StringValue("2013-01-01T05:15:00-05:00"), "far": codecs.IntValue(8_640_000_000_000_000), "no": codecs.StringValue("yesterday"), "b": codecs.BoolValue(true),
	}
	checkValues(t, r, [][2]string{
		{"date(t)", `"2013-01-01"`}, {"rfc3339(t)", `"2013-01-01T10:15:00.123Z"`}, {"rfc3339(t)[11:16]", `"10:15"`}, {"epoch_ms(s) + 123 == t", "true"}, {"epoch_ms(t)", "1357035300123"},
		{"year(t)", "2013"}, {"month(t)", "1"}, {"day(t)", "1"}, {"hour(t)", "10"}, {"minute(t)", "15"}, {"second(t)", "0"}, {"weekday(t)", "2"}, {"hour(s)", "10"},
		{"date(f)", `"1969-12-31"`}, {"rfc3339(f)", `"1969-12-31T23:59:59.999Z"`}, {"second(f)", "59"}, {"weekday(f)", "3"}, {"weekday(1357516800000)", "1"}, {"weekday(1357430400000)", "7"},
		{"hour(z)", "nil"}, {"hour(m)", "nil"}, {"year(far)", "275760"}, {"date(far)", `error: a year that has no four digits in "date(far)"`},
		{"hour(far + 1)", `error: result out of range in "hour(far + 1)"`}, {"hour(-far - 1)", `error: result out of range in "hour(-far - 1)"`},
		{"hour(half)", `error: 0.5 is not an integer of milliseconds within range in "hour(half)"`}, {"hour(1e300)", "error: 1e+300 is not an integer of milliseconds within range"},
		{"hour(no)", `error: "yesterday" is not an RFC 3339 time in "hour(no)"`}, {"hour(b)", `error: hour() of bool in "hour(b)"`},
	})
}

// TestTimeFunctionsSQLite compares with SQLite's times, which are in seconds.
func TestTimeFunctionsSQLite(t *testing.T) {
	t.Parallel()
	g := exprGen{testenv.Rand(t)}
	table := newSQLiteTable(t, g)
	for range 300 {
		seconds := g.Int64N(315_537_897_600) - 62_167_219_200 // years 0 to 9999
		r := exprRow{"t": codecs.IntValue(seconds*1000 + g.Int64N(1000))}
		want := table.column(t, fmt.Sprintf(`strftime('%%Y-%%m-%%d %%H:%%M:%%S %%Y|%%m|%%d|%%H|%%M|%%S|', %d, 'unixepoch') || strftime('%%w', %d, 'unixepoch')`, seconds, seconds))[0]
		pad := func(call string) string { return `("0" + string(` + call + `))[-2:] + "|"` }
		text := `date(t) + " " + rfc3339(t)[11:19] + " " + ("000" + string(year(t)))[-4:] + "|" + ` +
			pad("month(t)") + " + " + pad("day(t)") + " + " + pad("hour(t)") + " + " + pad("minute(t)") + " + " + pad("second(t)") + " + string(weekday(t) % 7)"
		if v, err := mustCompile(t, text).eval(r); err != nil || !sameAsSQL(v, want) {
			t.Fatalf("of %v it is %s, %v, SQLite says %v", r["t"].Int(), v.Str, err, want)
		}
	}
}
