//go:build linux

package main

import (
	"bytes"
	"math/rand/v2"
	"strconv"
)

// events makes the events of the query rows: JSON objects of eventBytes, in a line
// each, one in every millisecond of event time, of eventUsers users. Three of four have
// the status "ok".
type events struct {
	random *rand.Rand
	next   int64
}

const (
	eventBytes   = 192
	eventUsers   = 1000
	eventsBegin  = 1_700_000_000_000 // epoch ms
	windowMs     = 10_000
	enoughAmount = 10
)

func newEvents() *events { return &events{random: rand.New(rand.NewPCG(1, 2))} }

// append appends n events.
func (e *events) append(dst []byte, n int) []byte {
	for range n {
		dst = e.one(dst)
	}
	return dst
}

func (e *events) one(dst []byte) []byte {
	start, r := len(dst), e.random
	dst = append(dst, `{"id":"evt-`...)
	dst = appendPadded(dst, e.next, 8)
	dst = append(dst, `","ts":`...)
	dst = strconv.AppendInt(dst, eventsBegin+e.next, 10)
	dst = append(dst, `,"user":"u`...)
	dst = appendPadded(dst, r.Int64N(eventUsers), 4)
	dst = append(dst, `","country":"`...)
	dst = append(dst, [...]string{"DE", "US", "FR", "IN", "BR", "JP"}[r.IntN(6)]...)
	dst = append(dst, `","device":"`...)
	dst = append(dst, [...]string{"mobile", "desktop", "tablet"}[r.IntN(3)]...)
	dst = append(dst, `","amount":`...)
	dst = strconv.AppendFloat(dst, float64(r.IntN(10_000))/100, 'f', -1, 64)
	dst = append(dst, `,"qty":`...)
	dst = strconv.AppendInt(dst, r.Int64N(9), 10)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, [...]string{"ok", "ok", "ok", "fail"}[r.IntN(4)]...)
	dst = append(dst, `","url":"https://shop.example.com/item/`...)
	dst = strconv.AppendInt(dst, r.Int64N(1_000_000), 10)
	dst = append(dst, `","tags":["a","`...)
	const end = `"]}`
	for len(dst)-start < eventBytes-len(end) {
		dst = append(dst, 'p')
	}
	e.next++
	return append(append(dst, end...), '\n')
}

// appendPadded writes n with leading zeros.
func appendPadded(dst []byte, n int64, digits int) []byte {
	text := strconv.FormatInt(n, 10)
	for range digits - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// sums is the query over events written by hand: the status is "ok" and the amount more
// than enoughAmount; by user and tumbling window, their number and the sum of amounts.
// It is the limit that the engine is measured against: it trusts the records to be what
// events makes of them.
type sums struct {
	// whole has all of a record walked through; else the walk ends with the last member
	// that the query needs.
	whole   bool
	windows map[int64]map[string]*userSum
	start   int64 // of the window of the record before
	users   map[string]*userSum
}

type userSum struct {
	number int64
	amount float64
}

func newSums(whole bool) *sums {
	return &sums{whole: whole, windows: map[int64]map[string]*userSum{}, start: -1}
}

// lines adds the events of all lines.
func (s *sums) lines(text []byte) {
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		s.one(text[:end])
		text = text[end+1:]
	}
}

func (s *sums) one(record []byte) {
	var user, status []byte
	var ts int64
	var amount float64
	for at, missing := 1, 4; at < len(record) && (missing > 0 || s.whole); at++ { // behind { or ,
		name := at + 1
		at = afterText(record, name)
		key := record[name : at-1]
		at++ // the colon
		value := at
		missing--
		switch string(key) {
		case "ts":
			ts, at = wholeNumber(record, at)
		case "user":
			at = afterText(record, at+1)
			user = record[value+1 : at-1]
		case "status":
			at = afterText(record, at+1)
			status = record[value+1 : at-1]
		case "amount":
			amount, at = decimal(record, at)
		default:
			at = afterValue(record, at)
			missing++
		}
	}
	if string(status) == "ok" && amount > enoughAmount {
		s.add(user, ts, amount)
	}
}

func (s *sums) add(user []byte, ts int64, amount float64) {
	if start := ts - ts%windowMs; start != s.start {
		if s.users = s.windows[start]; s.users == nil {
			s.users = make(map[string]*userSum, eventUsers)
			s.windows[start] = s.users
		}
		s.start = start
	}
	sum := s.users[string(user)]
	if sum == nil {
		sum = &userSum{}
		s.users[string(user)] = sum
	}
	sum.number++
	sum.amount += amount
}

// rows is how many rows the query gives.
func (s *sums) rows() (n int64) {
	for _, users := range s.windows {
		n += int64(len(users))
	}
	return n
}

// afterText is where a text ends that begins at a place, behind the quote.
func afterText(b []byte, at int) int {
	for {
		at += bytes.IndexByte(b[at:], '"') + 1
		if b[at-2] != '\\' {
			return at
		}
	}
}

func afterValue(b []byte, at int) int {
	depth := 0
	for {
		switch b[at] {
		case '"':
			at = afterText(b, at+1)
		case '[', '{':
			depth++
			at++
		case ']', '}':
			depth--
			at++
		case ',':
			at++
		default:
			_, at = decimal(b, at)
		}
		if depth == 0 {
			return at
		}
	}
}

func wholeNumber(b []byte, at int) (n int64, end int) {
	for ; b[at]-'0' < 10; at++ {
		n = n*10 + int64(b[at]-'0')
	}
	return n, at
}

func decimal(b []byte, at int) (n float64, end int) {
	digits, at := wholeNumber(b, at)
	scale := 1.0
	if b[at] == '.' {
		for at++; b[at]-'0' < 10; at++ {
			digits, scale = digits*10+int64(b[at]-'0'), scale*10
		}
	}
	return float64(digits) / scale, at
}
