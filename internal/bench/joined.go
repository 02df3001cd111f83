//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// joinQuery joins two topics of the same events, each event with itself.
const joinQuery = `"join":{"on":[["id","id"]],"window":{"tumbling":"10s"},
	"left":{"topic":"%[1]s","until":"end","event_time":"ts"},"right":{"topic":"%[2]s","until":"end","event_time":"ts"}},
	"select":{"id":"left.id","user":"left.user","amount":"right.amount"}`

// eventsToJoin is how many events each side of a join has.
const eventsToJoin = 500_000

// join measures a join of two topics on one core of a node, beside a hash join that is
// written by hand for it.
func (b *bench) join() error {
	node, err := b.startOnOneCore()
	if err != nil {
		return err
	}
	defer node.kill()
	for _, topic := range []string{"left", "right"} {
		if err := b.fillEvents(node, topic, 1, eventsToJoin); err != nil {
			return err
		}
	}
	text := newEvents().append(nil, eventsToJoin)
	all, err := alternate(b.rounds,
		contestant{"the loop", func() (outcome, error) { return joinLoop(text, text), nil }},
		contestant{"a join on one core", func() (outcome, error) { return b.runQuery(node, fmt.Sprintf(joinQuery, "left", "right"), "") }},
	)
	if err != nil {
		return err
	}
	b.add(
		eventRow("**leat query**, join of two topics 1:1, tumbling, on 1 core of a node", all[1],
			fmt.Sprintf("%.2f of the loop; %s rows/s out, aim 400 k", all[1].ratio(all[0]), amount(all[1].perSecond()/2))),
		eventRow("the same hash join written by hand", all[0], ""))
	return nil
}

func joinLoop(left, right []byte) outcome {
	began := time.Now()
	newPairs().lines(left, right)
	return outcome{perSecond: 2 * eventsToJoin / time.Since(began).Seconds()}
}

// pairs is the join written by hand: events that both sides have in order of time are
// joined window by window, the left ones of a window by id in a map. Like sums, it trusts
// the records.
type pairs struct {
	users map[string]string // of the left events of the window, by id
	out   []byte
	rows  int
}

func newPairs() *pairs { return &pairs{users: map[string]string{}} }

func (p *pairs) lines(left, right []byte) {
	for len(left) > 0 || len(right) > 0 {
		end := min(windowEnd(left), windowEnd(right))
		clear(p.users)
		for len(left) > 0 && eventTime(left) < end {
			var line []byte
			line, left = cutLine(left)
			p.users[string(textOf(line, `"id":"`))] = string(textOf(line, `"user":"`))
		}
		for len(right) > 0 && eventTime(right) < end {
			var line []byte
			line, right = cutLine(right)
			id := textOf(line, `"id":"`)
			if user, ok := p.users[string(id)]; ok {
				p.one(id, user, line)
			}
		}
	}
}

func (p *pairs) one(id []byte, user string, right []byte) {
	at := bytes.Index(right, []byte(`"amount":`)) + len(`"amount":`)
	amount, _ := decimal(right, at)
	p.out = append(append(append(p.out[:0], `{"id":"`...), id...), `","user":"`...)
	p.out = append(append(p.out, user...), `","amount":`...)
	p.out = append(strconv.AppendFloat(p.out, amount, 'f', -1, 64), '}')
	p.rows++
}

func cutLine(text []byte) (line, rest []byte) {
	end := bytes.IndexByte(text, '\n')
	return text[:end], text[end+1:]
}

// eventTime is the time of the first event of a text.
func eventTime(text []byte) int64 {
	ts, _ := wholeNumber(text, bytes.Index(text, []byte(`"ts":`))+len(`"ts":`))
	return ts
}

// windowEnd is where the window of the first event ends.
func windowEnd(text []byte) int64 {
	if len(text) == 0 {
		return 1 << 62
	}
	ts := eventTime(text)
	return ts - ts%windowMs + windowMs
}

// textOf is the text behind the first mark.
func textOf(line []byte, mark string) []byte {
	at := bytes.Index(line, []byte(mark)) + len(mark)
	return line[at : afterText(line, at)-1]
}
