package oracle

import (
	"fmt"
	"regexp"
	"strings"
)

// parameters are the types of what a function of text or time takes, a letter for each
// argument: s text, i an integer, t a time. "" = another function.
func parameters(fn string) string {
	switch fn {
	case "replace":
		return "sss"
	case "trimPrefix", "trimSuffix", "trimset", "indexOf", "lastIndexOf", "split", "regexp_count":
		return "ss"
	case "repeat":
		return "si"
	case "part", "regexp_extract":
		return "ssi"
	case "slice":
		return "sii"
	case "epoch_ms", "rfc3339", "date", "year", "month", "day", "weekday", "hour", "minute", "second":
		return "t"
	}
	return ""
}

// callText applies a function of text or time. Null in gives null out.
func callText(fn string, args []value) (value, error) {
	none := false
	for i, v := range args {
		wanted := parameters(fn)[i]
		fits := v.none() || wanted == 's' && v.kind == text || wanted == 'i' && v.kind == integer || wanted == 't' && (v.number() || v.kind == text)
		if !fits {
			return value{}, fmt.Errorf("argument %d: %w", i, errType)
		}
		none = none || v.none()
	}
	if none {
		return value{kind: null}, nil
	}
	if parameters(fn) == "t" {
		return timePart(fn, args[0])
	}
	s, second := args[0].s, ""
	if len(args) > 1 {
		second = args[1].s
	}
	switch fn {
	case "replace":
		if second == "" { // is found around each character
			return ofText(args[2].s + strings.Join(append(strings.Split(s, ""), ""), args[2].s)), nil
		}
		return ofText(strings.Join(strings.Split(s, second), args[2].s)), nil
	case "trimPrefix":
		return ofText(strings.TrimPrefix(s, second)), nil
	case "trimSuffix":
		return ofText(strings.TrimSuffix(s, second)), nil
	case "trimset":
		return ofText(strings.TrimFunc(s, func(c rune) bool { return strings.ContainsRune(second, c) })), nil
	case "repeat":
		if args[1].i < 0 {
			return value{}, errRange
		}
		return ofText(strings.Repeat(s, int(args[1].i))), nil
	case "slice":
		return ofText(between([]rune(s), args[1].i, args[2].i)), nil
	case "regexp_extract":
		return extract(s, second, int(args[2].i)), nil
	case "regexp_count":
		return ofInt(int64(len(regexp.MustCompile(second).FindAllString(s, -1)))), nil
	case "indexOf", "lastIndexOf":
		return ofInt(indexOf(fn, []rune(s), second)), nil
	}
	return parts(fn, args), nil
}

// between is a slice of text.
func between(s []rune, from, to int64) string {
	n := int64(len(s))
	for _, bound := range []*int64{&from, &to} {
		if *bound < 0 {
			*bound += n
		}
		*bound = min(max(*bound, 0), n)
	}
	return string(s[min(from, to):to])
}

func extract(s, pattern string, group int) value {
	at := regexp.MustCompile(pattern).FindStringSubmatchIndex(s)
	if at == nil || at[2*group] < 0 {
		return value{kind: null}
	}
	return ofText(s[at[2*group]:at[2*group+1]])
}

func indexOf(fn string, s []rune, part string) int64 {
	found := -1
	for i := range len(s) + 1 {
		if strings.HasPrefix(string(s[i:]), part) && (found < 0 || fn == "lastIndexOf") {
			found = i
		}
	}
	return int64(found)
}

// parts is split, or the element "part" takes of it.
func parts(fn string, args []value) value {
	list := strings.Split(args[0].s, args[1].s)
	if fn == "split" {
		for i := range list {
			list[i] = quote(list[i])
		}
		return parse([]byte("[" + strings.Join(list, ",") + "]"))
	}
	i := args[2].i
	if i < 0 {
		i += int64(len(list))
	}
	if i < 0 || i >= int64(len(list)) {
		return value{kind: null}
	}
	return ofText(list[i])
}

// timePart counts years from 400 to 400, then one by one, and then months.
func timePart(fn string, v value) (value, error) {
	ms, ok := instant(v)
	if !ok {
		return value{}, errRange
	}
	const cycle = 146_097 // days in 400 years
	days, within := floor(ms, day)/day, ms-floor(ms, day)
	year := 1970 + 400*(floor(days, cycle)/cycle)
	left := days - floor(days, cycle)
	leap := func() int64 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 1
		}
		return 0
	}
	for ; left >= 365+leap(); year++ {
		left -= 365 + leap()
	}
	month := int64(1)
	for _, n := range []int64{31, 28 + leap(), 31, 30, 31, 30, 31, 31, 30, 31, 30} {
		if left < n {
			break
		}
		left -= n
		month++
	}
	switch fn {
	case "epoch_ms":
		return ofInt(ms), nil
	case "year":
		return ofInt(year), nil
	case "month":
		return ofInt(month), nil
	case "day":
		return ofInt(left + 1), nil
	case "weekday":
		return ofInt(days + 3 - floor(days+3, 7) + 1), nil // it began on a Thursday
	case "hour":
		return ofInt(within / hour), nil
	case "minute":
		return ofInt(within / 60_000 % 60), nil
	case "second":
		return ofInt(within / 1000 % 60), nil
	}
	if year < 0 || year > 9999 {
		return value{}, errRange
	}
	date := fmt.Sprintf("%04d-%02d-%02d", year, month, left+1)
	if fn == "rfc3339" {
		date += fmt.Sprintf("T%02d:%02d:%02d.%03dZ", within/hour, within/60_000%60, within/1000%60, within%1000)
	}
	return ofText(date), nil
}
