package queries

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/codecs/protocodec"
	"leat/queries/fakebus"
)

const (
	shopAvro = `{"type":"record","name":"Event","fields":[{"name":"id","type":"string"},{"name":"ts","type":"long"},{"name":"user","type":"string"},
		{"name":"country","type":"string"},{"name":"device","type":"string"},{"name":"amount","type":"double"},{"name":"qty","type":"int"},
		{"name":"status","type":"string"},{"name":"url","type":"string"},{"name":"note","type":"string"}]}`
	shopProto = `syntax = "proto3"; message Event { string id = 1; int64 ts = 2; string user = 3; string country = 4; string device = 5;
		double amount = 6; int32 qty = 7; string status = 8; string url = 9; string note = 10; }`
)

// shopRows are the events of BenchmarkJob in a format: with the id 1 in front, but for
// JSON.
func shopRows(b *testing.B, format string, n int) [][]byte {
	b.Helper()
	encode := func(row []byte) ([]byte, error) { return row, nil }
	switch format {
	case codecs.FormatAvro:
		s, err := avrocodec.ParseSchema(shopAvro, nil)
		if err != nil {
			b.Fatal(err)
		}
		e := avrocodec.NewEncoder(s)
		encode = func(row []byte) ([]byte, error) { return e.AppendJSON(codecs.AppendConfluent(nil, 1), row) }
	case codecs.FormatProtobuf:
		s, err := protocodec.ParseSchema(context.Background(), shopProto, nil)
		if err != nil {
			b.Fatal(err)
		}
		m, err := s.Message("")
		if err != nil {
			b.Fatal(err)
		}
		e := protocodec.NewEncoder(m)
		encode = func(row []byte) ([]byte, error) {
			return e.AppendJSON(protocodec.AppendIndex(codecs.AppendConfluent(nil, 1), m.Index()), row)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([][]byte, n)
	for i := range rows {
		row := fmt.Sprintf(`{"id":"evt-%08d","ts":%d,"user":"u%04d","country":"DE","device":"mobile","amount":%d.%02d,`+
			`"qty":%d,"status":"%s","url":"https://shop.example.com/item/%06d","note":"xxxxx"}`,
			i, 1700000000000+i, r.IntN(1000), r.IntN(100), r.IntN(100), r.IntN(9), []string{"ok", "fail"}[r.IntN(8)/7], r.IntN(1e6))
		record, err := encode([]byte(row))
		if err != nil {
			b.Fatal(err)
		}
		rows[i] = record
	}
	return rows
}

// BenchmarkFormats is one table: the same job, filter, group by 1,000 keys, windows of
// 10 s, count and sum, over the same events in each format, and as loops written by hand
// that trust the records, know the schema and do nothing else.
func BenchmarkFormats(b *testing.B) {
	const rows = 400_000
	for _, format := range []string{codecs.FormatJSON, codecs.FormatAvro, codecs.FormatProtobuf} {
		b.Run(format, func(b *testing.B) {
			registry := formatstest.New()
			switch format {
			case codecs.FormatAvro:
				registry.Register("in-value", formats.Avro, shopAvro)
			case codecs.FormatProtobuf:
				registry.Register("in-value", formats.Protobuf, shopProto)
			}
			bus := fakebus.New()
			if err := bus.CreateTopic("in", 1); err != nil {
				b.Fatal(err)
			}
			events := shopRows(b, format, rows)
			for from := 0; from < rows; from += 500 {
				if err := bus.Append("in", 0, events[from:from+500]...); err != nil {
					b.Fatal(err)
				}
			}
			_, plan, _, problems := Names{Topics: bus, Formats: formats.New(registry)}.Compile(b.Context(), []byte(benchTumbling))
			if len(problems) > 0 {
				b.Fatal(problems)
			}
			runPlan(b, bus, plan, rows, RunOptions{})
		})
	}
	for _, c := range []struct {
		format string
		read   func(*shopEvent, []byte)
	}{{codecs.FormatAvro, (*shopEvent).avro}, {codecs.FormatProtobuf, (*shopEvent).proto}} {
		b.Run(c.format+" by hand", func(b *testing.B) {
			events := shopRows(b, c.format, rows)
			b.ReportAllocs()
			for b.Loop() {
				byHand(events, c.read)
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}

// shopEvent is what the job needs of an event.
type shopEvent struct {
	ts           int64
	user, status string
	amount       float64
}

// byHand is the job as a loop.
func byHand(events [][]byte, read func(*shopEvent, []byte)) (groups int) {
	type sum struct {
		n     int64
		total float64
	}
	windows := map[int64]map[string]*sum{}
	highest := int64(math.MinInt64)
	var e shopEvent
	var current map[string]*sum
	start := int64(math.MinInt64)
	for _, b := range events {
		read(&e, b)
		if e.ts > highest {
			highest = e.ts
		}
		if e.status != "ok" {
			continue
		}
		if w := e.ts - e.ts%10_000; w != start {
			for end, closed := range windows {
				if end+10_000 <= highest-5_000 {
					groups += len(closed)
					delete(windows, end)
				}
			}
			if start, current = w, windows[w]; current == nil {
				current = map[string]*sum{}
				windows[w] = current
			}
		}
		s := current[e.user]
		if s == nil {
			s = &sum{}
			current[e.user] = s
		}
		s.n++
		s.total += e.amount
	}
	return groups
}

func viewOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (e *shopEvent) avro(b []byte) {
	i := 5
	text := func() string {
		n, w := binary.Varint(b[i:])
		from := i + w
		i = from + int(n)
		return viewOf(b[from:i])
	}
	text()
	v, w := binary.Varint(b[i:])
	e.ts = v
	i += w
	e.user = text()
	text()
	text()
	e.amount = math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
	i += 8
	_, w = binary.Varint(b[i:])
	i += w
	e.status = text()
}

func (e *shopEvent) proto(b []byte) {
	for i := 6; i < len(b); {
		tag := b[i]
		i++
		switch tag & 7 {
		case 0:
			v, n := binary.Uvarint(b[i:])
			i += n
			if tag>>3 == 2 {
				e.ts = int64(v)
			}
		case 1:
			e.amount = math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
			i += 8
		case 2:
			size, n := binary.Uvarint(b[i:])
			i += n + int(size)
			switch text := b[i-int(size) : i]; tag >> 3 {
			case 3:
				e.user = viewOf(text)
			case 8:
				e.status = viewOf(text)
			}
		}
	}
}
