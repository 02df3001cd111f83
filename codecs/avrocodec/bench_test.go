package avrocodec

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hamba/avro/v2"

	"leat/codecs"
	"leat/codecs/codecstest"
)

// order is a record of twelve fields, and orderSchema what it is written with.
type order struct {
	ID      string   `avro:"id"`
	TS      int64    `avro:"ts"`
	User    string   `avro:"user"`
	Country string   `avro:"country"`
	Device  string   `avro:"device"`
	Amount  float64  `avro:"amount"`
	Qty     int      `avro:"qty"`
	Status  string   `avro:"status"`
	URL     string   `avro:"url"`
	Paid    bool     `avro:"paid"`
	Coupon  *string  `avro:"coupon"`
	Tags    []string `avro:"tags"`
}

const orderSchema = `{"type":"record","name":"Order","fields":[
	{"name":"id","type":"string"},{"name":"ts","type":"long"},{"name":"user","type":"string"},
	{"name":"country","type":"string"},{"name":"device","type":"string"},{"name":"amount","type":"double"},
	{"name":"qty","type":"int"},{"name":"status","type":"string"},{"name":"url","type":"string"},
	{"name":"paid","type":"boolean"},{"name":"coupon","type":["null","string"]},
	{"name":"tags","type":{"type":"array","items":"string"}}]}`

// orders makes records of about 120 bytes, as a shop would send them.
func orders(tb testing.TB, n int) [][]byte {
	tb.Helper()
	r := rand.New(rand.NewPCG(42, 42))
	schema, err := avro.ParseWithCache(orderSchema, "", &avro.SchemaCache{})
	if err != nil {
		tb.Fatal(err)
	}
	out := make([][]byte, n)
	for i := range out {
		coupon := fmt.Sprintf("SPRING-%05d", r.IntN(1e5))
		o := order{
			ID: fmt.Sprintf("evt-%08d", i), TS: 1700000000000 + int64(i), User: fmt.Sprintf("u%04d", r.IntN(1000)),
			Country: []string{"DE", "US", "FR", "IN", "BR", "JP"}[r.IntN(6)], Device: []string{"mobile", "desktop", "tablet"}[r.IntN(3)],
			Amount: float64(r.IntN(10000)) / 100, Qty: r.IntN(9), Status: []string{"ok", "ok", "ok", "fail"}[r.IntN(4)],
			URL:  fmt.Sprintf("https://shop.example.com/item/%d?from=newsletter", r.IntN(1e6)),
			Paid: r.IntN(2) == 0, Tags: []string{"a", "promo"},
		}
		if r.IntN(2) == 0 {
			o.Coupon = &coupon
		}
		if out[i], err = avro.Marshal(schema, &o); err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

// handWritten reads ts, user and amount of an order as a loop would that is written for
// just them and trusts the record: it checks nothing but bounds.
func handWritten(b []byte, ts []int64, user []string, amount []float64, row int) {
	varint := func(i int) (int64, int) {
		u, s := uint64(0), uint(0)
		for {
			c := b[i]
			i++
			u |= uint64(c&0x7F) << s
			if c < 0x80 {
				return int64(u>>1) ^ -int64(u&1), i
			}
			s += 7
		}
	}
	n, i := varint(0)
	ts[row], i = varint(i + int(n))
	n, i = varint(i)
	user[row] = view(b[i : i+int(n)])
	i += int(n)
	n, i = varint(i)
	n, i = varint(i + int(n))
	i += int(n)
	amount[row] = math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
	_, i = varint(i + 8)
	n, i = varint(i)
	n, i = varint(i + int(n))
	i += int(n) + 1
	if n, i = varint(i); n == 1 {
		n, i = varint(i)
		i += int(n)
	}
	for {
		count, next := varint(i)
		if i = next; count == 0 {
			return
		}
		if count < 0 { // the block says how long it is
			n, i = varint(i)
			i += int(n)
			continue
		}
		for range count {
			n, i = varint(i)
			i += int(n)
		}
	}
}

const benchRows = 2048

func perRow(b *testing.B, size int) {
	b.SetBytes(int64(size))
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/benchRows, "ns/row")
	b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func total(records [][]byte) (size int) {
	for _, r := range records {
		size += len(r)
	}
	return size
}

// BenchmarkDecode is one table: this package's programs for some fields of an order, a
// loop written by hand for three of them, and hamba/avro into a map and a struct.
func BenchmarkDecode(b *testing.B) {
	records := orders(b, benchRows)
	schema := parse(b, orderSchema)
	for _, c := range []struct {
		name  string
		paths []string
	}{
		{"program/0of12", nil},
		{"program/3of12", []string{"ts", "user", "amount"}},
		{"program/4of12", []string{"ts", "user", "amount", "status"}},
		{"program/12of12", []string{"id", "ts", "user", "country", "device", "amount", "qty", "status", "url", "paid", "coupon", "tags"}},
		{"program/row", []string{""}},
	} {
		b.Run(c.name, func(b *testing.B) {
			d, err := NewDecoder(schema, nil, codecstest.Paths(b, c.paths...))
			if err != nil {
				b.Fatal(err)
			}
			var into codecs.Columns
			b.ReportAllocs()
			for b.Loop() {
				if bad := d.Decode(records, &into); len(bad) > 0 {
					b.Fatal(bad[0])
				}
			}
			perRow(b, total(records))
		})
	}
	b.Run("hand/3of12", func(b *testing.B) {
		ts, user, amount := make([]int64, benchRows), make([]string, benchRows), make([]float64, benchRows)
		b.ReportAllocs()
		for b.Loop() {
			for row, r := range records {
				handWritten(r, ts, user, amount, row)
			}
		}
		perRow(b, total(records))
	})
	benchmarkHamba(b, records)
}

func benchmarkHamba(b *testing.B, records [][]byte) {
	schema, err := avro.ParseWithCache(orderSchema, "", &avro.SchemaCache{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("hamba/struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, r := range records {
				var o order
				if err := avro.Unmarshal(schema, r, &o); err != nil {
					b.Fatal(err)
				}
			}
		}
		perRow(b, total(records))
	})
	b.Run("hamba/map", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, r := range records {
				var o map[string]any
				if err := avro.Unmarshal(schema, r, &o); err != nil {
					b.Fatal(err)
				}
			}
		}
		perRow(b, total(records))
	})
}

// BenchmarkFormats is a loop around what hamba/avro decodes, for the table of
// BenchmarkFormats of package queries.
func BenchmarkFormats(b *testing.B) {
	e := NewEncoder(parse(b, codecstest.ShopAvro))
	records, err := codecstest.ShopRecords(func(row []byte) ([]byte, error) { return e.AppendJSON(nil, row) })
	if err != nil {
		b.Fatal(err)
	}
	schema, err := avro.ParseWithCache(codecstest.ShopAvro, "", &avro.SchemaCache{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("avro by hamba", func(b *testing.B) {
		codecstest.BenchmarkShop(b, records, func(e *codecstest.ShopEvent, record []byte) {
			var row map[string]any
			if err := avro.Unmarshal(schema, record, &row); err != nil {
				b.Fatal(err)
			}
			e.Time, e.User, e.Status, e.Amount = row["ts"].(int64), row["user"].(string), row["status"].(string), row["amount"].(float64)
		})
	})
}
