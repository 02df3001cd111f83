package codecs

// ParseTime reads an RFC 3339 date and time, such as 2024-02-29T23:59:59.25+01:00,
// as milliseconds since the Unix epoch. Digits of the fraction beyond milliseconds
// are cut, towards the past. The letters T and Z may be in lower case, as the RFC
// allows. A leap second (seconds of 60) is refused, as Unix time has no place for it.
// Years run from 0000 to 9999. It does not allocate.
func ParseTime(s string) (ms int64, ok bool) {
	if len(s) < len("2006-01-02T15:04:05Z") ||
		s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	year := twoDigits(s, 0)*100 + twoDigits(s, 2)
	month, day := twoDigits(s, 5), twoDigits(s, 8)
	hour, minute, second := twoDigits(s, 11), twoDigits(s, 14), twoDigits(s, 17)
	if year < 0 || twoDigits(s, 2) < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, false
	}
	frac, rest, ok := parseFraction(s[19:])
	if !ok {
		return 0, false
	}
	offset, ok := parseZone(rest)
	if !ok {
		return 0, false
	}
	minutes := (daysSinceEpoch(year, month, day)*24+hour)*60 + minute - offset
	return int64(minutes*60+second)*1000 + int64(frac), true
}

// invalid is far enough below zero to stay negative in the sums of ParseTime.
const invalid = -1 << 20

// twoDigits reads the digits at s[i] and s[i+1], or returns invalid.
func twoDigits(s string, i int) int {
	a, b := s[i]-'0', s[i+1]-'0'
	if a > 9 || b > 9 {
		return invalid
	}
	return int(a)*10 + int(b)
}

// parseFraction reads an optional fraction of a second into milliseconds.
func parseFraction(s string) (ms int, rest string, ok bool) {
	if s[0] != '.' {
		return 0, s, true
	}
	i, scale := 1, 100
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		ms += int(s[i]-'0') * scale
		scale /= 10
	}
	return ms, s[i:], i > 1
}

// parseZone reads Z or ±hh:mm, all of s, as minutes east of Greenwich.
func parseZone(s string) (minutes int, ok bool) {
	if len(s) == 1 {
		return 0, s[0]|0x20 == 'z'
	}
	if len(s) != 6 || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hour, minute := twoDigits(s, 1), twoDigits(s, 4)
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, false
	}
	if s[0] == '-' {
		return -(hour*60 + minute), true
	}
	return hour*60 + minute, true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSinceEpoch counts days from 1970-01-01 in the proleptic Gregorian calendar.
// Algorithm: days_from_civil by Howard Hinnant, for years from 0 on.
func daysSinceEpoch(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	dayOfYear := (153*(month-3)+2)/5 + day - 1 // years start on the first of March
	era := year / 400
	if year < 0 {
		era = -1 // January and February of the year 0
	}
	yearOfEra := year - era*400
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return era*146097 + dayOfEra - 719468
}
