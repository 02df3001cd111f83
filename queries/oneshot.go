package queries

import (
	"context"
	"errors"
	"fmt"
	"math"

	"leat/codecs"
	"leat/dataflow"
	"leat/log"
)

// The one-shot forms read a range of partitions once, answer and leave nothing
// behind. Records that are not JSON objects, or not what the source says that they are,
// are passed over, as are those without the event time a source names. A condition that
// cannot be evaluated for a record does not hold.

// OneShotReader is what the one-shot forms need of the log. Errors are faults.
type OneShotReader interface {
	Read(topic string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error)
}

// OneShotSource says which records of one partition to read, and how they are written.
type OneShotSource struct {
	Topic     string     // "" = not given
	Partition int32      // -1 = not given
	Group     string     // "" = none
	Offset    log.Offset // -1 = not given: after the group's commit, else the first
	Limit     int        // records to read at most

	eventTime int // column, -1 = append time
	format    *codecs.InlineFormat
	schema    *jsonNode
	message   *jsonNode // nil = the first
	decoder   codecs.Decoder
}

// OneShotRange is what a source comes to: From and the end of the partition when the
// call came.
type OneShotRange struct{ From, End log.Offset }

// OneShotLimits end the reading early, which the answer shows by where it ended.
type OneShotLimits struct {
	Records int // per source
	Bytes   int // kept in memory per source, about
	Answer  int // of rows in the answer
}

// MaxOneShotRecords is the highest limit of records that a source may ask for, and
// what counts where it does not say.
const MaxOneShotRecords = 10_000_000

// shotBatch is how many records are decoded at a time, out of shotRead bytes of log.
const (
	shotBatch = 1024
	shotRead  = 1 << 20
)

// shotScan decodes the records of one source, batch by batch.
type shotScan struct {
	source  *OneShotSource
	decoder codecs.Decoder
	batch   dataflow.Batch
	bad     []bool // by row of the batch
}

func newShotScan(source *OneShotSource) *shotScan {
	return &shotScan{source: source, decoder: source.decoder}
}

// run reads the range and gives every batch to take, until take says that it is
// enough. It returns the offset after the last record read and how many were read.
// When the deadline of ctx passes, what was read by then counts.
func (s *shotScan) run(ctx context.Context, reader OneShotReader, r OneShotRange, limit int, take func() bool) (next log.Offset, consumed int, err error) {
	limit = min(limit, s.source.Limit)
	var buf []byte
	for next = r.From; next < r.End && consumed < limit; {
		if err := ctx.Err(); err != nil && (consumed == 0 || !errors.Is(err, context.DeadlineExceeded)) {
			return next, consumed, context.Cause(ctx)
		} else if err != nil {
			return next, consumed, nil
		}
		frames, err := reader.Read(s.source.Topic, s.source.Partition, next, shotRead, buf)
		if err != nil {
			return next, consumed, fmt.Errorf("read %s/%d: %w", s.source.Topic, s.source.Partition, err)
		}
		if frames.Empty() {
			return next, consumed, nil
		}
		buf = frames.Bytes()
		cursor := frames.Records(next)
		for more := true; more; {
			s.batch.Values, s.batch.Offsets, s.batch.Times = s.batch.Values[:0], s.batch.Offsets[:0], s.batch.Times[:0]
			for len(s.batch.Values) < shotBatch && consumed < limit && next < r.End {
				record, ok := cursor.Next()
				if !ok {
					more = false
					break
				}
				s.batch.Values = append(s.batch.Values, record.Value)
				s.batch.Offsets = append(s.batch.Offsets, record.Offset)
				s.batch.Times = append(s.batch.Times, dataflow.Time(record.TimeMs))
				next = record.Offset + 1
				consumed++
			}
			if cursor.Err() != nil {
				return next, consumed, fmt.Errorf("read %s/%d: %w", s.source.Topic, s.source.Partition, cursor.Err())
			}
			if len(s.batch.Values) == 0 {
				break
			}
			s.decode()
			if !take() {
				return next, consumed, nil
			}
		}
	}
	return next, consumed, nil
}

// decode fills the columns and times of the batch.
func (s *shotScan) decode() {
	s.batch.Rows = len(s.batch.Values)
	s.bad = append(s.bad[:0], make([]bool, s.batch.Rows)...)
	for _, e := range s.decoder.Decode(s.batch.Values, &s.batch.Columns) {
		s.bad[e.Row] = true
	}
	if s.source.eventTime < 0 {
		return
	}
	for row := range s.batch.Rows {
		if s.bad[row] {
			continue
		}
		t, ok := shotTime(s.batch.Columns.Cols[s.source.eventTime].Value(row))
		s.batch.Times[row], s.bad[row] = t, !ok
	}
}

// shotTime reads an event time: epoch milliseconds or RFC 3339 text.
func shotTime(v codecs.Value) (dataflow.Time, bool) {
	switch v.Kind {
	case codecs.Int:
		return dataflow.Time(v.Int()), v.Int() >= -maxShotTime && v.Int() <= maxShotTime
	case codecs.Float:
		f := v.Float()
		return dataflow.Time(f), f == math.Trunc(f) && math.Abs(f) <= maxShotTime
	case codecs.String:
		ms, ok := codecs.ParseTime(v.Str)
		return dataflow.Time(ms), ok
	}
	return 0, false
}

// maxShotTime bounds times and spans so that their sums do not wrap.
const maxShotTime = 1 << 53

// shotText is a value inside the text of a key: strings as they are, null for what is
// missing, anything else as JSON.
func shotText(dst []byte, v codecs.Value) []byte {
	if v.Kind == codecs.String {
		return append(dst, v.Str...)
	}
	return codecs.AppendJSON(dst, v)
}

// shotProjection makes the JSON of a row: the fields, or the whole record.
type shotProjection struct {
	names   []string
	columns []int
	whole   int // column of the record, if there are no names
}

func (p *shotProjection) append(dst []byte, b *dataflow.Batch, row int) []byte {
	if len(p.names) == 0 {
		return codecs.AppendJSON(dst, b.Columns.Cols[p.whole].Value(row))
	}
	dst = append(dst, '{')
	for i, name := range p.names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(codecs.AppendJSONString(dst, name), ':')
		dst = codecs.AppendJSON(dst, b.Columns.Cols[p.columns[i]].Value(row))
	}
	return append(dst, '}')
}
