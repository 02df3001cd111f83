package queries

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"leat/codecs"
)

// String describes the plan for people, one step a line, in the order the steps are
// taken. The text is the same for equal plans.
func (p *Plan) String() string {
	var b strings.Builder
	line := func(indent int, format string, args ...any) {
		b.WriteString(strings.Repeat("  ", indent))
		fmt.Fprintf(&b, format, args...)
		b.WriteByte('\n')
	}
	line(0, "query %s", p.Name)
	for i := range p.Sources {
		s := &p.Sources[i]
		line(1, "read topic %s from %s%s", s.Topic, s.Start, s.untilText())
		if s.Format != nil {
			line(2, "format: %s", s.Format)
		}
		line(2, "event time: %s", s.timeText())
		if s.IdleTimeout > 0 {
			line(2, "pass over a partition that is idle for %s", FormatDuration(s.IdleTimeout))
		}
		if len(s.pathTexts()) > 0 {
			line(2, "fields: %s", strings.Join(s.pathTexts(), ", "))
		}
	}
	if p.Join != nil {
		line(1, "%s, closed %s", p.joinText(), p.closeText())
	}
	if p.Lookup != nil {
		line(1, "look up %s", p.Lookup.text())
	}
	if p.Filter != nil {
		line(1, "filter %s", p.FilterText)
	}
	if w := p.Window; w != nil {
		if w.Running {
			line(1, "%s", p.runningText())
		} else {
			line(1, "window %s, closed %s", w.text(), p.closeText())
		}
		if len(w.Keys) > 0 {
			line(2, "group by %s", strings.Join(w.keyNames(), ", "))
		}
		for _, a := range w.Aggregates {
			line(2, "%s = %s", memberText(a.Name), a.text())
		}
		if w.Having != nil {
			line(2, "having %s", w.HavingText)
		}
	}
	line(1, "emit %s", p.emitText())
	for _, o := range p.Select {
		line(2, "%s = %s", memberText(o.Name), o.Text)
	}
	if p.MaxStateBytes > 0 {
		line(1, "fail beyond %d bytes of state", p.MaxStateBytes)
	}
	if p.StopOnError {
		line(1, "stop at the first row that fails")
	}
	for _, s := range p.Sinks {
		line(1, "%s", s.text())
	}
	return b.String()
}

// memberText quotes the name of a member if it could be taken for something else.
func memberText(name string) string {
	if path := codecs.NewPath(codecs.Step{Member: name}).String(); path == name {
		return name
	}
	return strconv.Quote(name)
}

// String is how the plan shows where reading starts.
func (s Start) String() string {
	switch s.Kind {
	case StartLatest:
		return "latest"
	case StartOffset:
		partitions := make([]int32, 0, len(s.Offsets))
		for p := range s.Offsets {
			partitions = append(partitions, p)
		}
		slices.Sort(partitions)
		parts := make([]string, len(partitions))
		for i, p := range partitions {
			parts[i] = fmt.Sprintf("%d:%d", p, s.Offsets[p])
		}
		return "offset {" + strings.Join(parts, ", ") + "}"
	case StartTimestamp:
		return "append time " + time.UnixMilli(s.Timestamp).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return "earliest"
}

func (s *SourcePlan) untilText() string {
	if s.UntilEnd {
		return " until end"
	}
	return ""
}

func (s *SourcePlan) timeText() string {
	text := "append time"
	if s.EventTime >= 0 {
		text = s.Paths[s.EventTime].String()
	}
	return text + ", out of order by up to " + FormatDuration(s.MaxOutOfOrderness)
}

func (p *Plan) closeText() string {
	lateness := p.Sources[0].AllowedLateness
	if lateness == 0 {
		return "by the watermark"
	}
	return FormatDuration(lateness) + " behind the watermark"
}

// runningText says how long running groups go on.
func (p *Plan) runningText() string {
	if p.Window.TTLMs == 0 {
		return "running groups, without end"
	}
	return p.Window.text() + ", ended " + p.closeText()
}

func (p *Plan) emitText() string {
	when := "once a window"
	if p.Window != nil && p.Window.Running {
		when = "once a group, when it ends"
	}
	if p.ChangesEveryMs > 0 {
		when = "changes every " + FormatDuration(p.ChangesEveryMs) + " and " + when
	} else if p.Changes {
		when = "changes and " + when
	}
	if p.Withdraws {
		when += ", and withdraw what no longer holds"
	}
	switch {
	case p.Window != nil && p.Select == nil:
		return when + ": " + strings.Join(p.Window.memberNames(), ", ")
	case p.Window != nil:
		return when
	case p.Join != nil:
		return "each joined row"
	case p.Select == nil && p.Lookup != nil:
		return "the record with " + memberText(p.Lookup.As)
	case p.Select == nil:
		return "the record"
	}
	return "each row"
}

func (s *SourcePlan) pathTexts() []string {
	texts := make([]string, 0, len(s.Paths))
	for _, path := range s.Paths {
		if len(path.Steps()) > 0 { // else it is the record
			texts = append(texts, path.String())
		}
	}
	return texts
}

// text is the kind of windows with their size.
func (w *WindowPlan) text() string {
	switch {
	case w.Running && w.TTLMs == 0:
		return "running groups"
	case w.Running:
		return "running groups, each until it has no row for " + FormatDuration(w.TTLMs)
	case w.GapMs > 0:
		return "session " + FormatDuration(w.GapMs)
	case w.EveryMs == w.SizeMs:
		return "tumbling " + FormatDuration(w.SizeMs)
	}
	return "hopping " + FormatDuration(w.SizeMs) + " every " + FormatDuration(w.EveryMs)
}

// text is the aggregate with its filter, as SQL writes it.
func (a *Aggregate) text() string {
	if a.Filter == nil {
		return a.Text
	}
	return a.Text + " filter (where " + a.FilterText + ")"
}

func (w *WindowPlan) keyNames() []string {
	names := make([]string, len(w.Keys))
	for i, k := range w.Keys {
		names[i] = k.Name
	}
	return names
}

// memberNames are the members of the grouped row, in its order.
func (w *WindowPlan) memberNames() []string {
	names := w.keyNames()
	for _, a := range w.Aggregates {
		names = append(names, a.Name)
	}
	if w.Running {
		return names
	}
	return append(names, windowStart, windowEnd)
}

// planNode is one step of a plan in its JSON form.
type planNode struct {
	ID     string         `json:"id"`
	Kind   string         `json:"kind"`
	Text   string         `json:"text"`
	Inputs []string       `json:"inputs"`
	Detail map[string]any `json:"detail,omitempty"` // encoding/json sorts the members
}

// nodes are the steps of the plan, each after its inputs.
func (p *Plan) nodes() []planNode {
	nodes := p.sourceNodes()
	add := func(n planNode) {
		n.Inputs = []string{nodes[len(nodes)-1].ID}
		nodes = append(nodes, n)
	}
	if p.Lookup != nil {
		add(p.Lookup.node())
	}
	if p.Filter != nil {
		add(planNode{ID: "filter", Kind: "filter", Text: p.FilterText})
	}
	if w := p.Window; w != nil {
		aggregates := make([]map[string]string, len(w.Aggregates))
		texts := make([]string, len(w.Aggregates))
		for i, a := range w.Aggregates {
			aggregates[i] = map[string]string{"as": a.Name, "text": a.text()}
			texts[i] = memberText(a.Name) + " = " + a.text()
		}
		kind := "tumbling"
		detail := map[string]any{
			"allowed_lateness_ms": p.Sources[0].AllowedLateness, "group_by": w.keyNames(), "aggregates": aggregates,
		}
		switch {
		case w.Running && w.TTLMs == 0:
			kind = "running"
		case w.Running:
			kind, detail["ttl_ms"] = "running", w.TTLMs
		case w.GapMs > 0:
			kind, detail["gap_ms"] = "session", w.GapMs
		case w.EveryMs != w.SizeMs:
			kind, detail["every_ms"] = "hopping", w.EveryMs
			fallthrough
		default:
			detail["size_ms"] = w.SizeMs
		}
		add(planNode{ID: "window", Kind: kind, Text: w.text() + ": " + strings.Join(texts, ", "), Detail: detail})
		if w.Having != nil {
			add(planNode{ID: "having", Kind: "filter", Text: w.HavingText})
		}
	}
	if p.Select != nil {
		outputs := make([]map[string]string, len(p.Select))
		texts := make([]string, len(p.Select))
		for i, o := range p.Select {
			outputs[i] = map[string]string{"as": o.Name, "text": o.Text}
			texts[i] = memberText(o.Name) + " = " + o.Text
		}
		add(planNode{ID: "select", Kind: "project", Text: strings.Join(texts, ", "), Detail: map[string]any{"members": outputs}})
	}
	add(planNode{ID: "results", Kind: "results", Text: "emit " + p.emitText()})
	for _, s := range p.Sinks {
		nodes = append(nodes, planNode{
			ID: "sink_" + s.Log, Kind: "sink", Text: s.text(), Inputs: []string{"results"},
			Detail: s.detail(),
		})
	}
	return nodes
}

// sourceNodes are the steps up to the rows that are filtered.
func (p *Plan) sourceNodes() []planNode {
	if p.Join == nil {
		return []planNode{p.Sources[0].node("source")}
	}
	j := p.Join
	on := make([][2]string, len(j.Keys[0]))
	for i := range on {
		on[i] = [2]string{p.Sources[0].Paths[j.Keys[0][i]].String(), p.Sources[1].Paths[j.Keys[1][i]].String()}
	}
	detail := map[string]any{
		"type": j.Type, "on": on, "dedupe_once": j.Once, "allowed_lateness_ms": p.Sources[0].AllowedLateness, "fields": j.Names,
	}
	if j.TumblingMs > 0 {
		detail["tumbling_ms"] = j.TumblingMs
	} else {
		detail["before_ms"], detail["after_ms"] = j.BeforeMs, j.AfterMs
	}
	return []planNode{
		p.Sources[0].node("left"), p.Sources[1].node("right"),
		{ID: "join", Kind: "join", Text: p.joinText(), Inputs: []string{"left", "right"}, Detail: detail},
	}
}

// joinText says what is joined with what.
func (p *Plan) joinText() string {
	j := p.Join
	var on []string
	for i := range j.Keys[0] {
		on = append(on, fmt.Sprintf("left.%s = right.%s", p.Sources[0].Paths[j.Keys[0][i]], p.Sources[1].Paths[j.Keys[1][i]]))
	}
	text := j.Type + " join on " + strings.Join(on, " and ")
	switch {
	case j.TumblingMs > 0:
		text += ", tumbling " + FormatDuration(j.TumblingMs)
	case j.BeforeMs == j.AfterMs:
		text += ", within " + FormatDuration(j.BeforeMs)
	default:
		text += fmt.Sprintf(", right from %s before to %s after left", FormatDuration(j.BeforeMs), FormatDuration(j.AfterMs))
	}
	if j.Once {
		text += ", each left row once"
	}
	return text
}

// node is the step that reads the source.
func (s *SourcePlan) node(id string) planNode {
	n := planNode{
		ID: id, Kind: "source", Text: "topic " + s.Topic, Inputs: []string{},
		Detail: map[string]any{
			"topic": s.Topic, "start": s.Start.String(), "bounded": s.UntilEnd,
			"event_time": s.timeField(), "max_out_of_orderness_ms": s.MaxOutOfOrderness,
			"fields": s.pathTexts(),
		},
	}
	if s.Format != nil {
		n.Detail["format"] = s.Format.String()
	}
	if s.IdleTimeout > 0 {
		n.Detail["idle_timeout_ms"] = s.IdleTimeout
	}
	return n
}

// timeField is the event time's path, nil for append time.
func (s *SourcePlan) timeField() any {
	if s.EventTime < 0 {
		return nil
	}
	return s.Paths[s.EventTime].String()
}

// JSON is the plan as {"name", "nodes": [{"id", "kind", "text", "inputs", "detail"}]},
// each node after its inputs. The bytes are the same for equal plans.
func (p *Plan) JSON() []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(struct {
		Name  string     `json:"name"`
		Nodes []planNode `json:"nodes"`
	}{p.Name, p.nodes()}) // strings, integers and maps of them always encode
	return bytes.TrimSpace(text.Bytes())
}

// Mermaid is the plan as a flow chart in the Mermaid language.
func (p *Plan) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, n := range p.nodes() {
		fmt.Fprintf(&b, "  %s[\"%s\"]\n", n.ID, mermaidText(n.Kind+": "+n.Text))
		for _, input := range n.Inputs {
			fmt.Fprintf(&b, "  %s --> %s\n", input, n.ID)
		}
	}
	return b.String()
}

// mermaidText writes text inside a quoted label: what could end it or be taken for
// markup becomes a character code.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune("\"#<>&;\\`", r) || r < ' ' {
			fmt.Fprintf(&b, "#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
