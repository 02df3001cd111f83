// Package nexmark has the Nexmark benchmark for Leat: a generator of its events and
// the queries as specs. Nexmark is an online auction: people offer things and bid for
// what others offer. It was described by Tucker, Tufte, Papadimos and Maier, "NEXMark
// – A Benchmark for Queries over Data Streams" (2002), and carried on by Apache Beam
// and by github.com/nexmark/nexmark, whose events and numbers of queries these are.
package nexmark

import (
	"math/bits"
	"strconv"
)

// Kind is what an event tells: a person has registered, an auction been opened, a bid
// been made.
type Kind uint8

// The kinds, in the order in which they come in each 50 events.
const (
	Person Kind = iota
	Auction
	Bid
)

// Topic is the topic that events of the kind belong to.
func (k Kind) Topic() string { return [...]string{"person", "auction", "bid"}[k] }

// Of 50 events that follow each other one is a person, 3 are auctions and 46 are bids.
const (
	persons  = 1
	auctions = 3
	group    = 50
)

// What the benchmark's description fixes.
const (
	firstID         = 1000 // of people and of auctions
	firstCategory   = 10
	categories      = 5
	hotEvery        = 100  // of so many people and auctions one is hot
	activePeople    = 1000 // the latest of whom bid and sell
	auctionsOpen    = 100  // the latest of which are bid for
	ahead           = 10   // people and auctions may be named before they come
	channels        = 10_000
	personBytes     = 200
	auctionBytes    = 500
	bidBytes        = 100
	defaultRate     = 10_000
	defaultStart    = 1_436_918_400_000 // 2015-07-15
	msPerSecond     = 1000
	auctionHorizons = 2
)

// Generator makes the events. Each is a function of its number, and of the fields
// here: any part of the stream can be made again, in any order, on any machine. The
// zero value is the stream with the defaults. It has no state, so that it may be used
// by many goroutines at a time.
type Generator struct {
	Rate    int64 // events in a second of event time; 0 = 10 000
	StartMs int64 // event time of the first event, epoch ms; 0 = 2015-07-15T00:00:00Z
	// Disorder is in how large groups of events the order is shuffled; up to 1, events
	// come in the order of their times.
	Disorder int64
}

// Append appends event n, from 0 on, to dst as a JSON object.
func (g Generator) Append(dst []byte, n int64) ([]byte, Kind) {
	if g.Disorder > 1 {
		into := n % g.Disorder
		n += into*stride(g.Disorder)%g.Disorder - into
	}
	switch at := n % group; {
	case at < persons:
		return g.person(dst, n), Person
	case at < persons+auctions:
		return g.auction(dst, n), Auction
	}
	return g.bid(dst, n), Bid
}

// stride has no factor in common with size, so that its multiples reach every place of
// a group, and is not near to 0 or size, so that they reach it out of order.
func stride(size int64) int64 {
	for s := size*5/8 | 1; ; s++ {
		a, b := size, s
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return s
		}
	}
}

// time is when event n happens, epoch ms.
func (g Generator) time(n int64) int64 {
	rate, start := g.Rate, g.StartMs
	if rate == 0 {
		rate = defaultRate
	}
	if start == 0 {
		start = defaultStart
	}
	return start + n/rate*msPerSecond + n%rate*msPerSecond/rate
}

// lastPerson is how many people there are at event n, less one.
func lastPerson(n int64) int64 { return n / group }

// lastAuction is how many auctions there are at event n, less one.
func lastAuction(n int64) int64 {
	return n/group*auctions + min(n%group-persons, auctions-1)
}

// anyPerson is one of the active people or of those who are about to come.
func anyPerson(d *dice, n int64) int64 {
	people := lastPerson(n) + 1
	active := min(people, activePeople)
	return people - active + d.below(active+ahead)
}

var (
	firstNames = []string{"Ada", "Bruno", "Carla", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kofi"}
	lastNames  = []string{"Almeida", "Berger", "Chen", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ivanova"}
	cities     = []string{"Tucson", "Mesa", "Oakland", "Fresno", "Boise", "Nampa", "Salem", "Eugene", "Tacoma", "Laramie"}
	states     = []string{"AZ", "CA", "ID", "OR", "WA", "WY"}
	hot        = []string{"Google", "Facebook", "Baidu", "Apple"}
)

func (g Generator) person(dst []byte, n int64) []byte {
	d, first := diceOf(int64(Person), n), len(dst)
	dst = number(append(dst, '{'), "id", firstID+lastPerson(n))
	dst = open(dst, "name")
	dst = append(dst, d.oneOf(firstNames)...)
	dst = append(dst, ' ')
	dst = append(dst, d.oneOf(lastNames)...)
	dst = open(append(dst, '"'), "emailAddress")
	dst = append(d.word(dst, 7, '.'), '@')
	dst = append(d.word(dst, 5, '-'), ".com"...)
	dst = open(append(dst, '"'), "creditCard")
	for i := range 4 {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, strconv.FormatInt(10_000+d.below(10_000), 10)[1:]...)
	}
	dst = append(open(append(dst, '"'), "city"), d.oneOf(cities)...)
	dst = append(open(append(dst, '"'), "state"), d.oneOf(states)...)
	dst = number(append(dst, '"'), "dateTime", g.time(n))
	dst = d.about(open(dst, "extra"), int64(len(dst)-first), personBytes)
	return append(dst, `"}`...)
}

func (g Generator) auction(dst []byte, n int64) []byte {
	d, first := diceOf(int64(Auction), n), len(dst)
	seller := lastPerson(n) / hotEvery * hotEvery
	if d.below(4) == 0 {
		seller = anyPerson(&d, n)
	}
	initial, at := d.price(), g.time(n)
	horizon := g.time(n+auctionsOpen*group/auctions) - at
	dst = number(append(dst, '{'), "id", firstID+lastAuction(n))
	dst = d.word(open(dst, "itemName"), 20, ' ')
	dst = d.word(open(append(dst, '"'), "description"), 100, ' ')
	dst = number(append(dst, '"'), "initialBid", initial)
	dst = number(dst, "reserve", initial+d.price())
	dst = number(dst, "dateTime", at)
	dst = number(dst, "expires", at+1+d.below(max(1, auctionHorizons*horizon)))
	dst = number(dst, "seller", firstID+seller)
	dst = number(dst, "category", firstCategory+d.below(categories))
	dst = d.about(open(dst, "extra"), int64(len(dst)-first), auctionBytes)
	return append(dst, `"}`...)
}

func (g Generator) bid(dst []byte, n int64) []byte {
	d := diceOf(int64(Bid), n)
	last := lastAuction(n)
	auction := last / hotEvery * hotEvery
	if d.below(2) == 0 {
		least := max(0, last-auctionsOpen)
		auction = least + d.below(last-least+1+ahead)
	}
	bidder := lastPerson(n)/hotEvery*hotEvery + 1 // not the hot seller
	if d.below(4) == 0 {
		bidder = anyPerson(&d, n)
	}
	dst = number(append(dst, '{'), "auction", firstID+auction)
	dst = number(dst, "bidder", firstID+bidder)
	dst = number(dst, "price", d.price())
	channel := d.below(2 * channels)
	dst = open(dst, "channel")
	if channel < channels {
		dst = strconv.AppendInt(append(dst, "channel-"...), channel, 10)
	} else {
		channel = channels + channel%int64(len(hot))
		dst = append(dst, hot[channel-channels]...)
	}
	dst = appendURL(open(append(dst, '"'), "url"), channel)
	dst = number(append(dst, '"'), "dateTime", g.time(n))
	const fixed = 32 // the numbers, as the benchmark counts the size of a bid
	dst = d.about(open(dst, "extra"), fixed, bidBytes)
	return append(dst, `"}`...)
}

// appendURL appends where a channel leads to, always the same. Nine of ten channels
// that are not hot have their id in it.
func appendURL(dst []byte, channel int64) []byte {
	const channelDice = 3
	d := diceOf(channelDice, channel)
	dst = append(dst, "https://www.nexmark.com/"...)
	for range 3 {
		dst = append(d.word(dst, 5, '_'), '/')
	}
	dst = append(dst, "item.htm?query=1"...)
	if channel < channels && d.below(10) > 0 {
		dst = strconv.AppendInt(append(dst, "&channel_id="...), int64(bits.Reverse32(uint32(channel))>>1), 10)
	}
	return dst
}

// open appends the name of a member and the quote that opens its text.
func open(dst []byte, name string) []byte { return append(member(dst, name), '"') }

func number(dst []byte, name string, value int64) []byte {
	return strconv.AppendInt(member(dst, name), value, 10)
}

func member(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(append(dst, '"'), name...)
	return append(dst, `":`...)
}
