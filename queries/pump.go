package queries

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// SinkTopics is what queries need to write to topics. Errors are faults.
type SinkTopics interface {
	// CreateTopic is idempotent; another number of partitions is Conflict
	// "topic_exists".
	CreateTopic(ctx context.Context, name string, partitions int32) (bus.Topic, error)
	// Append repeated with the same idempotency key and block has no effect.
	Append(ctx context.Context, a bus.Append) (bus.Appended, error)
	// KeyPartition is where a record with this key belongs, always the same.
	KeyPartition(key []byte, partitions int32) int32
}

// sinkStanding is the document "sink/{id}/{log}" in the shard of the query: how far
// one of its logs has been copied to a topic. Everything before From has been
// appended. From to End is a batch that is being appended, or already has been.
//
// A batch is written down before it is appended, and its idempotency key is made of
// the query's id and its range: whoever finds it here appends the same records under
// the same keys again, which has no effect where it was done before. The version
// fences: only one of several pumps gets to say what the next batch is.
type sinkStanding struct {
	Topic   string     `json:"topic"`
	TopicID uint64     `json:"topic_id"`
	From    log.Offset `json:"from"`
	End     log.Offset `json:"end"`
	// Skipped are the rows before From that have no place in the schema of the topic's
	// records, and Skips those from From to End.
	Skipped  int64 `json:"skipped,omitempty"`
	Skips    int64 `json:"skips,omitempty"`
	LastSkip *Skip `json:"last_skip,omitempty"`
}

func sinkKey(id, of string) string { return "sink/" + id + "/" + of }

// sinkKeys are the documents of all sinks that a query may have.
func sinkKeys(id string) []string {
	return []string{sinkKey(id, sinkResults), sinkKey(id, sinkLate), sinkKey(id, sinkDead)}
}

// The bounds of a batch, beyond which a single record may be.
const (
	pumpRows  = 4096
	pumpBytes = 512 << 10
)

// pump copies one log of a query to a topic, each record once, in order. A row that is
// withdrawn is a record without a value where it has a key.
type pump struct {
	id      string
	shard   uint64
	sources []string // topics
	sink    SinkPlan
	topics  Topics
	target  SinkTopics
	docs    Documents
	formats Formats // may be nil where the records are JSON
	settled func()  // called whenever all is well

	writer     codecs.RowWriter // nil: the records are the rows
	record     []byte
	skips      int64 // of the rows collected last
	lastSkip   *Skip
	partitions int32 // of the target
	saved      sinkStanding
	version    uint64 // of its document
	applied    bool   // the batch in saved has been appended
	blocks     []log.Block
	decoder    *jsoncodec.Decoder // nil without a key
	columns    codecs.Columns
	key, buf   []byte
}

// run copies until ctx ends or an error comes up. Whatever the error, another pump
// may go on.
func (p *pump) run(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	own := p.sink.logTopic(p.id)
	for {
		p.settled()
		if p.saved.From < p.saved.End && !p.applied {
			if err := p.repeat(ctx, own); err != nil {
				return err
			}
		}
		standing, err := p.topics.Partition(own, 0)
		if err != nil {
			return fmt.Errorf("look at %s: %w", own, err)
		}
		switch {
		case standing.Next > p.saved.End:
			err = p.next(ctx, own, standing.Next)
		case p.saved.From < p.saved.End:
			// Keys are not kept for ever: nothing is to be repeated later.
			err = p.write(ctx, p.saved.End, p.saved.End)
		default:
			err = waitForMore(ctx, p.topics, own, p.saved.End)
		}
		if err != nil {
			return err
		}
	}
}

func (p *pump) progressed() bool { return p.applied }

// open finds the standing, or begins with the first record.
func (p *pump) open(ctx context.Context) error {
	own := p.sink.logTopic(p.id)
	if err := openLog(ctx, p.topics, own, p.shard); err != nil {
		return err
	}
	if err := p.topics.Barrier(ctx); err != nil {
		return fmt.Errorf("wait for the log to catch up: %w", err)
	}
	p.applied = false
	if err := p.openFormat(ctx); err != nil {
		return err
	}
	doc, found := p.docs.Doc(p.shard, sinkKey(p.id, p.sink.Log))
	if !found {
		return p.begin(ctx)
	}
	saved, err := decodeDoc[sinkStanding](doc)
	if err != nil {
		return err
	}
	topic, ok := p.topics.Topic(saved.Topic)
	if !ok || topic.ID != saved.TopicID {
		return fault.New(fault.NotFound, codeUnknownTopic, "topic %q, which the %s are written to, was deleted", saved.Topic, p.sink.title())
	}
	p.saved, p.version, p.partitions = saved, doc.Version, topic.Partitions
	return nil
}

// openFormat makes the writer of the topic's records.
func (p *pump) openFormat(ctx context.Context) error {
	if p.sink.Format.Name == "" {
		return nil
	}
	if p.formats == nil {
		return fault.New(fault.Unprocessable, codeUnsupported, "format %q is not available here", p.sink.Format.Name)
	}
	f, err := p.formats.Sink(ctx, p.sink.Format, codecs.UnknownType())
	if err == nil {
		p.writer, err = f.Writer(p.sink.members)
	}
	if err != nil {
		return fmt.Errorf("write to topic %q: %w", p.sink.Topic, err)
	}
	return nil
}

func (p *pump) begin(ctx context.Context) error {
	widest := bus.Topic{}
	for _, name := range p.sources {
		source, ok := p.topics.Topic(name)
		if !ok {
			return fault.New(fault.NotFound, codeUnknownTopic, "source topic %q does not exist", name)
		}
		if source.Partitions > widest.Partitions {
			widest = source
		}
	}
	topic, ok := p.topics.Topic(p.sink.Topic)
	if !ok {
		var err error
		if topic, err = p.target.CreateTopic(ctx, p.sink.Topic, widest.Partitions); err != nil {
			return fmt.Errorf("create topic %q: %w", p.sink.Topic, err)
		}
	}
	if p.sink.Follow && topic.Partitions < widest.Partitions {
		return fault.New(fault.Unprocessable, codeInvalid, "topic %q has %d partitions, fewer than %q with %d",
			topic.Name, topic.Partitions, widest.Name, widest.Partitions)
	}
	p.saved, p.version, p.partitions = sinkStanding{Topic: topic.Name, TopicID: topic.ID}, 0, topic.Partitions
	return p.write(ctx, 0, 0)
}

// write makes the range the batch.
func (p *pump) write(ctx context.Context, from, end log.Offset) error {
	next := p.saved
	next.From, next.End = from, end
	next.Skipped, next.Skips = next.Skipped+next.Skips, p.skips
	if p.lastSkip != nil {
		next.LastSkip = p.lastSkip
	}
	p.skips, p.lastSkip = 0, nil
	value, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the standing of a sink: %w", err)
	}
	key := sinkKey(p.id, p.sink.Log)
	result, err := p.docs.Transact(ctx, bus.Txn{
		Shard: p.shard, Fence: &bus.Fence{Key: key, Version: p.version}, Puts: []bus.Doc{{Key: key, Value: value}},
	})
	if err != nil {
		return fmt.Errorf("write the standing of a sink: %w", err)
	}
	p.saved, p.version, p.applied = next, result.Versions[0], false
	return nil
}

// next makes and appends the batch after the last one.
func (p *pump) next(ctx context.Context, own string, to log.Offset) error {
	from := p.saved.End
	end, err := p.collect(own, from, min(to, from+pumpRows), pumpBytes)
	if err != nil {
		return err
	}
	if err := p.write(ctx, from, end); err != nil {
		return err
	}
	return p.append(ctx, own)
}

// repeat appends the batch that was found in the document.
func (p *pump) repeat(ctx context.Context, own string) error {
	end, err := p.collect(own, p.saved.From, p.saved.End, 0)
	if err != nil {
		return err
	}
	p.skips, p.lastSkip = 0, nil // they are in the document
	if end != p.saved.End {
		return fault.New(fault.Corrupt, "corrupt_record", "%s ends at offset %d, before %d", own, end, p.saved.End)
	}
	return p.append(ctx, own)
}

// append sends the blocks collected, all partitions at once.
func (p *pump) append(ctx context.Context, own string) error {
	key := own + "/" + strconv.FormatInt(int64(p.saved.From), 10) + "-" + strconv.FormatInt(int64(p.saved.End), 10)
	errs := make([]error, len(p.blocks))
	var all sync.WaitGroup
	for i, block := range p.blocks {
		if block.Count == 0 {
			continue
		}
		all.Go(func() {
			_, errs[i] = p.target.Append(ctx, bus.Append{
				Topic: p.saved.Topic, Partition: int32(i), Block: block, IdempotencyKey: key,
			})
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("append to %q: %w", p.saved.Topic, err)
		}
	}
	p.applied = true
	return nil
}

// collect sorts the records of a range into blocks, one a partition. It ends early
// after so many bytes, if not 0, and returns where.
func (p *pump) collect(own string, from, to log.Offset, maxBytes int) (end log.Offset, err error) {
	p.blocks = make([]log.Block, p.partitions)
	p.skips, p.lastSkip = 0, nil
	return collectLog(p.topics, own, from, to, maxBytes, &p.buf, p.sort)
}

// collectLog hands values and keys of a range of one of the query's own logs to take,
// in runs that begin at first and are no longer needed when it returns. It ends early
// after so many bytes, if not 0, or where the log ends, and returns where.
func collectLog(
	topics Topics, own string, from, to log.Offset, maxBytes int, buf *[]byte, take func(first log.Offset, values, keys [][]byte),
) (end log.Offset, err error) {
	var values, keys [][]byte
	size := 0
	for end = from; end < to && (maxBytes == 0 || size < maxBytes); {
		frames, err := topics.Read(own, 0, end, readRows, *buf)
		if err != nil {
			return end, fmt.Errorf("read %s from offset %d: %w", own, end, err)
		}
		if frames.Empty() {
			return end, nil
		}
		*buf = frames.Bytes()
		values, keys = values[:0], keys[:0]
		first := end
		cursor := frames.Records(end)
		for end < to && (maxBytes == 0 || size < maxBytes) {
			r, ok := cursor.Next()
			if !ok {
				break
			}
			values, keys = append(values, r.Value), append(keys, r.Key)
			size += len(r.Value)
			end = r.Offset + 1
		}
		if err := cursor.Err(); err != nil {
			return end, fmt.Errorf("read %s: %w", own, err)
		}
		take(first, values, keys)
	}
	return end, nil
}

// sort adds records to the blocks. first is the offset of the first one.
func (p *pump) sort(first log.Offset, values, routes [][]byte) {
	if p.sink.Key != nil {
		if p.decoder == nil {
			p.decoder = jsoncodec.New([]codecs.Path{*p.sink.Key})
		}
		p.decoder.Decode(values, &p.columns)
	}
	for i, value := range values {
		key := p.keyOf(i)
		partition := int32(0)
		switch {
		case p.sink.Follow:
			partition = routed(routes[i])
		case key != nil:
			partition = p.target.KeyPartition(key, p.partitions)
		}
		withdrawn := key != nil && p.sink.Log == sinkResults && isWithdrawal(routes[i])
		if withdrawn {
			value = nil
		}
		if p.writer != nil && !withdrawn {
			var err error
			if p.record, err = p.writer.Append(p.record[:0], value); err != nil {
				p.skips++
				p.lastSkip = &Skip{Offset: first + log.Offset(i), Reason: cutText(err.Error(), maxReasonBytes)}
				continue
			}
			value = p.record
		}
		p.blocks[partition].Add(key, value)
	}
}

// keyOf is the key of a record, nil for none: text as it is, other values as JSON.
func (p *pump) keyOf(row int) []byte {
	if p.sink.Key == nil {
		return nil
	}
	v := p.columns.Cols[0].Value(row)
	if v.Kind == codecs.Missing || v.Kind == codecs.Null {
		return nil
	}
	p.key = appendKeyText(p.key[:0], v)
	return p.key
}

// appendKeyText is a value as the key of a record or a document.
func appendKeyText(dst []byte, v codecs.Value) []byte {
	if v.Kind == codecs.String {
		return append(dst, v.Str...)
	}
	return codecs.AppendJSON(dst, v)
}

// route is the key that a record has in a log with a sink: a uvarint, the partition
// of its source row plus 1, or 0 for a grouped row. In the result log the key of a
// grouped row always is there and has more after the 0: see viewKey.
func route(dst []byte, partition int) []byte { return binary.AppendUvarint(dst, uint64(partition+1)) }

// routed is the partition for a route.
func routed(key []byte) int32 {
	n, _ := binary.Uvarint(key)
	return max(0, int32(n)-1)
}

func waitForMore(ctx context.Context, topics Topics, own string, after log.Offset) error {
	grown, err := topics.Wait(own, 0, after)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", own, err)
	}
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
