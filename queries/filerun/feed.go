package filerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

const (
	chunkRows  = 4096
	chunkBytes = 256 << 10
	// heldBytes is how far a file is read ahead of the job.
	heldBytes = 8 << 20
)

// feed is a topic whose records come out of a file while they are read. Record i, from
// 0, goes to partition i modulo their number.
//
// It holds chunks of records that the job has not read, heldBytes of them and one more.
// Then it waits, unless a partition has nothing: a job that needs that one would never
// read the others. How far these get ahead is for the job to bound: it passes over a
// partition that is ahead in time for some dozens of chunks, and for longer only while
// its state is large. What has been read is gone.
type feed struct {
	topic  bus.Topic
	timeMs int64 // append time of all records

	in records // of the file, of run

	mu      sync.Mutex
	moved   sync.Cond // a chunk has been read, or stopped
	parts   []fedPartition
	held    int
	free    [][]byte
	reading bool // run is in a Read of the file, which may take long
	stopped bool
	sealed  bool
	ended   chan struct{} // closed at the end of run
}

type fedPartition struct {
	filling log.Block    // of run; of whoever holds mu while reading is true
	chunks  []log.Frames // not yet read
	first   log.Offset
	next    log.Offset
	grown   chan struct{} // nil: nobody waits
}

func newFeed(name string, id uint64, partitions int32, timeMs int64) *feed {
	f := &feed{
		topic:  bus.Topic{ID: id, Name: name, Partitions: partitions, CreatedMs: timeMs},
		timeMs: timeMs, parts: make([]fedPartition, partitions), ended: make(chan struct{}),
	}
	f.moved.L = &f.mu
	return f
}

var errStopped = errors.New("stopped")

// open finds out what the file is.
func (f *feed) open(in io.Reader, base64 bool) (err error) {
	f.in, err = openRecords(&watchedReader{in: in, feed: f}, base64)
	return err
}

// openWithin is open, which ends with the context, also while the file gives nothing.
func (f *feed) openWithin(ctx context.Context, in io.Reader, base64 bool) error {
	opened := make(chan error, 1)
	go func() { opened <- f.open(in, base64) }()
	select {
	case err := <-opened:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run reads the file to its end and seals the topic. It ends early after stop.
func (f *feed) run() (err error) {
	defer close(f.ended)
	for i := 0; err == nil; i = (i + 1) % len(f.parts) {
		var record []byte
		if record, err = f.in.next(); err != nil {
			break
		}
		block := &f.parts[i].filling
		block.Add(nil, record)
		if block.Count >= chunkRows || len(block.Bytes) >= chunkBytes {
			err = f.publish(i)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		f.seal()
		return nil
	case errors.Is(err, errStopped):
		return nil
	}
	return err
}

// publish makes a chunk of what fills a partition, and waits for room.
func (f *feed) publish(i int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut(&f.parts[i])
	for f.held >= heldBytes && !f.starved() && !f.stopped {
		f.moved.Wait()
	}
	if f.stopped {
		return errStopped
	}
	return nil
}

func (f *feed) starved() bool {
	for i := range f.parts {
		if len(f.parts[i].chunks) == 0 {
			return true
		}
	}
	return false
}

func (f *feed) cut(p *fedPartition) {
	if p.filling.Count == 0 {
		return
	}
	var buf []byte
	if n := len(f.free); n > 0 {
		buf, f.free = f.free[n-1], f.free[:n-1]
	}
	frames := log.MemoryFrames(buf, p.next, f.timeMs, p.filling)
	p.filling = log.Block{Bytes: p.filling.Bytes[:0]}
	p.chunks = append(p.chunks, frames)
	p.next = frames.Next()
	f.held += len(frames.Bytes())
	p.wake()
}

func (p *fedPartition) wake() {
	if p.grown != nil {
		close(p.grown)
		p.grown = nil
	}
}

func (f *feed) seal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sealed = true
	for i := range f.parts {
		f.cut(&f.parts[i])
		f.parts[i].wake()
	}
}

// stop has run end, unless it is in a Read that has yet to return.
func (f *feed) stop() {
	f.mu.Lock()
	f.stopped = true
	reading := f.reading
	f.mu.Unlock()
	f.moved.Broadcast()
	if !reading {
		<-f.ended
	}
}

func (f *feed) partition(p int32) (*fedPartition, error) {
	if p < 0 || int(p) >= len(f.parts) {
		return nil, fault.New(fault.NotFound, "unknown_partition", "topic %q has no partition %d", f.topic.Name, p)
	}
	return &f.parts[p], nil
}

func (f *feed) standing(p int32) (bus.Partition, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	part, err := f.partition(p)
	if err != nil {
		return bus.Partition{}, err
	}
	f.hurry(part, len(part.chunks) == 0)
	return bus.Partition{Partition: p, First: part.first, Next: part.next, Sealed: f.sealed}, nil
}

// hurry gives the job what there is where the file takes long to give more.
func (f *feed) hurry(p *fedPartition, needed bool) {
	if f.reading && needed {
		f.cut(p)
	}
}

// read takes the chunk that begins with from; buf is used for another one.
func (f *feed) read(p int32, from log.Offset, buf []byte) (log.Frames, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	part, err := f.partition(p)
	switch {
	case err != nil:
		return log.Frames{}, err
	case from < part.first || from > part.first && from < part.next:
		return log.Frames{}, fault.New(fault.OutOfRange, "offset_out_of_range",
			"offset %d of %s/%d has been read, or is not the next one, %d", from, f.topic.Name, p, part.first)
	case len(part.chunks) == 0 || from >= part.next:
		return log.Frames{}, nil
	}
	frames := part.chunks[0]
	part.chunks[0] = log.Frames{}
	part.chunks = part.chunks[1:]
	part.first = frames.Next()
	f.held -= len(frames.Bytes())
	if cap(buf) > 0 {
		f.free = append(f.free, buf)
	}
	f.moved.Broadcast()
	return frames, nil
}

func (f *feed) wait(p int32, after log.Offset) (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	part, err := f.partition(p)
	if err != nil {
		return nil, err
	}
	f.hurry(part, part.next <= after)
	if part.grown == nil {
		part.grown = make(chan struct{})
	}
	grown := part.grown
	if part.next > after || f.sealed {
		part.wake()
	}
	return grown, nil
}

// watchedReader tells the feed when the file is being read.
type watchedReader struct {
	in   io.Reader
	feed *feed
}

func (w *watchedReader) Read(b []byte) (int, error) {
	if err := w.enter(); err != nil {
		return 0, err
	}
	n, err := w.in.Read(b)
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	w.feed.reading = false
	return n, err
}

func (w *watchedReader) enter() error {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errStopped
	}
	f.reading = true
	for i := range f.parts {
		f.hurry(&f.parts[i], f.parts[i].grown != nil)
	}
	return nil
}

// feeds are the topics of one run; they satisfy queries.SourceTopics.
type feeds map[string]*feed

func (s feeds) of(name string) (*feed, error) {
	if f := s[name]; f != nil {
		return f, nil
	}
	return nil, fault.New(fault.NotFound, "unknown_topic", "there is no input for topic %q", name)
}

// Topic implements queries.SourceTopics.
func (s feeds) Topic(name string) (bus.Topic, bool) {
	if f := s[name]; f != nil {
		return f.topic, true
	}
	return bus.Topic{}, false
}

// Partition implements queries.SourceTopics.
func (s feeds) Partition(topic string, p int32) (bus.Partition, error) {
	f, err := s.of(topic)
	if err != nil {
		return bus.Partition{}, err
	}
	return f.standing(p)
}

// Read implements queries.SourceTopics.
func (s feeds) Read(topic string, p int32, from log.Offset, _ int, buf []byte) (log.Frames, error) {
	f, err := s.of(topic)
	if err != nil {
		return log.Frames{}, err
	}
	return f.read(p, from, buf)
}

// Wait implements queries.SourceTopics.
func (s feeds) Wait(topic string, p int32, after log.Offset) (<-chan struct{}, error) {
	f, err := s.of(topic)
	if err != nil {
		return nil, err
	}
	return f.wait(p, after)
}

// start runs the feeds; the first that fails ends the context, with its error as the
// cause. finish stops them.
func (s feeds) start(ctx context.Context) (running context.Context, finish func()) {
	running, cancel := context.WithCancelCause(ctx)
	for name, f := range s {
		go func() {
			if err := f.run(); err != nil {
				cancel(fmt.Errorf("read the input of topic %q: %w", name, err))
			}
		}()
	}
	return running, func() {
		for _, f := range s {
			f.stop()
		}
		cancel(nil)
	}
}
