package queries

import (
	"strings"
	"testing"

	"leat/codecs"
)

// checkValues compares expressions with what they are to give.
func checkValues(t *testing.T, r exprRow, table [][2]string) {
	t.Helper()
	for _, c := range table {
		got := ""
		if compiled, err := compileText(c[0]); err != nil {
			got = "error: " + err.(*exprError).message
		} else {
			checkNormalForm(t, compiled, c[0])
			got = outcome(compiled.eval(r))
		}
		if got != c[1] {
			t.Errorf("%s = %s, want %s", c[0], got, c[1])
		}
	}
}

func TestTextFunctions(t *testing.T) {
	t.Parallel()
	r := exprRow{
		"url": codecs.StringValue("https://www.nexmark.com/a/b/item.htm?query=1"), "s": codecs.StringValue("héllo wörld"),
		"e": codecs.StringValue(""), "z": codecs.NullValue(), "i": codecs.IntValue(2), "o": codecs.ObjectValue("{}"),
	}
	checkValues(t, r, [][2]string{
		{`split(url, "/")[3]`, `"a"`}, {`split(url, '/')[5]`, `"item.htm?query=1"`}, {`split(url, "/")[6]`, "nil"}, {`split(url, "/")[-1]`, `"item.htm?query=1"`},
		{`split(url, "/")[-6]`, `"https:"`}, {`split(url, "/")[-7]`, "nil"}, {`split(url, "/")[1]`, `""`}, {`split(e, "/")[0]`, `""`}, {`split(e, "/")[1]`, "nil"},
		{`split(s, "")[1]`, `"é"`}, {`split(s, "")[-1]`, `"d"`}, {`split(s, "")[11]`, "nil"}, {`split(s, "")[-12]`, "nil"}, {`split(e, "")[0]`, "nil"},
		{`split("aaa", "aa")[-1]`, `"a"`}, {`split("aaa", "aa")[0]`, `""`}, {`split(z, "/")[0]`, "nil"}, {`split(s, z)[0]`, "nil"}, {`split(o, "/")[0]`, `error: split() of object in "split(o, \"/\")[0]"`},
		{`split("a,b", ",")[1] + "c"`, `"bc"`}, {`split(s, " ")`, `["héllo","wörld"]`}, {`split("a,b", ",")`, `["a","b"]`}, {`split(e, ",")`, `[""]`}, {`split(e, "")`, "[]"},
		{"s[1:4]", `"éll"`}, {"s[:2]", `"hé"`}, {"s[9:]", `"ld"`}, {"s[-2:]", `"ld"`}, {"s[-20:2]", `"hé"`}, {"s[:-6]", `"héllo"`}, {"s[3:1]", `""`}, {"s[50:60]", `""`}, {"s[:]", `"héllo wörld"`},
		{"s[i:i+1]", `"l"`}, {"s[i:z]", "nil"}, {"z[1:2]", "nil"}, {"i[1:2]", `error: [:] of int in "i[1:2]"`}, {"s[s:2]", `error: [:] of string in "s[s:2]"`},
		{"(s + e)[:1] + upper(s)[1:2]", `"hÉ"`}, {"'abc'[1:2]", `"b"`}, {"s[-9223372036854775807:9223372036854775806]", `"héllo wörld"`},
		{`replace(s, "l", "LL")`, `"héLLLLo wörLLd"`}, {`replace(s, "x", "y")`, `"héllo wörld"`}, {`replace("ab", "", "-")`, `"-a-b-"`}, {"replace(s, z, 'a')", "nil"},
		{`repeat("ab", i)`, `"abab"`}, {"repeat(s, 0)", `""`}, {"repeat(s, -1)", `error: repeat() -1 times in "repeat(s, -1)"`}, {"repeat(e, 9223372036854775807)", `""`},
		{"repeat(s, 9223372036854775807)", `error: a string of more than 1048576 bytes in "repeat(s, 9223372036854775807)"`},
		{"repeat('x', 1048577)", `error: a string of more than 1048576 bytes`},
		{`indexOf(s, "l")`, "2"}, {`lastIndexOf(s, "l")`, "9"}, {`indexOf(s, "x")`, "-1"}, {`indexOf(s, "")`, "0"}, {`lastIndexOf(s, "")`, "11"}, {"indexOf(s, z)", "nil"},
		{`trim("  a ")`, `"a"`}, {`trim("xyaxb", "xyb")`, `"a"`}, {`trimPrefix(s, "hé")`, `"llo wörld"`}, {`trimSuffix(s, "rld")`, `"héllo wö"`}, {"trim(s, z)", "nil"},
		{`lower(url) matches "^https://[^/]*nexmark"`, "true"},
		{`regexp_extract("/x&channel_id=77&y", "(&|^)channel_id=([^&]*)", 2)`, `"77"`}, {`regexp_extract(url, "[a-z]+")`, `"https"`}, {`regexp_extract(url, "[0-9]{2}")`, "nil"},
		{`regexp_extract(url, "(a)|(https)", 1)`, "nil"}, {`regexp_extract(z, "a")`, "nil"}, {`regexp_extract(i, "a")`, `error: regexp_extract() of int in "regexp_extract(i, \"a\")"`},
		{`regexp_count(s, "l")`, "3"}, {`regexp_count(s, "[lo]+")`, "2"}, {`regexp_count("aaa", "aa")`, "1"}, {`regexp_count("abc", "x*")`, "4"}, {`regexp_count("a.b.", "\\.")`, "2"}, {`regexp_count(z, "l")`, "nil"},
		{`regexp_count("foo bar", "^f|\\bb")`, "2"},
	})
}

// TestTextFunctionBounds holds that no function makes more text than an expression may.
func TestTextFunctionBounds(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("x", maxTextBytes/2)
	r := exprRow{"s": codecs.StringValue(half), "t": codecs.StringValue("ab")}
	for text, fits := range map[string]bool{
		`replace(s, "x", t)`:     true,
		`replace(s, "x", t + t)`: false,
		`replace(s, "", t)`:      false,
		`repeat(s, 2)`:           true,
		`repeat(s + "x", 2)`:     false,
		`split(s, "")`:           false,
		`split(s, "x")`:          false,
		`split(s, "y")`:          true,
	} {
		c, err := compileText(text)
		if err == nil {
			_, err = c.eval(r)
		}
		if (err == nil) != fits {
			t.Errorf("%s: %v", text, err)
		}
	}
}
