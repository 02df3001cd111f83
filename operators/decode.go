package operators

import (
	"leat/codecs"
	"leat/dataflow"
)

// Decode turns the records of a source batch into columns and selects those that
// can be decoded; the others are dead letters.
type Decode struct {
	decoders []codecs.Decoder // by source
}

// NewDecode makes a Decode with a decoder for each source partition whose batches it
// gets; nil for others. They belong to it from now on.
func NewDecode(decoders []codecs.Decoder) *Decode { return &Decode{decoders: decoders} }

// Process implements dataflow.Operator. It sets Columns and Selected.
func (d *Decode) Process(_ int, b *dataflow.Batch, out dataflow.Emitter) error {
	bad := d.decoders[b.Source].Decode(b.Values, &b.Columns)
	b.Selected = resize(b.Selected, b.Rows)[:0]
	for row := range b.Rows {
		if len(bad) > 0 && bad[0].Row == row {
			out.Dead(b, row, bad[0].Reason)
			bad = bad[1:]
			continue
		}
		b.Selected = append(b.Selected, int32(row))
	}
	return out.Emit(b)
}
