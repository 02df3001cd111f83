package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"leat/codecs"
	"leat/codecs/jsoncodec"
	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// SinkSpaces is what queries need to write to key-value namespaces, besides their
// documents. Errors are faults.
type SinkSpaces interface {
	// Space is where a namespace lies, always the same: its shard, and what the keys of
	// its documents begin with there.
	Space(namespace string) (shard uint64, prefix string)
	// Check refuses what the namespace would refuse from a client: a key or a value.
	Check(key string, value []byte) error
	// Room is Exhausted where the shard takes no more documents for now.
	Room(shard uint64) error
}

// kvStanding is the document "sink/{id}/results" in the shard of the namespace: how far
// the result log has been written to it.
//
// It is written in the same transaction as the keys of the rows it speaks of, and its
// version fences that transaction. So each row takes effect once, in the order of the
// log, whoever repeats whatever: a key never goes back to an older row.
type kvStanding struct {
	KV       string     `json:"kv"`
	Next     log.Offset `json:"next"`
	Skipped  int64      `json:"skipped,omitempty"` // rows before Next that have no key to be under
	LastSkip *Skip      `json:"last_skip,omitempty"`
}

// Skip is a row that was not written.
type Skip struct {
	Offset log.Offset `json:"offset"` // in the result log
	Reason string     `json:"reason"`
}

// kvPump writes the rows of a query to a namespace.
type kvPump struct {
	id      string
	shard   uint64 // of the query
	sink    SinkPlan
	topics  Topics
	docs    Documents
	spaces  SinkSpaces
	settled func() // called whenever all is well

	home     uint64 // shard of the namespace
	prefix   string
	saved    kvStanding
	version  uint64 // of its document
	advanced bool   // rows have been written since the start
	decoder  *jsoncodec.Decoder
	columns  codecs.Columns
	batch    kvBatch

	key, part, buf []byte
}

// kvBatch is what the next transaction writes.
type kvBatch struct {
	puts []bus.Doc // puts[0] is the standing
	at   map[string]int
	gone map[string]bool // keys of the namespace that are deleted, whatever puts says of them
	next kvStanding
}

// run writes until ctx ends or an error comes up. Whatever the error, another pump may
// go on.
func (p *kvPump) run(ctx context.Context) error {
	own := p.sink.logTopic(p.id)
	if err := p.open(ctx, own); err != nil {
		return err
	}
	for {
		standing, err := p.topics.Partition(own, 0)
		if err != nil {
			return fmt.Errorf("look at %s: %w", own, err)
		}
		if standing.Next > p.saved.Next {
			err = p.step(ctx, own, standing.Next)
		} else {
			p.settled()
			err = waitForMore(ctx, p.topics, own, p.saved.Next)
		}
		if err != nil {
			return err
		}
	}
}

func (p *kvPump) progressed() bool { return p.advanced }

// open finds the standing, or begins with the first row.
func (p *kvPump) open(ctx context.Context, own string) error {
	p.home, p.prefix = p.spaces.Space(p.sink.KV)
	p.decoder = jsoncodec.New(p.sink.Parts)
	if err := openLog(ctx, p.topics, own, p.shard); err != nil {
		return err
	}
	if err := p.topics.Barrier(ctx); err != nil {
		return fmt.Errorf("wait for the log to catch up: %w", err)
	}
	doc, found := p.docs.Doc(p.home, sinkKey(p.id, p.sink.Log))
	if !found {
		// Nothing beside it: a beginning that arrives late, when the query has been
		// deleted, must not write a row.
		p.begin(kvStanding{KV: p.sink.KV})
		return p.write(ctx)
	}
	p.version = doc.Version
	var err error
	p.saved, err = decodeDoc[kvStanding](doc)
	return err
}

// begin starts a batch that goes on from a standing.
func (p *kvPump) begin(from kvStanding) {
	p.batch = kvBatch{next: from, puts: make([]bus.Doc, 1), at: map[string]int{}, gone: map[string]bool{}}
}

// step writes the rows after the last one.
func (p *kvPump) step(ctx context.Context, own string, to log.Offset) error {
	p.begin(p.saved)
	end, err := collectLog(p.topics, own, p.saved.Next, min(to, p.saved.Next+pumpRows), pumpBytes, &p.buf, p.add)
	if err != nil {
		return err
	}
	if end == p.saved.Next {
		return fault.New(fault.Corrupt, "corrupt_record", "%s ends at offset %d, before %d", own, end, to)
	}
	p.batch.next.Next = end
	if len(p.batch.kept(p.prefix)) > 1 {
		if err := p.spaces.Room(p.home); err != nil {
			return fmt.Errorf("write to namespace %q: %w", p.sink.KV, err)
		}
	}
	if err := p.write(ctx); err != nil {
		return err
	}
	p.advanced = true
	return nil
}

// add puts rows into the batch, of those with the same key the last. first is the
// offset of the first one.
func (p *kvPump) add(first log.Offset, values, keys [][]byte) {
	p.decoder.Decode(values, &p.columns)
	for row, value := range values {
		if err := p.put(row, value, isWithdrawal(keys[row])); err != nil {
			p.batch.next.Skipped++
			p.batch.next.LastSkip = &Skip{Offset: first + log.Offset(row), Reason: cutText(err.Error(), maxReasonBytes)}
		}
	}
}

// put puts a row into the batch, or deletes its key where it is withdrawn.
func (p *kvPump) put(row int, value []byte, withdrawn bool) error {
	if err := p.makeKey(row); err != nil {
		return err
	}
	if withdrawn {
		if err := p.spaces.Check(string(p.key), nil); err != nil {
			return err
		}
		p.batch.gone[string(p.key)] = true
		return nil
	}
	i, again := p.batch.at[string(p.key)]
	var key string
	if again {
		key = p.batch.puts[i].Key
	} else {
		key = p.prefix + string(p.key)
	}
	if err := p.spaces.Check(key[len(p.prefix):], value); err != nil {
		return err
	}
	if !again {
		i = len(p.batch.puts)
		p.batch.at[key[len(p.prefix):]] = i
		p.batch.puts = append(p.batch.puts, bus.Doc{Key: key, TTLMs: p.sink.TTLMs})
	}
	p.batch.puts[i].Value = append(p.batch.puts[i].Value[:0], value...)
	delete(p.batch.gone, key[len(p.prefix):])
	return nil
}

// write makes the batch durable.
func (p *kvPump) write(ctx context.Context) error {
	value, err := json.Marshal(p.batch.next)
	if err != nil {
		return fmt.Errorf("encode the standing of a sink: %w", err)
	}
	key := sinkKey(p.id, p.sink.Log)
	p.batch.puts[0] = bus.Doc{Key: key, Value: value}
	result, err := p.docs.Transact(ctx, bus.Txn{
		Shard: p.home, Fence: &bus.Fence{Key: key, Version: p.version}, Puts: p.batch.kept(p.prefix), Deletes: p.batch.deletes(p.prefix),
	})
	if err != nil {
		return fmt.Errorf("write to namespace %q: %w", p.sink.KV, err)
	}
	p.saved, p.version = p.batch.next, result.Versions[0]
	p.batch = kvBatch{}
	return nil
}

// kept are the puts but for keys that were withdrawn after them.
func (b *kvBatch) kept(prefix string) []bus.Doc {
	list := b.puts[:1:1]
	for _, doc := range b.puts[1:] {
		if !b.gone[doc.Key[len(prefix):]] {
			list = append(list, doc)
		}
	}
	return list
}

func (b *kvBatch) deletes(prefix string) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(b.gone)) {
		keys = append(keys, prefix+key)
	}
	return keys
}

// makeKey makes p.key the key of a row: its parts, and between them a slash. In a key
// of several parts, a slash in a part is written %2F and a percent sign %25.
func (p *kvPump) makeKey(row int) error {
	p.key = p.key[:0]
	for i := range p.sink.Parts {
		v := p.columns.Cols[i].Value(row)
		if v.Kind == codecs.Missing || v.Kind == codecs.Null {
			return fmt.Errorf("%s, which is in the key, is %s", p.sink.Parts[i].String(), v.Kind)
		}
		if len(p.sink.Parts) == 1 {
			p.key = appendKeyText(p.key, v)
			return nil
		}
		if i > 0 {
			p.key = append(p.key, '/')
		}
		p.part = appendKeyText(p.part[:0], v)
		for _, b := range p.part {
			switch b {
			case '%':
				p.key = append(p.key, "%25"...)
			case '/':
				p.key = append(p.key, "%2F"...)
			default:
				p.key = append(p.key, b)
			}
		}
	}
	return nil
}
