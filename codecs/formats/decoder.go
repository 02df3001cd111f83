package formats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"leat/codecs"
	"leat/codecs/jsoncodec"
)

// maxWriters bounds the decoders that are kept from one batch to the next.
const maxWriters = 64

// decoder implements codecs.FramedDecoder: one decoder for each schema that records name,
// and one for records without a frame.
type decoder struct {
	format *format
	paths  []codecs.Path
	bare   *writer
	byID   map[uint32]*writer
	byMark map[uint64]*writer
	batch  uint64 // counts batches
	used   []*writer
	bad    []codecs.RowError

	misfits []string
}

// writer decodes the records of one schema.
type writer struct {
	decoder codecs.Decoder
	refused string // why none of its records can be read
	last    uint64 // batch in which it had records
	rows    []int
	values  [][]byte // without frames
	columns codecs.Columns

	messages *messages // of Protobuf behind an id, where each record names its type
}

// Decoder implements codecs.Format.
func (f *format) Decoder(paths []codecs.Path) codecs.FramedDecoder {
	d := &decoder{format: f, paths: slices.Clone(paths), byID: map[uint32]*writer{}, byMark: map[uint64]*writer{}}
	switch {
	case f.bare != nil:
		d.bare = d.newWriter(f.bare, "the schema of the file")
	case f.reader == nil:
		d.bare = &writer{decoder: jsoncodec.New(paths)}
	default:
		d.bare = d.newWriter(f.reader, f.text)
	}
	return d
}

func (d *decoder) newWriter(s *schema, what string) *writer {
	dec, misfits, err := s.decoder(d.format.reader, d.paths)
	if err != nil {
		return &writer{refused: fmt.Sprintf("%s: %v", what, err)}
	}
	d.note(what, misfits)
	return &writer{decoder: dec}
}

// note keeps what the records of a schema do not have as the reader's have it.
func (d *decoder) note(what string, misfits []string) {
	for _, m := range misfits {
		text := fmt.Sprintf("%s is read as it is written where it does not fit the %s: %s", what, d.format.text, m)
		if len(d.misfits) < codecs.MaxMisfits && !slices.Contains(d.misfits, text) {
			d.misfits = append(d.misfits, text)
		}
	}
}

// Misfits implements codecs.FramedDecoder.
func (d *decoder) Misfits() []string { return d.misfits }

// Prepare implements codecs.FramedDecoder.
func (d *decoder) Prepare(ctx context.Context, values [][]byte) error {
	library := d.format.library
	if library.registry == nil {
		return nil
	}
	asked := false
	before := int64(-1) // the id of the record before
	for _, v := range values {
		if !mayBeFramed(v) {
			continue
		}
		id, _, framed := codecs.CutConfluent(v)
		if !framed {
			if d.unknownMark(v) && !asked {
				asked = true
				if err := library.catchUp(ctx); err != nil {
					return err
				}
			}
			continue
		}
		if int64(id) == before {
			continue
		}
		before = int64(id)
		if d.byID[id] != nil {
			continue
		}
		if before > library.last.Load() && !asked {
			asked = true
			if err := library.catchUp(ctx); err != nil {
				return err
			}
		}
		if err := d.add(id); err != nil {
			return err
		}
	}
	return nil
}

// add makes the decoder of an id, if it is known.
func (d *decoder) add(id uint32) error {
	s, err := d.format.byID(id)
	switch {
	case errors.Is(err, errUnknownID):
		return nil
	case err != nil:
		return fmt.Errorf("look for the schema with the id %d: %w", id, err)
	}
	what := fmt.Sprintf("the schema with the id %d", id)
	if s.proto != nil && s.err == nil {
		d.byID[id] = &writer{messages: newMessages(d, s.proto, what)}
		return nil
	}
	d.byID[id] = d.newWriter(s, what)
	return nil
}

// unknownMark tells a record with a fingerprint that may be known elsewhere.
func (d *decoder) unknownMark(v []byte) bool {
	mark, _, framed := codecs.CutSingleObject(v)
	return framed && d.format.subject != "" && d.byMark[mark] == nil && d.format.byMark(mark) == nil
}

// Decode implements codecs.Decoder.
func (d *decoder) Decode(values [][]byte, into *codecs.Columns) []codecs.RowError {
	d.batch++
	if w := d.uniform(values); w != nil { // as most batches are
		d.used = d.used[:0]
		d.bad = append(d.bad[:0], w.decoder.Decode(w.values, into)...)
		d.forget()
		return d.bad
	}
	if !slices.ContainsFunc(values, mayBeFramed) && d.bare.decoder != nil {
		return d.bare.decoder.Decode(values, into)
	}
	d.deal(values)
	d.bad = d.bad[:0]
	if len(d.used) == 1 && d.used[0].decoder != nil {
		d.report(d.used[0], d.used[0].decoder.Decode(d.used[0].values, into))
		d.forget()
		return d.bad
	}
	into.Reset(len(values), len(d.paths))
	for _, w := range d.used {
		d.decode(w, into)
	}
	slices.SortFunc(d.bad, func(a, b codecs.RowError) int { return cmp.Compare(a.Row, b.Row) })
	d.forget()
	return d.bad
}

func mayBeFramed(v []byte) bool { return len(v) > 0 && (v[0] == 0 || v[0] == 0xC3) }

// uniform finds the decoder of records that all have the same id in front, and gives them
// to it; nil if they have not, or if that is not all that says how they are read.
func (d *decoder) uniform(values [][]byte) *writer {
	if len(values) == 0 {
		return nil
	}
	id, _, framed := codecs.CutConfluent(values[0])
	w := d.byID[id]
	if !framed || w == nil || w.decoder == nil {
		return nil
	}
	head := [codecs.ConfluentBytes]byte(values[0])
	w.values = slices.Grow(w.values[:0], len(values))
	for _, v := range values {
		if len(v) < len(head) || [codecs.ConfluentBytes]byte(v) != head {
			return nil
		}
		w.values = append(w.values, v[len(head):])
	}
	w.last = d.batch
	return w
}

// deal gives each record to the decoder of its schema.
func (d *decoder) deal(values [][]byte) {
	d.used = d.used[:0]
	var last *writer // of the id before, which says all
	var before uint32
	for row, v := range values {
		id, rest, framed := codecs.CutConfluent(v)
		if framed && last != nil && id == before {
			d.give(last, row, rest)
			continue
		}
		w, value := d.writerOf(v)
		d.give(w, row, value)
		if before = id; framed && d.byID[id] == w {
			last = w
		} else {
			last = nil
		}
	}
}

// give has w decode a record.
func (d *decoder) give(w *writer, row int, value []byte) {
	if w.last != d.batch {
		w.last, w.rows, w.values = d.batch, w.rows[:0], w.values[:0]
		d.used = append(d.used, w)
	}
	w.rows, w.values = append(w.rows, row), append(w.values, value)
}

// writerOf finds the decoder of a record, and what of the record it is for. A frame whose
// schema is not known is none: the record is bare, or bad.
func (d *decoder) writerOf(v []byte) (w *writer, value []byte) {
	if !mayBeFramed(v) {
		return d.bare, v
	}
	if id, value, framed := codecs.CutConfluent(v); framed {
		if d.byID[id] == nil {
			_ = d.add(id) // an error has come up in Prepare; without that the record is bare
		}
		switch w := d.byID[id]; {
		case w == nil:
			return d.bare, v
		case w.messages != nil:
			w.last = d.batch
			return w.messages.writerOf(value)
		default:
			return w, value
		}
	}
	if mark, value, framed := codecs.CutSingleObject(v); framed {
		if d.byMark[mark] == nil {
			if s := d.format.byMark(mark); s != nil {
				d.byMark[mark] = d.newWriter(s, fmt.Sprintf("the schema with the fingerprint %016x", mark))
			}
		}
		if w := d.byMark[mark]; w != nil {
			return w, value
		}
	}
	return d.bare, v
}

// decode decodes the records of w and puts the cells where they belong.
func (d *decoder) decode(w *writer, into *codecs.Columns) {
	if w.decoder == nil {
		for _, row := range w.rows {
			d.bad = append(d.bad, codecs.RowError{Row: row, Reason: w.refused})
		}
		return
	}
	d.report(w, w.decoder.Decode(w.values, &w.columns))
	for k := range into.Cols {
		from, to := &w.columns.Cols[k], &into.Cols[k]
		for i, row := range w.rows {
			to.Kinds[row], to.Nums[row], to.Strs[row] = from.Kinds[i], from.Nums[i], from.Strs[i]
		}
	}
}

// report notes the bad records of w.
func (d *decoder) report(w *writer, bad []codecs.RowError) {
	for _, b := range bad {
		reason := b.Reason
		if w == d.bare {
			reason += unknownFrame(w.values[b.Row])
		}
		d.bad = append(d.bad, codecs.RowError{Row: w.rows[b.Row], Reason: reason})
	}
}

// unknownFrame says of a bad record that starts like a frame which schema is not known.
func unknownFrame(v []byte) string {
	if id, _, framed := codecs.CutConfluent(v); framed {
		return fmt.Sprintf("; it starts like a frame of the schema id %d, which is not registered", id)
	}
	if mark, _, framed := codecs.CutSingleObject(v); framed {
		return fmt.Sprintf("; it starts like a frame of the schema fingerprint %016x, which the topic's subject does not have", mark)
	}
	return ""
}

// forget drops decoders that have had no records in this batch, once there are many, and
// all of them where the batch alone had as many.
func (d *decoder) forget() {
	all := len(d.used) > maxWriters
	if all {
		d.used = nil // which would keep them
	}
	stale := func(w *writer) bool { return all || w.last != d.batch }
	for _, w := range d.byID {
		if w.messages != nil {
			w.messages.forget(stale)
		}
	}
	if len(d.byID)+len(d.byMark) <= maxWriters {
		return
	}
	for id, w := range d.byID {
		if stale(w) {
			delete(d.byID, id)
		}
	}
	for mark, w := range d.byMark {
		if stale(w) {
			delete(d.byMark, mark)
		}
	}
}
