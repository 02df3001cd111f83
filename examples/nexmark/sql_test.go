package nexmark

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// What the SQL of the benchmark says of a list of bids, in plain Go. None of it comes
// from the engine or from its oracle.

// object writes members in this order.
func object(members ...any) string {
	var b bytes.Buffer
	for i := 0; i < len(members); i += 2 {
		b.WriteByte(",{"[bool01(i == 0)])
		for j := range 2 {
			text := bytes.NewBuffer(nil)
			e := json.NewEncoder(text)
			e.SetEscapeHTML(false)
			if err := e.Encode(members[i+j]); err != nil {
				panic(err)
			}
			if j == 1 {
				b.WriteByte(':')
			}
			b.Write(bytes.TrimSpace(text.Bytes()))
		}
	}
	return b.String() + "}"
}

func bool01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// euros is 0.908 * cents as the decimal that it is.
func euros(cents int64) json.Number {
	text := fmt.Sprintf("%d.%03d", cents*908/1000, cents*908%1000)
	return json.Number(strings.TrimSuffix(strings.TrimRight(text, "0"), "."))
}

func each(bids []event, row func(b *event) (string, bool)) (rows []string) {
	for i := range bids {
		if text, ok := row(&bids[i]); ok {
			rows = append(rows, text)
		}
	}
	return rows
}

func sqlQ0(b *event) (string, bool) {
	return object("auction", b.Auction, "bidder", b.Bidder, "price", b.Price, "dateTime", b.DateTime, "extra", b.Extra), true
}

func sqlQ1(b *event) (string, bool) {
	return object("auction", b.Auction, "bidder", b.Bidder, "price", euros(b.Price), "dateTime", b.DateTime, "extra", b.Extra), true
}

func sqlQ2(b *event) (string, bool) {
	return object("auction", b.Auction, "price", b.Price), b.Auction%123 == 0
}

// hops counts the bids of each auction in each window of 10 s that begins every 2 s,
// by the start of the window.
func hops(bids []event) map[int64]map[int64]int64 {
	counts := map[int64]map[int64]int64{}
	for _, b := range bids {
		for start := b.DateTime / 2000 * 2000; start > b.DateTime-10_000; start -= 2000 {
			if counts[start] == nil {
				counts[start] = map[int64]int64{}
			}
			counts[start][b.Auction]++
		}
	}
	return counts
}

func sqlQ5Counts(bids []event) (rows []string) {
	counts := hops(bids)
	for _, start := range slices.Sorted(maps.Keys(counts)) {
		for _, auction := range slices.Sorted(maps.Keys(counts[start])) {
			rows = append(rows, object("auction", auction, "num", counts[start][auction], "starttime", start, "endtime", start+10_000))
		}
	}
	return rows
}

// sqlQ5 are the auctions with the most bids, all of them, window by window.
func sqlQ5(bids []event) (windows [][]string) {
	counts := hops(bids)
	for _, start := range slices.Sorted(maps.Keys(counts)) {
		most := slices.Max(slices.Collect(maps.Values(counts[start])))
		var ties []string
		for _, auction := range slices.Sorted(maps.Keys(counts[start])) {
			if counts[start][auction] == most {
				ties = append(ties, object("auction", auction, "num", most, "starttime", start, "endtime", start+10_000))
			}
		}
		windows = append(windows, ties)
	}
	return windows
}

// sqlQ7 are the highest bids, all of them, window by window.
func sqlQ7(bids []event) (windows [][]string) {
	highest := map[int64]int64{}
	for _, b := range bids {
		start := b.DateTime / 10_000
		highest[start] = max(highest[start], b.Price)
	}
	for _, start := range slices.Sorted(maps.Keys(highest)) {
		var ties []string
		for _, b := range bids {
			if b.DateTime/10_000 == start && b.Price == highest[start] {
				ties = append(ties, object("auction", b.Auction, "price", b.Price, "bidder", b.Bidder, "dateTime", b.DateTime, "extra", b.Extra))
			}
		}
		windows = append(windows, ties)
	}
	return windows
}

// sqlQ11 are the sessions of each bidder. Bids 10 s apart are in different ones.
func sqlQ11(bids []event) (rows []string) {
	times := map[int64][]int64{}
	for _, b := range bids {
		times[b.Bidder] = append(times[b.Bidder], b.DateTime)
	}
	for bidder, at := range times {
		slices.Sort(at)
		for from := 0; from < len(at); {
			to := from + 1
			for to < len(at) && at[to]-at[to-1] < 10_000 {
				to++
			}
			rows = append(rows, object("bidder", bidder, "bid_count", to-from, "starttime", at[from], "endtime", at[to-1]+10_000))
			from = to
		}
	}
	return rows
}

// sqlQ12 counts the bids of each bidder in windows of the time at which they came in.
func sqlQ12(bids []event, cameIn []int64) (rows []string) {
	type group struct{ start, bidder int64 }
	counts := map[group]int64{}
	for i, b := range bids {
		counts[group{cameIn[i] / 10_000 * 10_000, b.Bidder}]++
	}
	for g, n := range counts {
		rows = append(rows, object("bidder", g.bidder, "bid_count", n, "starttime", g.start, "endtime", g.start+10_000))
	}
	return rows
}

func sqlQ14(b *event) (string, bool) {
	kind := "otherTime"
	switch hour := b.DateTime / 3_600_000 % 24; {
	case hour >= 8 && hour <= 18:
		kind = "dayTime"
	case hour <= 6 || hour >= 20:
		kind = "nightTime"
	}
	return object("auction", b.Auction, "bidder", b.Bidder, "price", euros(b.Price), "bidTimeType", kind,
			"dateTime", b.DateTime, "extra", b.Extra, "c_counts", strings.Count(b.Extra, "c")),
		b.Price*908 > 1_000_000_000 && b.Price*908 < 50_000_000_000
}

const dayMs = 24 * 3_600_000

// date writes a day as SQL does. The tests use few days.
func date(ms int64) string {
	return map[int64]string{16630: "2015-07-14", 16631: "2015-07-15"}[ms/dayMs]
}

// ranks are how many of the values there are of bids of each of three ranges of
// prices, and of all.
type ranks [4]map[int64]bool

func (r *ranks) add(price, value int64) {
	rank := 1 + bool01(price >= 10_000) + bool01(price >= 1_000_000)
	for _, at := range []int{0, rank} {
		if r[at] == nil {
			r[at] = map[int64]bool{}
		}
		r[at][value] = true
	}
}

// statistics are what queries 15, 16 and 17 say of a group of bids.
type statistics struct {
	bids, bidders, auctions ranks
	last                    int64 // ms
	prices                  []int64
}

func statisticsBy(bids []event, of func(b *event) string) map[string]*statistics {
	groups := map[string]*statistics{}
	for i := range bids {
		b := &bids[i]
		s := groups[of(b)]
		if s == nil {
			s = &statistics{}
			groups[of(b)] = s
		}
		s.bids.add(b.Price, int64(i))
		s.bidders.add(b.Price, b.Bidder)
		s.auctions.add(b.Price, b.Auction)
		s.last = max(s.last, b.DateTime)
		s.prices = append(s.prices, b.Price)
	}
	return groups
}

// members names the sizes.
func (r *ranks) members(what string) (list []any) {
	for i, prefix := range []string{"total", "rank1", "rank2", "rank3"} {
		list = append(list, prefix+"_"+what, len(r[i]))
	}
	return list
}

func sqlQ15(bids []event) (rows []string) {
	for day, s := range statisticsBy(bids, func(b *event) string { return date(b.DateTime) }) {
		rows = append(rows, object(slices.Concat([]any{"day", day}, s.bids.members("bids"), s.bidders.members("bidders"), s.auctions.members("auctions"))...))
	}
	return rows
}

func sqlQ16(bids []event) (rows []string) {
	for key, s := range statisticsBy(bids, func(b *event) string { return b.Channel + " " + date(b.DateTime) }) {
		channel, day, _ := strings.Cut(key, " ")
		minute := fmt.Sprintf("%02d:%02d", s.last%dayMs/3_600_000, s.last%3_600_000/60_000)
		rows = append(rows, object(slices.Concat([]any{"channel", channel, "day", day, "minute", minute},
			s.bids.members("bids"), s.bidders.members("bidders"), s.auctions.members("auctions"))...))
	}
	return rows
}

func sqlQ17(bids []event) (rows []string) {
	for key, s := range statisticsBy(bids, func(b *event) string { return fmt.Sprint(b.Auction, " ", date(b.DateTime)) }) {
		auction, day, _ := strings.Cut(key, " ")
		sum := int64(0)
		for _, p := range s.prices {
			sum += p
		}
		rows = append(rows, object(slices.Concat([]any{"auction", json.Number(auction), "day", day}, s.bids.members("bids"),
			[]any{"min_price", slices.Min(s.prices), "max_price", slices.Max(s.prices), "avg_price", sum / int64(len(s.prices)), "sum_price", sum})...))
	}
	return rows
}

func sqlQ21(b *event) (string, bool) {
	var id any
	switch at := slices.Index([]string{"apple", "google", "facebook", "baidu"}, strings.ToLower(b.Channel)); {
	case at >= 0:
		id = fmt.Sprint(at)
	default:
		if _, after, found := strings.Cut(b.URL, "&channel_id="); found {
			id, _, _ = strings.Cut(after, "&")
		}
	}
	return object("auction", b.Auction, "bidder", b.Bidder, "price", b.Price, "channel", b.Channel, "channel_id", id), id != nil
}

func sqlQ22(b *event) (string, bool) {
	dirs := strings.Split(b.URL, "/")
	return object("auction", b.Auction, "bidder", b.Bidder, "price", b.Price, "channel", b.Channel,
		"dir1", dirs[3], "dir2", dirs[4], "dir3", dirs[5]), true
}

// sameRows compares without regard to the order, which SQL leaves open.
func sameRows(t *testing.T, want, got []string) {
	t.Helper()
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if slices.Equal(want, got) {
		return
	}
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			t.Fatalf("%d rows, want %d; sorted, they differ at %d:\nwant %s\ngot  %s", len(got), len(want), i, at(want, i), at(got, i))
		}
	}
}

// oneOfEach wants one row of each window, in the order of the windows.
func oneOfEach(t *testing.T, windows [][]string, got []string) {
	t.Helper()
	if len(got) != len(windows) {
		t.Errorf("%d rows, want %d", len(got), len(windows))
	}
	for i, row := range got[:min(len(got), len(windows))] {
		if !slices.Contains(windows[i], row) {
			t.Errorf("row %d is %s, want one of %d: %s", i, row, len(windows[i]), cmp.Or(windows[i]...))
		}
	}
}

func at(rows []string, i int) string {
	if i < len(rows) {
		return rows[i]
	}
	return "nothing"
}
