package queries

import (
	"cmp"
	"fmt"
	"strings"

	"leat/codecs"
	"leat/dataflow"
	"leat/operators"
)

// Build makes the operators of the plan for topics of so many partitions, in the order
// of Sources. Each graph belongs to one job.
func (p *Plan) Build(partitions ...int) (*dataflow.Graph, error) {
	built, err := p.pipeline(partitions, nil)
	if err != nil {
		return nil, err
	}
	return built.graph, nil
}

// pipeline is a graph with the operators that the job itself has to know.
type pipeline struct {
	graph *dataflow.Graph
	times []*operators.EventTime // by source partition
	// prepare are the decoders that have to be prepared for each batch, by source
	// partition; nil for others.
	prepare []codecs.FramedDecoder
	endless int // node whose state no watermark drops, 0 for none
}

func (p *Plan) pipeline(partitions []int, values Values) (pipeline, error) {
	inputs := make([]dataflow.Input, len(p.Sources))
	total := 0
	for i := range p.Sources {
		inputs[i] = dataflow.Input{Text: fmt.Sprintf("%s, %d partitions", p.Sources[i].Topic, partitions[i]), Partitions: partitions[i]}
		total += partitions[i]
	}
	built := pipeline{graph: dataflow.NewGraph(inputs...)}
	ends := make([]int, len(p.Sources)) // the last node of each source
	for i := range p.Sources {
		ends[i] = built.addSource(&p.Sources[i], i, partitions[i], total)
	}
	g, last, behind := built.graph, ends[0], total // source partitions: behind a join there are none
	if p.Join != nil {
		last, behind = g.Add("join", p.joinText(), p.Join.operator(partitions), ends...), 0
	}
	if p.Lookup != nil {
		last = g.Add("lookup", p.Lookup.text(), p.Lookup.operator(values, total), last)
	}
	if p.Filter != nil {
		last = g.Add("filter", p.FilterText, operators.NewFilter(p.Filter), last)
	}
	if p.Window != nil {
		var err error
		if last, err = p.addWindow(g, last, behind); err != nil {
			return pipeline{}, err
		}
		if p.Window.Running && p.Window.TTLMs == 0 {
			built.endless = last
		}
	}
	project := operators.NewProject(p.members(), total)
	if columns := p.rowKey(); columns != nil {
		project.KeyBy(columns...)
	}
	if p.Withdraws {
		project.Withdraw(p.Fixed)
	}
	if p.Whole >= 0 {
		project.Whole(p.Whole)
		if p.Lookup != nil {
			project.With(operators.Member{Name: p.Lookup.As, Expr: dataflow.Column(p.Lookup.whole)})
		}
	}
	g.Add("select", p.selectText(), project, last)
	return built, nil
}

// addSource adds what turns the records of a source into rows with event times. Of all
// the source partitions its own follow those that have been added.
func (b *pipeline) addSource(s *SourcePlan, input, partitions, total int) (last int) {
	fields := s.pathTexts()
	decoders := make([]codecs.Decoder, total)
	for i := range partitions {
		decoder, prepare := s.decoder()
		decoders[len(b.times)+i] = decoder
		b.prepare = append(b.prepare, prepare)
	}
	last = b.graph.Add("decode", s.formatText()+": "+strings.Join(fields, " "), operators.NewDecode(decoders), input)
	column, text := operators.AppendTime, "append time"
	if s.EventTime >= 0 {
		column, text = s.EventTime, fields[s.EventTime]
	}
	delay := s.delay()
	times := operators.NewEventTime(column, delay, total)
	for range partitions {
		b.times = append(b.times, times)
	}
	return b.graph.Add("event_time", fmt.Sprintf("%s, watermark %d ms behind", text, delay), times, last)
}

// operator is the join of sources of so many partitions.
func (j *JoinPlan) operator(partitions []int) *operators.Join {
	outer := [2]bool{j.Type == "left" || j.Type == "full", j.Type == "right" || j.Type == "full"}
	reach := operators.IntervalJoin(j.BeforeMs, j.AfterMs, outer, j.Once)
	if j.TumblingMs > 0 {
		reach = operators.TumblingJoin(j.TumblingMs)
	}
	return operators.NewJoin(operators.JoinConfig{
		Reach: reach, Keys: j.Keys, Columns: j.Columns, Names: j.Names, Outer: outer, Once: j.Once,
		Partitions: [2]int{partitions[0], partitions[1]},
	})
}

func (p *Plan) addWindow(g *dataflow.Graph, last, partitions int) (int, error) {
	w := p.Window
	switch {
	case w.Running && w.TTLMs == 0: // no row is ever late
	case w.Running:
		last = g.Add("ttl", fmt.Sprintf("%d ms", w.TTLMs), operators.NewSession(w.TTLMs), last)
	case w.GapMs > 0:
		last = g.Add("window", fmt.Sprintf("session %d ms", w.GapMs), operators.NewSession(w.GapMs), last)
	case w.EveryMs == w.SizeMs:
		last = g.Add("window", fmt.Sprintf("tumbling %d ms", w.SizeMs), operators.NewTumbling(w.SizeMs), last)
	default:
		last = g.Add("window", fmt.Sprintf("hopping %d ms every %d ms", w.SizeMs, w.EveryMs), operators.NewHopping(w.SizeMs, w.EveryMs), last)
	}
	var keys []int
	var names, texts []string
	for _, k := range w.Keys {
		keys = append(keys, k.Column)
		names = append(names, k.Name)
	}
	specs := make([]operators.AggregateSpec, len(w.Aggregates))
	for i, a := range w.Aggregates {
		specs[i] = operators.AggregateSpec{Fn: a.Fn, Arg: a.Arg, By: a.By, Filter: a.Filter, Param: a.Param, Text: a.Text}
		texts = append(texts, a.Name+"="+a.text())
	}
	op, err := w.aggregate(keys, specs, partitions, p.Changes)
	if err != nil {
		return 0, fmt.Errorf("build query %q: %w", p.Name, err)
	}
	text := fmt.Sprintf("by (%s): %s", strings.Join(names, ", "), strings.Join(texts, ", "))
	if w.Having != nil {
		text += ", having " + w.HavingText
	}
	return g.Add("aggregate", text, op, last), nil
}

// aggregate is the operator that has the window's state.
func (w *WindowPlan) aggregate(keys []int, specs []operators.AggregateSpec, partitions int, changes bool) (dataflow.Operator, error) {
	if w.GapMs > 0 || w.Running {
		gap := cmp.Or(w.GapMs, w.TTLMs, operators.Endless)
		return operators.NewSessionAggregate(operators.SessionAggregateConfig{
			GapMs: gap, Keys: keys, Aggregates: specs, Having: w.Having, Partitions: partitions, Running: w.Running, Changes: changes,
		})
	}
	return operators.NewAggregate(operators.AggregateConfig{
		SizeMs: w.SizeMs, EveryMs: w.EveryMs, Keys: keys, Aggregates: specs, Having: w.Having, Partitions: partitions, Changes: changes,
	})
}

// members are the members of the output rows, none for whole records.
func (p *Plan) members() []operators.Member {
	var list []operators.Member
	for _, o := range p.Select {
		list = append(list, operators.Member{Name: o.Name, Expr: o.Expr})
	}
	if p.Select == nil && p.Window != nil {
		for i, name := range p.groupedNames() {
			list = append(list, operators.Member{Name: name, Expr: dataflow.Column(i)})
		}
	}
	return list
}

// groupedNames are the columns of the grouped row, nil for a stateless query.
func (p *Plan) groupedNames() []string {
	if p.Window == nil {
		return nil
	}
	return p.Window.memberNames()
}

// rowKey are the columns of a grouped row that make the key of its record in the
// result log: see viewKey. It is nil for a query without groups.
func (p *Plan) rowKey() []int {
	if p.Window == nil {
		return nil
	}
	columns := []int{len(p.groupedNames()) - 2}
	if p.Window.Running {
		columns[0] = -1
	}
	for i := range p.Window.Keys {
		columns = append(columns, i)
	}
	return columns
}

func (p *Plan) selectText() string {
	if p.Select == nil {
		return "*"
	}
	texts := make([]string, len(p.Select))
	for i, o := range p.Select {
		texts[i] = o.Name + "=" + o.Text
	}
	return strings.Join(texts, ", ")
}

// delay is how far watermarks are behind the highest event time, in ms.
func (s *SourcePlan) delay() int64 {
	return int64(dataflow.Time(s.MaxOutOfOrderness).Plus(s.AllowedLateness))
}
