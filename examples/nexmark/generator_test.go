package nexmark

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
)

// event has the members of all kinds. One that is missing is its zero value.
type event struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Email       string `json:"emailAddress"`
	CreditCard  string `json:"creditCard"`
	City        string `json:"city"`
	State       string `json:"state"`
	ItemName    string `json:"itemName"`
	Description string `json:"description"`
	InitialBid  int64  `json:"initialBid"`
	Reserve     int64  `json:"reserve"`
	Expires     int64  `json:"expires"`
	Seller      int64  `json:"seller"`
	Category    int64  `json:"category"`
	Auction     int64  `json:"auction"`
	Bidder      int64  `json:"bidder"`
	Price       int64  `json:"price"`
	Channel     string `json:"channel"`
	URL         string `json:"url"`
	DateTime    int64  `json:"dateTime"`
	Extra       string `json:"extra"`
}

func decode(t testing.TB, text []byte) (e event) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

// TestEventsStayTheSame: who has measured with the events of one version can compare
// with another.
func TestEventsStayTheSame(t *testing.T) {
	t.Parallel()
	const want = "09bd9c6008833d7368f1e681a22c91215aaff820f3dc58884f4df1b3f0bd8b90"
	sum := sha256.New()
	var text []byte
	for n := range int64(20_000) {
		text, _ = Generator{}.Append(text[:0], n)
		sum.Write(append(text, '\n'))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("SHA-256 of the first 20 000 events: %s, want %s", got, want)
	}
}

// TestEvents: kinds, ids, times and references are those of the description.
func TestEvents(t *testing.T) {
	t.Parallel()
	g := Generator{Rate: 1000, StartMs: 5_000_000}
	const events = 50_000
	var bytesOf, count [3]int64
	people, open := int64(0), int64(0)
	for n := range int64(events) {
		text, kind := g.Append(nil, n)
		e := decode(t, text)
		count[kind]++
		bytesOf[kind] += int64(len(text))
		if e.DateTime != 5_000_000+n {
			t.Fatalf("event %d is at %d", n, e.DateTime)
		}
		switch kind {
		case Person:
			if e.ID != firstID+people || e.Name == "" || len(e.CreditCard) != 19 || !slices.Contains(states, e.State) || !strings.Contains(e.Email, "@") {
				t.Fatalf("person %d: %s", people, text)
			}
			people++
		case Auction:
			late := e.Seller-firstID >= people+ahead || e.Seller-firstID < max(0, people-people%hotEvery-activePeople)
			if e.ID != firstID+open || e.Reserve <= e.InitialBid || e.Expires <= e.DateTime || e.Expires > e.DateTime+2*1667 || late ||
				e.Category < firstCategory || e.Category >= firstCategory+categories {
				t.Fatalf("auction %d: %s", open, text)
			}
			open++
		case Bid:
			auction, bidder := e.Auction-firstID, e.Bidder-firstID
			if auction < open-open%hotEvery-auctionsOpen-hotEvery || auction >= open+ahead || bidder < 0 || bidder >= people+ahead && bidder%hotEvery != 1 {
				t.Fatalf("bid with %d auctions and %d people: %s", open, people, text)
			}
		}
	}
	if count != [3]int64{events / 50, events / 50 * 3, events / 50 * 46} {
		t.Errorf("%d people, auctions, bids", count)
	}
	for kind, want := range map[Kind]int64{Person: 200, Auction: 500, Bid: 270} {
		if mean := bytesOf[kind] / count[kind]; mean < want*8/10 || mean > want*12/10 {
			t.Errorf("a %s has %d bytes on average", kind.Topic(), mean)
		}
	}
}

// TestHotOnes: how often bids go to the hot ones, and what is bid.
func TestHotOnes(t *testing.T) {
	t.Parallel()
	const events = 80_000
	var bids, auctionHot, bidderHot, channelHot, withID, other float64
	var decades [6]float64
	urls := map[string]string{}
	for n := range int64(events) {
		text, kind := Generator{}.Append(nil, n)
		if kind != Bid {
			continue
		}
		e := decode(t, text)
		bids++
		if e.Auction%hotEvery == 0 {
			auctionHot++
		}
		if e.Bidder%hotEvery == 1 {
			bidderHot++
		}
		decades[int(math.Log10(float64(e.Price)))-2]++
		if before, known := urls[e.Channel]; known && before != e.URL {
			t.Fatalf("channel %s leads to %s and to %s", e.Channel, before, e.URL)
		}
		urls[e.Channel] = e.URL
		if slices.Contains(hot, e.Channel) {
			channelHot++
			continue
		}
		other++
		if strings.Contains(e.URL, "&channel_id=") {
			withID++
		}
	}
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"hot auctions", auctionHot / bids, 0.5 + 0.5/hotEvery}, {"hot bidders", bidderHot / bids, 0.75 + 0.25/hotEvery},
		{"hot channels", channelHot / bids, 0.5}, {"channel ids", withID / other, 0.9},
		{"prices below 1000", decades[0] / bids, 1.0 / 6}, {"prices below 10000", decades[1] / bids, 1.0 / 6},
		{"prices from 10⁷ on", decades[5] / bids, 1.0 / 6},
	} {
		if math.Abs(c.got-c.want) > 0.01 {
			t.Errorf("%s: %.4f of all, want %.4f", c.what, c.got, c.want)
		}
	}
	if len(urls) < 9_000 {
		t.Errorf("%d channels", len(urls))
	}
}

// TestDisorder: the same events, those of a group in another order.
func TestDisorder(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 2, 7, 1000, 952, 953, 1024} {
		var plain, mixed []string
		moved := 0
		for n := range int64(6_000) / max(1, size) * max(1, size) {
			a, _ := Generator{}.Append(nil, n)
			b, _ := Generator{Disorder: size}.Append(nil, n)
			plain, mixed = append(plain, string(a)), append(mixed, string(b))
			if !bytes.Equal(a, b) {
				moved++
			}
		}
		slices.Sort(plain)
		slices.Sort(mixed)
		if !slices.Equal(plain, mixed) {
			t.Errorf("groups of %d: not the same events", size)
		}
		if size > 2 && moved < len(plain)/2 {
			t.Errorf("groups of %d: only %d of %d events moved", size, moved, len(plain))
		}
	}
}

// TestPriceEdges: the smallest and the largest factor stay in range.
func TestPriceEdges(t *testing.T) {
	t.Parallel()
	d, least, most := dice(1), int64(math.MaxInt64), int64(0)
	for range 400_000 {
		p := d.price()
		least, most = min(least, p), max(most, p)
	}
	if least < 100 || least > 101 || most >= 100_000_000 || most < 99_800_000 {
		t.Errorf("prices from %d to %d", least, most)
	}
}

func TestNoAllocation(t *testing.T) {
	buf := make([]byte, 0, 4096)
	n := int64(0)
	if got := testing.AllocsPerRun(1000, func() {
		buf, _ = Generator{}.Append(buf[:0], n)
		n++
	}); got != 0 {
		t.Errorf("%v allocations an event", got)
	}
}

func BenchmarkGenerator(b *testing.B) {
	buf := make([]byte, 0, 4096)
	n := int64(0)
	for b.Loop() {
		buf, _ = Generator{}.Append(buf[:0], n)
		n++
	}
}
