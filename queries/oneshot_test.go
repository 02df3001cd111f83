package queries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"testing"

	"leat/internal/fault"
	"leat/internal/testenv"
	"leat/log"
)

// shotLogs are partitions by topic; the partition is 0.
type shotLogs map[string]*log.Partition

func (l shotLogs) Read(topic string, _ int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error) {
	return l[topic].Read(from, maxBytes, buf)
}

func (l shotLogs) all(topic string) OneShotRange {
	return OneShotRange{From: l[topic].First(), End: l[topic].Next()}
}

// shotRecord is a record and its append time.
type shotRecord struct {
	timeMs int64
	value  string
}

// shotLog writes records, a few to a batch of one append time.
func shotLog(t testing.TB, records []shotRecord) *log.Partition {
	t.Helper()
	p, err := log.Open(t.TempDir(), log.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	for i := 0; i < len(records); {
		var block log.Block
		end := i
		for ; end < len(records) && records[end].timeMs == records[i].timeMs; end++ {
			block.Add(nil, []byte(records[end].value))
		}
		if _, err := p.Append(log.Batch{Mark: log.Mark(end), TimeMs: records[i].timeMs, Blocks: []log.Block{block}}); err != nil {
			t.Fatal(err)
		}
		i = end
	}
	return p
}

func shotLimits() OneShotLimits {
	return OneShotLimits{Records: 1 << 20, Bytes: 1 << 30, Answer: 1 << 30}
}

func joined(rows []json.RawMessage) string {
	var b strings.Builder
	for _, r := range rows {
		b.Write(append(r, '\n'))
	}
	return b.String()
}

func runShotQuery(t *testing.T, logs shotLogs, body string) OneShotRows {
	t.Helper()
	q, problems := ParseOneShotQuery(context.Background(), []byte(body), nil)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", body, problems)
	}
	out, err := q.Run(t.Context(), logs, logs.all(q.Source.Topic), shotLimits())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOneShotQuery(t *testing.T) {
	t.Parallel()
	logs := shotLogs{"t": shotLog(t, []shotRecord{
		{1000, `{"name":"Alice","region":"us","amount":3, "o":{"x":1}}`},
		{1000, `{"name":"Bob","region":"eu","amount":2.5}`},
		{2500, `not JSON`},
		{2500, `[1]`},
		{2500, `{"name":"Alice","region":"us","amount":9223372036854775807}`},
		{2500, `{"name":"Alice","amount":"x"}`},
	})}
	for _, c := range []struct{ body, rows, aggregates string }{
		{`{"source":{"topic":"t","partition":0}}`, "", ""},
		{`{"source":{"topic":"t","partition":0},"aggregate":{"group_by":["name","region"]},"future":{"x":1}}`, "",
			"{\"key\":\"name=Alice|region=null\",\"count\":1}\n{\"key\":\"name=Alice|region=us\",\"count\":2}\n{\"key\":\"name=Bob|region=eu\",\"count\":1}\n"},
		{`{"source":{"topic":"t","partition":0},"filter":[{"field":"name","op":"eq","value":"Alice","hint":1},{"field":"amount","op":"gt","value":2}],"transform":{"left_fields":["name","o.x"],"emit_rows":5}}`,
			"{\"name\":\"Alice\",\"o.x\":1}\n{\"name\":\"Alice\",\"o.x\":null}\n", ""},
		{`{"source":{"topic":"t","partition":0},"filter":"amount > 2","transform":{"emit_rows":1},"window":{"size_ms":1000},"aggregate":{}}`,
			"{\"name\":\"Alice\",\"region\":\"us\",\"amount\":3,\"o\":{\"x\":1}}\n", "{\"key\":\"\",\"count\":3}\n"},
		{`{"source":{"topic":"t","partition":0},"window":{"size_ms":1000},"aggregate":{"group_by":["name"],"aggs":[{"fn":"sum","field":"amount","as":"total"},{"fn":"avg","field":"amount"},{"fn":"min","field":"region"},{"fn":"count"},{"fn":"count","field":"region"}]}}`, "",
			"{\"key\":\"name=Alice\",\"count\":1,\"total\":3,\"avg_amount\":3,\"min_region\":\"us\",\"count_region\":1,\"window_start\":1000}\n" +
				"{\"key\":\"name=Bob\",\"count\":1,\"total\":2.5,\"avg_amount\":2.5,\"min_region\":\"eu\",\"count_region\":1,\"window_start\":1000}\n" +
				"{\"key\":\"name=Alice\",\"count\":2,\"total\":9223372036854775807,\"avg_amount\":9223372036854776000,\"min_region\":\"us\",\"count_region\":1,\"window_start\":2000}\n"},
		{`{"source":{"topic":"t","partition":0},"filter":[{"field":"name","op":"eq","value":"Nobody"}],"aggregate":{"aggs":[{"fn":"sum","field":"amount"}]}}`, "",
			"{\"key\":\"\",\"count\":0,\"sum_amount\":null}\n"},
	} {
		out := runShotQuery(t, logs, c.body)
		if got := joined(out.Rows); got != c.rows {
			t.Errorf("%s: rows\n%swant\n%s", c.body, got, c.rows)
		}
		if got := joined(out.Aggregates); got != c.aggregates {
			t.Errorf("%s: aggregates\n%swant\n%s", c.body, got, c.aggregates)
		}
		if out.Next != 6 || out.Consumed != 6 {
			t.Errorf("%s: next %d, consumed %d", c.body, out.Next, out.Consumed)
		}
	}
}

func TestOneShotRangeAndLimits(t *testing.T) {
	t.Parallel()
	var records []shotRecord
	for i := range 5000 {
		records = append(records, shotRecord{int64(i / 7), fmt.Sprintf(`{"i":%d}`, i)})
	}
	logs := shotLogs{"t": shotLog(t, records)}
	q, _ := ParseOneShotQuery(context.Background(), []byte(`{"source":{"topic":"t","partition":0,"limit":1500},"transform":{"emit_rows":9000}}`), nil)
	out, err := q.Run(t.Context(), logs, OneShotRange{From: 10, End: 5000}, shotLimits())
	if err != nil || out.Next != 1510 || out.Consumed != 1500 || string(out.Rows[0]) != `{"i":10}` || len(out.Rows) != 1500 {
		t.Errorf("%v: next %d, consumed %d, %d rows", err, out.Next, out.Consumed, len(out.Rows))
	}
	out, _ = q.Run(t.Context(), logs, OneShotRange{From: 4990, End: 4995}, shotLimits())
	if out.Next != 4995 || len(out.Rows) != 5 {
		t.Errorf("next %d, %d rows", out.Next, len(out.Rows))
	}
	limits := shotLimits()
	limits.Answer = 100 // the batch in which it is reached is the last one
	out, _ = q.Run(t.Context(), logs, OneShotRange{From: 0, End: 5000}, limits)
	if out.Next >= 1500 || len(out.Rows) > 20 {
		t.Errorf("next %d, %d rows", out.Next, len(out.Rows))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Run(ctx, logs, OneShotRange{From: 0, End: 5000}, shotLimits()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOneShotProblems(t *testing.T) {
	t.Parallel()
	for body, pointer := range map[string]string{
		`[]`:           "",
		`{"source":1}`: "/source",
		`{"source":{"topic":"t","partition":-1}}`:                                                "/source/partition",
		`{"source":{"topic":"t","limit":0}}`:                                                     "/source/limit",
		`{"source":{"topic":"t"},"filter":[{"field":"a","op":"like","value":1}]}`:                "/filter/0/op",
		`{"source":{"topic":"t"},"filter":"a +"}`:                                                "/filter",
		`{"source":{"topic":"t"},"aggregate":{"aggs":[{"fn":"median","field":"a"}]}}`:            "/aggregate/aggs/0/fn",
		`{"source":{"topic":"t"},"aggregate":{"aggs":[{"fn":"sum","field":"a","as":"key"}]}}`:    "/aggregate/aggs/0",
		`{"source":{"topic":"t"},"aggregate":{"group_by":["a..b"]}}`:                             "/aggregate/group_by/0",
		`{"source":{"topic":"t"},"transform":{"emit_rows":-1}}`:                                  "/transform/emit_rows",
		`{"source":{"topic":"t"},"window":{"size_ms":0},"aggregate":{"aggs":[{"fn":"count"}]}}`:  "/window/size_ms",
		`{"source":{"topic":"t","decode":{"type":"xml"}}}`:                                       "/source/decode/type",
		`{"source":{"topic":"t","decode":{"type":"avro","encoding":"binary","schema_text":""}}}`: "/source/decode",
	} {
		_, problems := ParseOneShotQuery(context.Background(), []byte(body), nil)
		if len(problems) != 1 || problems[0].Pointer != pointer {
			t.Errorf("%s: %v", body, problems)
		} else if unsupported := strings.Contains(body, "binary"); (problems[0].Kind == fault.Unprocessable) != unsupported {
			t.Errorf("%s: kind %d", body, problems[0].Kind)
		}
	}
	const sides = `"left":{"topic":"a","partition":0},"right":{"topic":"b","partition":0}`
	for body, pointer := range map[string]string{
		`{` + sides + `}`:                                              "",
		`{` + sides + `,"on":{}}`:                                      "/on",
		`{` + sides + `,"on":{"left_key":1}}`:                          "/on",
		`{` + sides + `,"on":{"left_keys":["a","b"],"right_key":"a"}}`: "/on",
		`{` + sides + `,"on":{"left_key":"a","right_key":"a"},"join":{"type":"cross"}}`:                     "/join/type",
		`{` + sides + `,"on":{"left_key":"a","right_key":"a"},"emit":{"missing_as":"zero"}}`:                "/emit/missing_as",
		`{` + sides + `,"on":{"left_key":"a","right_key":"a"},"window":{"size_ms":-1}}`:                     "/window/size_ms",
		`{` + sides + `,"on":{"left_key":"a","right_key":"a"},"dedupe_once":1}`:                             "/dedupe_once",
		`{"left":{"topic":"a","decode":{"type":"proto"}},"right":{},"on":{"left_key":"a","right_key":"a"}}`: "/left/decode",
	} {
		if _, problems := ParseOneShotJoin(context.Background(), []byte(body), nil); len(problems) == 0 || problems[0].Pointer != pointer {
			t.Errorf("%s: %v", body, problems)
		}
	}
	plain := `{"source":{"topic":"t","partition":3,"group":null,"offset":7,"decode":{"type":"avro","encoding":"json"}},"filter":[],"transform":null}`
	q, problems := ParseOneShotQuery(context.Background(), []byte(plain), nil)
	if len(problems) > 0 || q.Source.Partition != 3 || q.Source.Offset != 7 || q.filter != nil {
		t.Errorf("%v %+v", problems, q)
	}
}

// randomShots makes records with keys that are missing, null, of several kinds and
// often the same, and some that are no JSON objects.
func randomShots(r *rand.Rand, n int) (records []shotRecord) {
	keys := []string{`1`, `1.0`, `2`, `"1"`, `"é"`, `null`, `true`, `{"a": 1}`}
	time := int64(1000)
	for i := range n {
		time += int64(r.IntN(3)) * int64(r.IntN(20))
		value := fmt.Sprintf(`{"i":%d`, i)
		for _, name := range []string{"k", "l"} {
			if r.IntN(8) > 0 {
				value += `,"` + name + `":` + keys[r.IntN(len(keys))]
			}
		}
		if r.IntN(5) > 0 {
			value += fmt.Sprintf(`,"n":%d,"q":%d.25`, r.IntN(9)-4, r.IntN(5))
		}
		if r.IntN(6) > 0 {
			value += fmt.Sprintf(`,"t":%d`, 1000+r.IntN(200))
		}
		value += "}"
		if r.IntN(15) == 0 {
			value = []string{"", "nope", "[1]", `"s"`, "{"}[r.IntN(5)]
		}
		records = append(records, shotRecord{time, value})
	}
	return records
}

// naive is a record as encoding/json sees it, nil where it is no object.
func naive(value string) map[string]any {
	var m map[string]any
	if json.Unmarshal([]byte(value), &m) != nil {
		return nil
	}
	return m
}

func naiveText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// The engine agrees with a few lines over maps.
func TestOneShotQueryOracle(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 30 {
		records := randomShots(r, 1+r.IntN(300))
		logs := shotLogs{"t": shotLog(t, records)}
		low, size := r.IntN(6)-4, int64(1+r.IntN(100))
		body := fmt.Sprintf(`{"source":{"topic":"t","partition":0},"filter":[{"field":"n","op":"ge","value":%d}],`+
			`"aggregate":{"group_by":["k","l"],"aggs":[{"fn":"sum","field":"n","as":"s"},{"fn":"sum","field":"q","as":"f"},{"fn":"avg","field":"n","as":"a"},{"fn":"max","field":"i","as":"m"},{"fn":"min","field":"i","as":"o"}]},`+
			`"window":{"size_ms":%d},"transform":{"left_fields":["i"],"emit_rows":20}}`, low, size)
		rows, groups := "", map[string][]map[string]any{}
		emitted := 0
		for _, record := range records {
			m := naive(record.value)
			n, ok := m["n"].(float64)
			if !ok || n < float64(low) {
				continue
			}
			if emitted++; emitted <= 20 {
				rows += fmt.Sprintf("{\"i\":%v}\n", m["i"])
			}
			key := fmt.Sprintf("%012d k=%s|l=%s", record.timeMs/size*size, naiveText(m["k"]), naiveText(m["l"]))
			groups[key] = append(groups[key], m)
		}
		var keys []string
		for key := range groups {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		want := ""
		for _, key := range keys {
			var s, f, low, high float64
			for i, m := range groups[key] {
				s, f = s+m["n"].(float64), f+m["q"].(float64)
				if i == 0 {
					low = m["i"].(float64)
				}
				high = m["i"].(float64)
			}
			start, _ := strconv.Atoi(key[:12])
			count := len(groups[key])
			average, _ := json.Marshal(s / float64(count))
			text, _ := json.Marshal(key[13:])
			want += fmt.Sprintf("{\"key\":%s,\"count\":%d,\"s\":%v,\"f\":%v,\"a\":%s,\"m\":%v,\"o\":%v,\"window_start\":%d}\n", text, count, s, f, average, high, low, start)
		}
		out := runShotQuery(t, logs, body)
		if got := joined(out.Rows); got != rows {
			t.Fatalf("%s\nrows %s\nwant %s", body, got, rows)
		}
		if got := joined(out.Aggregates); got != want {
			t.Fatalf("%s\ngot  %s\nwant %s", body, got, want)
		}
	}
}

// Filter, group and sum of 100,000 records of about 70 bytes.
func BenchmarkOneShotQuery(b *testing.B) {
	var records []shotRecord
	for i := range 100_000 {
		records = append(records, shotRecord{int64(i / 100), fmt.Sprintf(`{"name":"user-%d","region":"us","amount":%d,"note":"some text"}`, i%100, i)})
	}
	logs := shotLogs{"t": shotLog(b, records)}
	q, problems := ParseOneShotQuery(context.Background(), []byte(`{"source":{"topic":"t","partition":0},"filter":[{"field":"amount","op":"gt","value":1000}],"aggregate":{"group_by":["name"],"aggs":[{"fn":"sum","field":"amount"}]}}`), nil)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	b.ReportAllocs()
	for b.Loop() {
		if out, err := q.Run(b.Context(), logs, logs.all("t"), shotLimits()); err != nil || len(out.Aggregates) != 100 {
			b.Fatal(err, len(out.Aggregates))
		}
	}
}
