package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"leat/codecs"
	"leat/internal/testenv"
)

func runShotJoin(t *testing.T, logs shotLogs, body string) OneShotJoined {
	t.Helper()
	j, problems := ParseOneShotJoin(context.Background(), []byte(body), nil)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", body, problems)
	}
	out, err := j.Run(t.Context(), logs, [2]OneShotRange{logs.all(j.Left.Topic), logs.all(j.Right.Topic)}, shotLimits())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOneShotJoin(t *testing.T) {
	t.Parallel()
	logs := shotLogs{
		"orders": shotLog(t, []shotRecord{
			{1000, `{"id":1,"item":"pen","qty":2}`}, {1005, `{"id":2,"item":"cup","qty":1}`}, {1010, `{"id":3,"item":null}`},
		}),
		"items": shotLog(t, []shotRecord{
			{1002, `{"item":"pen","price":10}`}, {1003, `{"item":"pen","price":11}`}, {1500, `{"item":"cup","price":5}`},
		}),
	}
	const head = `{"left":{"topic":"orders","partition":0},"right":{"topic":"items","partition":0},"on":{"left_key":"item","right_key":"item"},"window":{"size_ms":10,"allowed_lateness_ms":5},`
	const pairs = `{"key":"pen","left_ts_ms":1000,"right_ts_ms":1002,"left":{"id":1},"right":{"item":"pen","price":10}}` + "\n"
	const second = `{"key":"pen","left_ts_ms":1000,"right_ts_ms":1003,"left":{"id":1},"right":{"item":"pen","price":11}}` + "\n"
	const lone = `{"key":"cup","left_ts_ms":1005,"right_ts_ms":null,"left":{"id":2},"right":null}` + "\n" +
		`{"key":null,"left_ts_ms":1010,"right_ts_ms":null,"left":{"id":3},"right":null}` + "\n"
	const unused = `{"key":"cup","left_ts_ms":null,"right_ts_ms":1500,"left":null,"right":{"item":"cup","price":5}}` + "\n"
	const again = `{"key":"pen","left_ts_ms":null,"right_ts_ms":1003,"left":null,"right":{"item":"pen","price":11}}` + "\n"
	for rest, want := range map[string]string{
		`"join":{"type":"inner"}`:                     pairs + second,
		`"x":0`:                                       pairs + second,
		`"join":{"type":"left"}`:                      pairs + second + lone,
		`"join":{"type":"right"}`:                     pairs + second + unused,
		`"join":{"type":"full"}`:                      pairs + second + lone + unused,
		`"join":{"type":"full"},"dedupe_once":true`:   pairs + lone + again + unused,
		`"join":{"type":"inner"},"dedupe_once":false`: pairs + second,
	} {
		body := head + `"emit":{"left_fields":["id"]},` + rest + `}`
		out := runShotJoin(t, logs, body)
		if got := joined(out.Rows); got != want {
			t.Errorf("%s:\n%swant\n%s", body, got, want)
		}
		once := strings.Contains(rest, "true")
		outer := [2]int{2, 1}
		if once {
			outer[1] = 2
		}
		if out.Scanned != [2]int{3, 3} || out.Outer != outer || *out.Watermark != 1010 || out.Once != once || out.Truncated {
			t.Errorf("%s: %+v", body, out)
		}
	}
	out := runShotJoin(t, logs, head+`"join":{"type":"left"},"emit":{"left_fields":["id"],"right_fields":["price"],"max_rows":3,"missing_as":"empty"}}`)
	want := `{"key":"cup","left_ts_ms":1005,"right_ts_ms":null,"left":{"id":2},"right":{}}`
	if len(out.Rows) != 3 || string(out.Rows[2]) != want || !out.Truncated || out.Outer != [2]int{2, 1} {
		t.Errorf("%+v", out)
	}
}

// The join agrees with nested loops, whatever the keys, times and kinds are.
func TestOneShotJoinOracle(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		records := [2][]shotRecord{randomShots(r, r.IntN(60)), randomShots(r, r.IntN(60))}
		logs := shotLogs{"a": shotLog(t, records[0]), "b": shotLog(t, records[1])}
		c := joinCase{
			span: int64(r.IntN(60)), once: r.IntN(2) == 0, kind: []string{"inner", "left", "right", "full"}[r.IntN(4)],
			keys: [][]string{{"k"}, {"k", "l"}}[r.IntN(2)], eventTime: [2]bool{r.IntN(2) == 0, r.IntN(2) == 0},
		}
		side := func(i int) string {
			if c.eventTime[i] {
				return fmt.Sprintf(`{"topic":"%c","partition":0,"event_time":"t"}`, 'a'+i)
			}
			return fmt.Sprintf(`{"topic":"%c","partition":0}`, 'a'+i)
		}
		list, _ := json.Marshal(c.keys)
		body := fmt.Sprintf(`{"left":%s,"right":%s,"on":{"left_keys":%s,"right_keys":%s},"window":{"size_ms":%d},"join":{"type":"%s"},"dedupe_once":%v,"emit":{"left_fields":["i"],"right_fields":["i"]}}`,
			side(0), side(1), list, list, c.span, c.kind, c.once)
		out := runShotJoin(t, logs, body)
		want, outer := c.nestedLoops(records)
		if got := joined(out.Rows); got != want || out.Outer != outer {
			t.Fatalf("%s\ngot  %v %s\nwant %v %s\nleft %v\nright %v", body, out.Outer, got, outer, want, records[0], records[1])
		}
	}
}

type joinCase struct {
	span      int64
	once      bool
	kind      string
	keys      []string
	eventTime [2]bool
}

type naiveRow struct {
	key  string // "" matches nothing
	text string
	time int64
	i    any
}

func (c *joinCase) rows(records []shotRecord, side int) (rows []naiveRow) {
	for _, record := range records {
		m := naive(record.value)
		row := naiveRow{time: record.timeMs, i: m["i"]}
		if t, ok := m["t"].(float64); c.eventTime[side] {
			if row.time = int64(t); !ok {
				continue
			}
		}
		if m == nil {
			continue
		}
		var key, text []string
		for _, name := range c.keys {
			if m[name] == nil {
				key = nil
				break
			}
			key = append(key, fmt.Sprintf("%T %v", m[name], m[name]))
			text = append(text, naiveText(m[name]))
		}
		if len(key) == len(c.keys) {
			row.key, row.text = strings.Join(key, "\x00"), strings.Join(text, "|")
		}
		rows = append(rows, row)
	}
	return rows
}

func (c *joinCase) nestedLoops(records [2][]shotRecord) (text string, outer [2]int) {
	left, right := c.rows(records[0], 0), c.rows(records[1], 1)
	row := func(l, r *naiveRow) string {
		of := func(n *naiveRow) (time, object string) {
			if n == nil {
				return "null", "null"
			}
			return fmt.Sprint(n.time), fmt.Sprintf(`{"i":%v}`, n.i)
		}
		some := l
		if l == nil {
			some = r
		}
		key := "null"
		if some.key != "" {
			key = string(codecs.AppendJSONString(nil, some.text))
		}
		lt, lo := of(l)
		rt, ro := of(r)
		return fmt.Sprintf("{\"key\":%s,\"left_ts_ms\":%s,\"right_ts_ms\":%s,\"left\":%s,\"right\":%s}\n", key, lt, rt, lo, ro)
	}
	used := make([]bool, len(right))
	lone := ""
	for i := range left {
		l := &left[i]
		var found []int
		for n := range right {
			if d := right[n].time - l.time; l.key != "" && l.key == right[n].key && d <= c.span && -d <= c.span {
				found = append(found, n)
			}
		}
		sort.SliceStable(found, func(a, b int) bool { return right[found[a]].time < right[found[b]].time })
		if c.once && len(found) > 1 {
			found = found[:1]
		}
		for _, n := range found {
			used[n] = true
			text += row(l, &right[n])
		}
		if len(found) == 0 {
			outer[0]++
			lone += row(l, nil)
		}
	}
	if c.kind == "left" || c.kind == "full" {
		text += lone
	}
	for n := range right {
		if used[n] {
			continue
		}
		if outer[1]++; c.kind == "right" || c.kind == "full" {
			text += row(nil, &right[n])
		}
	}
	return text, outer
}

// A key that everything shares is no reason to make every pair, or to keep it.
func TestOneShotJoinSkew(t *testing.T) {
	t.Parallel()
	rows := make([]shotRow, 50_000)
	for i := range rows {
		rows[i] = shotRow{key: "k", text: "k", time: int64(i), row: []byte("{}")}
	}
	j := &OneShotJoin{span: maxShotTime, outer: [2]bool{true, true}, most: math32}
	out := OneShotJoined{}
	j.join(rows, rows, &out, 1<<16)
	if !out.Truncated || out.Outer != [2]int{} || len(out.Rows) > 2000 {
		t.Errorf("%d rows, %v without a match, truncated %v", len(out.Rows), out.Outer, out.Truncated)
	}
}

func BenchmarkOneShotJoinSkewed(b *testing.B) {
	left, right := make([]shotRow, 20_000), make([]shotRow, 20_000)
	for i := range left {
		left[i] = shotRow{key: "k", text: "k", time: int64(i), row: []byte("{}")}
		right[i] = left[i]
	}
	j := &OneShotJoin{span: maxShotTime, outer: [2]bool{true, true}, most: 1000}
	b.ReportAllocs()
	for b.Loop() {
		out := OneShotJoined{}
		j.join(left, right, &out, 1<<30)
	}
}
