package queries

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"leat/codecs"
	"leat/dataflow"
)

// maxReasonBytes bounds the reason in a dead letter.
const maxReasonBytes = 256

// letterWriter writes the records of the late and the dead-letter log:
//
//	{"topic","partition","offset","event_time","watermark","window_start","window_end","value_b64"}
//	{"topic","partition","offset","operator","reason","value_b64"}
//
// A dead grouped or joined row has null for partition and offset, and as its value the
// JSON of the row: of a joined one the fields that the query uses, by their paths.
type letterWriter struct {
	lanes   []*lane  // by source: only where they read is looked at
	grouped []string // names of the columns of a grouped row
	buf     []byte
	row     []byte
}

func (w *letterWriter) late(b *dataflow.Batch, row int, start, end dataflow.Time) []byte {
	w.head(b, row)
	w.number(`,"event_time":`, int64(b.Times[row]))
	w.number(`,"watermark":`, int64(b.Watermarks[row]))
	w.number(`,"window_start":`, int64(start))
	w.number(`,"window_end":`, int64(end))
	return w.value(b.Values[row])
}

func (w *letterWriter) dead(b *dataflow.Batch, row int, operator, reason string) []byte {
	w.head(b, row)
	w.buf = append(w.buf, `,"operator":`...)
	w.buf = codecs.AppendJSONString(w.buf, operator)
	w.buf = append(w.buf, `,"reason":`...)
	w.buf = codecs.AppendJSONString(w.buf, cutText(reason, maxReasonBytes))
	if b.Source < 0 {
		return w.value(w.groupedRow(b, row))
	}
	return w.value(b.Values[row])
}

func (w *letterWriter) head(b *dataflow.Batch, row int) {
	w.buf = append(w.buf[:0], `{"topic":`...)
	if b.Source < 0 {
		w.buf = codecs.AppendJSONString(w.buf, w.lanes[0].topic)
		w.buf = append(w.buf, `,"partition":null,"offset":null`...)
		return
	}
	from := w.lanes[b.Source]
	w.buf = codecs.AppendJSONString(w.buf, from.topic)
	w.number(`,"partition":`, int64(from.partition))
	w.number(`,"offset":`, int64(b.Offsets[row]))
}

func (w *letterWriter) number(member string, n int64) {
	w.buf = append(w.buf, member...)
	w.buf = strconv.AppendInt(w.buf, n, 10)
}

func (w *letterWriter) value(v []byte) []byte {
	w.buf = append(w.buf, `,"value_b64":"`...)
	w.buf = base64.StdEncoding.AppendEncode(w.buf, v)
	w.buf = append(w.buf, `"}`...)
	return w.buf
}

func (w *letterWriter) groupedRow(b *dataflow.Batch, row int) []byte {
	w.row = append(w.row[:0], '{')
	names := w.grouped
	if b.Names != nil {
		names = b.Names
	}
	for i, name := range names {
		if i > 0 {
			w.row = append(w.row, ',')
		}
		w.row = append(codecs.AppendJSONString(w.row, name), ':')
		w.row = codecs.AppendJSON(w.row, b.Columns.Cols[i].Value(row))
	}
	w.row = append(w.row, '}')
	return w.row
}

// cutText shortens s to at most n bytes, between characters.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
