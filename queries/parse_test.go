package queries

import (
	"context"
	"maps"
	"reflect"
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/formats"
	"leat/codecs/formatstest"
	"leat/log"
)

// TestParse reads a spec with everything in it.
func TestParse(t *testing.T) {
	t.Parallel()
	spec, problems := Parse([]byte(`{"name":"q","source":{"topic":"flights","start":{"offset":{"3":17,"0":2}},"until":"end",
		"event_time":"a.b[0]","max_out_of_orderness":"1.5s"},
		"filter":[{"field":"x","op":"in","value":[1,1.0,"\u00e9",null]},{"not":{"or":[{"field":"y","op":"exists"}]}}],
		"group_by":["o.p","q"],"window":{"tumbling":"1h"},"allowed_lateness":250,
		"aggregate":[{"fn":"count"},{"fn":"max","field":"x"},{"fn":"sum","field":"x","as":"total"}],
		"select":{"z":"q","a":"count","m":"total"},"emit":"final"}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	source := spec.Sources[0]
	if source.Topic != "flights" || !source.UntilEnd || source.MaxOutOfOrderness != 1500 || source.EventTime.Path.String() != "a.b[0]" ||
		source.Start.Kind != StartOffset || !maps.Equal(source.Start.Offsets, map[int32]log.Offset{3: 17, 0: 2}) {
		t.Errorf("source is %+v", source)
	}
	in := spec.Filter.Conditions[0]
	want := []codecs.Value{codecs.IntValue(1), codecs.FloatValue(1), codecs.StringValue("é"), codecs.NullValue()}
	if in.Op != "in" || !reflect.DeepEqual(in.Values, want) {
		t.Errorf("the first condition is %+v", in)
	}
	if not := spec.Filter.Conditions[1]; not.Op != "not" || not.Nested[0].Op != "or" || not.Nested[0].Nested[0].Op != "exists" {
		t.Errorf("the second condition is %+v", not)
	}
	if len(spec.GroupBy) != 2 || spec.GroupBy[0].Text != "o.p" || spec.Window.TumblingMs != 3_600_000 || spec.AllowedLateness != 250 {
		t.Errorf("grouping is %+v %+v %d", spec.GroupBy, spec.Window, spec.AllowedLateness)
	}
	var names []string
	for _, a := range spec.Aggregate {
		names = append(names, a.Name)
	}
	for _, s := range spec.Select {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "count max_x total z a m" {
		t.Errorf("aggregates and members are %s", got)
	}
}

// TestPlanColumns holds that equal paths share a column, whoever asks for them.
func TestPlanColumns(t *testing.T) {
	t.Parallel()
	_, plan, _, problems := Compile(context.Background(), []byte(`{"name":"q","source":{"topic":"flights","event_time":"t"},
		"filter":"a.b > 1 and t != nil","group_by":["a[\"b\"]","c"],"window":{"tumbling":"1h"},"allowed_lateness":"1m",
		"aggregate":{"n":"count()","s":"sum(a?.b + d)","m":"max(c)"},
		"select":{"key":"a.b","n":"n","w":"window_end","first":"window_start","d":"m"}}`), specTopics{})
	if plan == nil {
		t.Fatal(problems)
	}
	if got := strings.Join(plan.Sources[0].pathTexts(), " "); got != "t a.b c d" {
		t.Errorf("paths are %s", got)
	}
	if plan.Sources[0].EventTime != 0 || plan.Sources[0].AllowedLateness != 60_000 {
		t.Errorf("source is %+v", plan.Sources[0])
	}
	w := plan.Window
	if w.Keys[0] != (Key{`a["b"]`, 1}) || w.Keys[1] != (Key{"c", 2}) || w.Aggregates[0].Arg != nil || w.Aggregates[1].Text != "sum(a.b + d)" {
		t.Errorf("window is %+v", w)
	}
	// The grouped row: a["b"], c, n, s, m, window_start, window_end.
	grouped := make([]codecs.Path, 7)
	batch := batchOf(grouped, exprRow{})
	for c := range grouped {
		batch.Columns.Cols[c].Set(0, codecs.IntValue(int64(c)))
	}
	for i, want := range []int64{0, 2, 6, 5, 4} {
		if v, err := plan.Select[i].Expr.Eval(batch, 0); err != nil || v.Int() != want {
			t.Errorf("%s is column %v (%v), want %d", plan.Select[i].Name, v.Int(), err, want)
		}
	}
}

// FuzzParse holds for any text: no panic; either a plan or problems, every one of
// which points into the text; the same answer again.
func FuzzParse(f *testing.F) {
	names := Names{Topics: specTopics{}, Formats: formats.New(formatstest.New())}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, plan, _, problems := names.Compile(context.Background(), text)
		if (plan == nil) != (len(problems) > 0) {
			t.Fatalf("plan %v with problems %v", plan, problems)
		}
		_, again, _, same := names.Compile(context.Background(), text)
		if plan != nil && (plan.String() != again.String() || plan.Mermaid() != again.Mermaid() || string(plan.JSON()) != string(again.JSON())) {
			t.Fatalf("two plans:\n%s\n%s", plan, again)
		}
		if !reflect.DeepEqual(problems, same) {
			t.Fatalf("two lists of problems:\n%s\n%s", problems, same)
		}
		lines := strings.Split(string(text), "\n")
		last := -1
		for _, p := range problems {
			if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 || p.Message == "" || p.Code == "" || p.Kind == 0 {
				t.Fatalf("problem %+v", p)
			}
			if p.Pointer != "" && p.Pointer[0] != '/' || p.offset < last {
				t.Fatalf("problem %+v after offset %d", p, last)
			}
			last = p.offset
		}
		if plan != nil {
			for _, o := range plan.Select {
				_, _ = o.Expr.Eval(batchOf(make([]codecs.Path, len(plan.Sources[0].Paths)+300), exprRow{}), 0)
			}
			if plan.Filter != nil {
				_, _ = plan.Filter.Eval(batchOf(make([]codecs.Path, len(plan.Sources[0].Paths)+300), exprRow{}), 0)
			}
		}
	})
}
