package api

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// jsonText is unquote by other means: encoding/json, and a scan for the escapes of
// lone surrogates, which it replaces silently.
func jsonText(line string) string {
	var text string
	trimmed := strings.Trim(line, " \t\r\n")
	if !utf8.ValidString(line) || !strings.HasPrefix(trimmed, `"`) || json.Unmarshal([]byte(line), &text) != nil {
		return line
	}
	escapes := regexp.MustCompile(`\\(u[0-9a-fA-F]{4}|.)`)
	high := -1 // where the last high surrogate ends
	for _, at := range escapes.FindAllStringIndex(trimmed, -1) {
		escape := trimmed[at[0]:at[1]]
		code := uint64(0)
		if len(escape) == 6 {
			code, _ = strconv.ParseUint(escape[2:], 16, 32)
		}
		low := code >= 0xDC00 && code <= 0xDFFF
		if low != (high == at[0]) || high >= 0 && high != at[0] {
			return line
		}
		if high = -1; code >= 0xD800 && code <= 0xDBFF {
			high = at[1]
		}
	}
	if high >= 0 {
		return line
	}
	return text
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "A.b_c-9": true, "9": true, strings.Repeat("a", 249): true,
		"": false, ".": false, "..": false, "../x": false, "-a": false, "_a": false, "a/b": false, "a b": false,
		"a\n": false, "a\x00": false, "é": false, strings.Repeat("a", 250): false,
	} {
		if got := validName(name, maxTopicName); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"offset", "limit", "encoding", "wait_ms"}
	for name, want := range map[string]string{"ofset": "offset", "limits": "limit", "waitms": "wait_ms", "zzzzzz": "", "x": ""} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q: nearest is %q, want %q", name, got, want)
		}
	}
}
