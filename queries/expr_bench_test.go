package queries

import (
	"strconv"
	"testing"

	"leat/codecs"
	"leat/dataflow"
)

// benchBatch is 4096 rows of delays and airports with a null here and there.
func benchBatch(paths []codecs.Path) *dataflow.Batch {
	airports := []string{"JFK", "EWR", "LGA", "BOS", "ORD"}
	rows := make([]exprRow, 4096)
	for i := range rows {
		rows[i] = exprRow{
			"dep_delay": codecs.IntValue(int64(i*7919%200 - 60)),
			"distance":  codecs.FloatValue(float64(i*31%2500) + 0.5),
			"origin":    codecs.StringValue(airports[i*13%len(airports)]),
			"tail":      codecs.StringValue("N" + strconv.Itoa(i)),
			"url":       codecs.StringValue("https://www.nexmark.com/a/b/item.htm?query=1&channel_id=" + strconv.Itoa(i)),
			"at":        codecs.IntValue(1357035300000 + int64(i)*60_000),
		}
		if i%50 == 0 {
			rows[i]["dep_delay"] = codecs.NullValue()
		}
	}
	return batchOf(paths, rows...)
}

func BenchmarkExpr(b *testing.B) {
	for _, text := range []string{
		`dep_delay > 15`,
		`distance <= 1000`,
		`origin == "JFK"`,
		`origin in ["JFK", "EWR"]`,
		`dep_delay > 15 and origin in ["JFK", "EWR"]`,
		`dep_delay > 15 and distance > 500 and not (origin == "LGA")`,
		`dep_delay * 60 + 30 > 1000`,
		`round(distance / 1.609) > 300`,
		`tail startsWith "N1"`,
		`split(url, "/")[4] == "b"`,
		`tail[:2] == "N1"`,
		`regexp_extract(url, "(&|^)channel_id=([^&]*)", 2) != nil`,
		`regexp_count(url, "e") > 3`,
		`hour(at) >= 8 and hour(at) <= 18`,
		`date(at) == "2013-01-01"`,
	} {
		b.Run(text, func(b *testing.B) {
			names := &sourceScope{}
			t, failure := parseExpr(text, names)
			if failure != nil {
				b.Fatal(failure)
			}
			batch, filter := benchBatch(names.paths), compileFilter(t)
			selected := make([]int32, 0, batch.Rows)
			b.ReportAllocs()
			for b.Loop() {
				selected = selected[:0]
				for r := range batch.Rows {
					v, err := filter.Eval(batch, r)
					if err != nil {
						b.Fatal(err)
					}
					if v.Bool() {
						selected = append(selected, int32(r))
					}
				}
			}
			b.ReportMetric(float64(batch.Rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
