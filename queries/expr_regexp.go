package queries

import (
	"fmt"
	"regexp"
	"strings"

	"leat/codecs"
)

// Patterns have the syntax of RE2, are literals, and are compiled once. Matching takes
// time linear in the text.

// regexpExtract makes regexp_extract(s, pattern, group) of the pattern and the group, 0
// where none is given: what the group has of the leftmost match, null where there is no
// match or the group has no part in it.
func regexpExtract(literals []codecs.Value) (prepared, error) {
	re, group, err := patternAndGroup(literals)
	if err != nil {
		return nil, err
	}
	return func(x codecs.Value) (codecs.Value, error) {
		var at []int
		if group == 0 {
			at = re.FindStringIndex(x.Str)
		} else {
			at = re.FindStringSubmatchIndex(x.Str)
		}
		if at == nil || at[2*group] < 0 {
			return codecs.NullValue(), nil
		}
		return codecs.StringValue(x.Str[at[2*group]:at[2*group+1]]), nil
	}, nil
}

func patternAndGroup(literals []codecs.Value) (re *regexp.Regexp, group int, err error) {
	if literals[0].Kind != codecs.String {
		return nil, 0, fmt.Errorf("regexp_extract() takes its pattern as a string, not %s", literals[0].Kind)
	}
	if re, err = regexp.Compile(literals[0].Str); err != nil || len(literals) == 1 {
		return re, 0, err
	}
	g := literals[1]
	if g.Kind != codecs.Int || g.Int() < 0 || g.Int() > int64(re.NumSubexp()) {
		return nil, 0, fmt.Errorf("regexp_extract() takes a group from 0 to %d, as many as the pattern has", re.NumSubexp())
	}
	return re, int(g.Int()), nil
}

// regexpCount makes regexp_count(s, pattern) of the pattern: the number of matches from
// left to right that do not overlap.
func regexpCount(literals []codecs.Value) (prepared, error) {
	re, err := regexp.Compile(literals[0].Str)
	if err != nil {
		return nil, err
	}
	if text, whole := re.LiteralPrefix(); whole && text != "" {
		return func(x codecs.Value) (codecs.Value, error) {
			return codecs.IntValue(int64(strings.Count(x.Str, text))), nil
		}, nil
	}
	return func(x codecs.Value) (codecs.Value, error) {
		n := int64(0)
		re.ReplaceAllStringFunc(x.Str, func(string) string { // keeps no list of the matches
			n++
			return ""
		})
		return codecs.IntValue(n), nil
	}, nil
}
