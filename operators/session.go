package operators

import "leat/dataflow"

// Session lets rows into session windows. A row is late, and leaves here, iff its event
// time is below the watermark that the row itself carries: a session that a row may
// still join or begin is then one that no watermark has closed. Judged by the end of
// the session it would make alone, a row could belong to a closed one.
type Session struct {
	gap int64
}

// MaxSessionGapMs bounds the gap of sessions: event times plus a gap never overflow.
const MaxSessionGapMs = MaxEventTime

// NewSession makes a Session of a gap of 1 to MaxSessionGapMs.
func NewSession(gapMs int64) *Session { return &Session{gap: gapMs} }

// Process implements dataflow.Operator. The letter of a late row spans the session that
// the row alone would be.
func (s *Session) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	kept := b.Selected[:0]
	for _, row := range b.Selected {
		if t := b.Times[row]; t < b.Watermarks[row] {
			out.Late(b, int(row), t, t.Plus(s.gap))
			continue
		}
		kept = append(kept, row)
	}
	b.Selected = kept
	return out.Emit(b)
}
