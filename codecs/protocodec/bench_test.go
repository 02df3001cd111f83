package protocodec

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"leat/codecs"
	"leat/codecs/codecstest"
)

const orderSchema = `syntax = "proto3";
message Order {
  string id = 1; int64 ts = 2; string user = 3; string country = 4; string device = 5; double amount = 6;
  int32 qty = 7; string status = 8; string url = 9; bool paid = 10; optional string coupon = 11; repeated string tags = 12;
}`

// orders makes records of about 140 bytes, as a shop would send them.
func orders(tb testing.TB, m *Message, n int) [][]byte {
	tb.Helper()
	r := rand.New(rand.NewPCG(42, 42))
	e := NewEncoder(m)
	out := make([][]byte, n)
	for i := range out {
		row := fmt.Sprintf(`{"id":"evt-%08d","ts":%d,"user":"u%04d","country":"%s","device":"%s","amount":%v,"qty":%d,"status":"%s",`+
			`"url":"https://shop.example.com/item/%d?from=newsletter","paid":%v,"tags":["a","promo"]`,
			i, 1700000000000+i, r.IntN(1000), []string{"DE", "US", "FR", "IN", "BR", "JP"}[r.IntN(6)], []string{"mobile", "desktop", "tablet"}[r.IntN(3)],
			float64(r.IntN(10000))/100, r.IntN(9), []string{"ok", "ok", "ok", "fail"}[r.IntN(4)], r.IntN(1e6), r.IntN(2) == 0)
		if r.IntN(2) == 0 {
			row += fmt.Sprintf(`,"coupon":"SPRING-%05d"`, r.IntN(1e5))
		}
		record, err := e.AppendJSON(nil, []byte(row+"}"))
		if err != nil {
			tb.Fatal(err)
		}
		out[i] = record
	}
	return out
}

// handWritten reads ts, user and amount of an order as a loop would that is written for
// just them and trusts the record: it checks nothing but bounds.
func handWritten(b []byte, ts []int64, user []string, amount []float64, row int) {
	for i := 0; i < len(b); {
		tag, n := protowire.ConsumeVarint(b[i:])
		i += n
		switch tag & 7 {
		case 0:
			v, n := protowire.ConsumeVarint(b[i:])
			i += n
			if tag>>3 == 2 {
				ts[row] = int64(v)
			}
		case 1:
			if tag>>3 == 6 {
				amount[row] = math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
			}
			i += 8
		case 2:
			size, n := protowire.ConsumeVarint(b[i:])
			i += n
			if tag>>3 == 3 {
				user[row] = view(b[i : i+int(size)])
			}
			i += int(size)
		case 5:
			i += 4
		}
	}
}

const benchRows = 2048

func perRow(b *testing.B, records [][]byte) {
	size := 0
	for _, r := range records {
		size += len(r)
	}
	b.SetBytes(int64(size))
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/benchRows, "ns/row")
	b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

// BenchmarkDecode is one table: this package's programs for some fields of an order, a loop
// written by hand for three of them, and dynamicpb.
func BenchmarkDecode(b *testing.B) {
	m := parse(b, orderSchema)
	records := orders(b, m, benchRows)
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
			d := NewDecoder(m, codecstest.Paths(b, c.paths...))
			var into codecs.Columns
			b.ReportAllocs()
			for b.Loop() {
				if bad := d.Decode(records, &into); len(bad) > 0 {
					b.Fatal(bad[0])
				}
			}
			perRow(b, records)
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
		perRow(b, records)
	})
	b.Run("dynamicpb", func(b *testing.B) {
		d := byReference(b, m)
		b.ReportAllocs()
		for b.Loop() {
			for _, r := range records {
				if err := proto.Unmarshal(r, dynamicpb.NewMessage(d)); err != nil {
					b.Fatal(err)
				}
			}
		}
		perRow(b, records)
	})
}

func BenchmarkEncode(b *testing.B) {
	m := parse(b, orderSchema)
	e := NewEncoder(m)
	row := []byte(`{"id":"evt-00000001","ts":1700000000001,"user":"u0001","country":"DE","device":"mobile","amount":12.5,"qty":3,"tags":["a","promo"]}`)
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		var err error
		if out, err = e.AppendJSON(out[:0], row); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFormats is a loop around what dynamicpb decodes, for the table of
// BenchmarkFormats of package queries.
func BenchmarkFormats(b *testing.B) {
	m := parse(b, codecstest.ShopProto)
	e := NewEncoder(m)
	records, err := codecstest.ShopRecords(func(row []byte) ([]byte, error) { return e.AppendJSON(nil, row) })
	if err != nil {
		b.Fatal(err)
	}
	d := byReference(b, m)
	ts, user, status, amount := d.Fields().ByName("ts"), d.Fields().ByName("user"), d.Fields().ByName("status"), d.Fields().ByName("amount")
	b.Run("protobuf by dynamicpb", func(b *testing.B) {
		codecstest.BenchmarkShop(b, records, func(e *codecstest.ShopEvent, record []byte) {
			row := dynamicpb.NewMessage(d)
			if err := proto.Unmarshal(record, row); err != nil {
				b.Fatal(err)
			}
			e.Time, e.User, e.Status, e.Amount = row.Get(ts).Int(), row.Get(user).String(), row.Get(status).String(), row.Get(amount).Float()
		})
	})
}
