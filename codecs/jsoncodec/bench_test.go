package jsoncodec

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/codecs"
)

// events makes 192-byte records, as a shop would send them.
func events(n int) [][]byte {
	r := rand.New(rand.NewPCG(42, 42))
	status := []string{"ok", "ok", "ok", "fail"}
	country := []string{"DE", "US", "FR", "IN", "BR", "JP"}
	device := []string{"mobile", "desktop", "tablet"}
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, `{"id":"evt-%08d","ts":%d,"user":"u%04d","country":"%s","device":"%s","amount":%v,`+
			`"qty":%d,"status":"%s","url":"https://shop.example.com/item/%d","tags":["a","promo"]}`,
			i, 1700000000000+i, r.IntN(1000), country[r.IntN(6)], device[r.IntN(3)], float64(r.IntN(10000))/100,
			r.IntN(9), status[r.IntN(4)], r.IntN(1e6))
	}
	return out
}

// flights makes rows of eleven members, seven of them numbers.
func flights(n int) [][]byte {
	const row = `{"carrier":"DL","flight":1743,"tailnum":"N3739P","origin":"JFK","dest":"ATL","sched_dep":1357038600000,` +
		`"dep":1357038360000,"dep_delay":-4,"arr_delay":-8,"air_time":128,"distance":760}`
	out := make([][]byte, n)
	for i := range out {
		out[i] = []byte(row)
	}
	return out
}

// spaced is the same record in the notation of json.dumps of Python.
func spaced(n int) [][]byte {
	const row = `{"id": "evt-00000001", "ts": 1700000000001, "user": "u0001", "country": "DE", "device": "mobile", ` +
		`"amount": 12.5, "qty": 3, "status": "ok", "url": "https://shop.example.com/item/77", "tags": ["a", "promo"]}`
	out := make([][]byte, n)
	for i := range out {
		out[i] = []byte(row)
	}
	return out
}

func BenchmarkDecode(b *testing.B) {
	const rows = 2048
	for _, c := range []struct {
		name    string
		records [][]byte
		fields  []string
	}{
		{"events/0of10", events(rows), nil},
		{"events/3of10", events(rows), []string{"ts", "user", "amount"}},
		{"events/4of10", events(rows), []string{"ts", "user", "amount", "status"}},
		{"events/10of10", events(rows), []string{"id", "ts", "user", "country", "device", "amount", "qty", "status", "url", "tags"}},
		{"spaced/4of10", spaced(rows), []string{"ts", "user", "amount", "status"}},
		{"flights/3of11", flights(rows), []string{"origin", "sched_dep", "dep_delay"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			paths := make([]codecs.Path, len(c.fields))
			for k, f := range c.fields {
				paths[k] = codecs.NewPath(codecs.Step{Member: f})
			}
			d := New(paths)
			var into codecs.Columns
			size := 0
			for _, r := range c.records {
				size += len(r)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if bad := d.Decode(c.records, &into); len(bad) > 0 {
					b.Fatal(bad[0])
				}
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds()/1e6, "Mrows/s")
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/rows, "ns/row")
		})
	}
}

func BenchmarkValid(b *testing.B) {
	record := events(1)[0]
	b.SetBytes(int64(len(record)))
	for b.Loop() {
		if err := Valid(record); err != nil {
			b.Fatal(err)
		}
	}
}
