package queries

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"
	"unsafe"

	"leat/codecs"
	"leat/codecs/avrocodec"
	"leat/codecs/codecstest"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/codecs/protocodec"
	"leat/queries/fakebus"
)

// shopRows are the events of a shop in a format: with the id 1 in front, but for JSON.
func shopRows(tb testing.TB, format string) [][]byte {
	tb.Helper()
	encode := func(row []byte) ([]byte, error) { return row, nil }
	switch format {
	case codecs.FormatAvro:
		s, err := avrocodec.ParseSchema(codecstest.ShopAvro, nil)
		if err != nil {
			tb.Fatal(err)
		}
		e := avrocodec.NewEncoder(s)
		encode = func(row []byte) ([]byte, error) { return e.AppendJSON(codecs.AppendConfluent(nil, 1), row) }
	case codecs.FormatProtobuf:
		s, err := protocodec.ParseSchema(context.Background(), codecstest.ShopProto, nil)
		if err != nil {
			tb.Fatal(err)
		}
		m, err := s.Message("")
		if err != nil {
			tb.Fatal(err)
		}
		e := protocodec.NewEncoder(m)
		encode = func(row []byte) ([]byte, error) {
			return e.AppendJSON(protocodec.AppendIndex(codecs.AppendConfluent(nil, 1), m.Index()), row)
		}
	}
	records, err := codecstest.ShopRecords(encode)
	if err != nil {
		tb.Fatal(err)
	}
	return records
}

// TestShopJob: what the loops find is right by encoding/json.
func TestShopJob(t *testing.T) {
	t.Parallel()
	for format, read := range map[string]func(*codecstest.ShopEvent, []byte){
		codecs.FormatJSON: func(e *codecstest.ShopEvent, b []byte) {
			var row struct {
				TS           int64
				User, Status string
				Amount       float64
			}
			if err := json.Unmarshal(b, &row); err != nil {
				t.Fatal(err)
			}
			*e = codecstest.ShopEvent{Time: row.TS, User: row.User, Status: row.Status, Amount: row.Amount}
		},
		codecs.FormatAvro:     avroByHand,
		codecs.FormatProtobuf: protoByHand,
	} {
		if got := codecstest.ShopJob(shopRows(t, format), read); got != codecstest.ShopTruth() {
			t.Errorf("%s: %+v", format, got)
		}
	}
}

// BenchmarkFormats is one table: the same job, filter, group by 1,000 keys, windows of
// 10 s, count and sum, over the same events in each format, and as loops written by hand
// that trust the records, know the schema and do nothing else. The benchmarks of that
// name in the packages of the formats have the loops around what libraries decode.
func BenchmarkFormats(b *testing.B) {
	const rows = codecstest.ShopEvents
	for _, format := range []string{codecs.FormatJSON, codecs.FormatAvro, codecs.FormatProtobuf} {
		events := shopRows(b, format)
		b.Run(format, func(b *testing.B) {
			registry := formatstest.New()
			switch format {
			case codecs.FormatAvro:
				registry.Register("in-value", formats.Avro, codecstest.ShopAvro)
			case codecs.FormatProtobuf:
				registry.Register("in-value", formats.Protobuf, codecstest.ShopProto)
			}
			bus := fakebus.New()
			if err := bus.CreateTopic("in", 1); err != nil {
				b.Fatal(err)
			}
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
		read := map[string]func(*codecstest.ShopEvent, []byte){codecs.FormatAvro: avroByHand, codecs.FormatProtobuf: protoByHand}[format]
		if read == nil {
			continue
		}
		b.Run(format+" by hand", func(b *testing.B) { codecstest.BenchmarkShop(b, events, read) })
	}
}

func viewOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func avroByHand(e *codecstest.ShopEvent, b []byte) {
	i := 5
	text := func() string {
		n, w := binary.Varint(b[i:])
		from := i + w
		i = from + int(n)
		return viewOf(b[from:i])
	}
	text()
	v, w := binary.Varint(b[i:])
	e.Time = v
	i += w
	e.User = text()
	text()
	text()
	e.Amount = math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
	i += 8
	_, w = binary.Varint(b[i:])
	i += w
	e.Status = text()
}

func protoByHand(e *codecstest.ShopEvent, b []byte) {
	e.Amount = 0 // 0 is left out
	for i := 6; i < len(b); {
		tag := b[i]
		i++
		switch tag & 7 {
		case 0:
			v, n := binary.Uvarint(b[i:])
			i += n
			if tag>>3 == 2 {
				e.Time = int64(v)
			}
		case 1:
			e.Amount = math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
			i += 8
		case 2:
			size, n := binary.Uvarint(b[i:])
			i += n + int(size)
			switch text := b[i-int(size) : i]; tag >> 3 {
			case 3:
				e.User = viewOf(text)
			case 8:
				e.Status = viewOf(text)
			}
		}
	}
}
