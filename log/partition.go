package log

import (
	"fmt"
	"sort"
	"sync"

	"leat/internal/fault"
)

// Options are the settings of a partition. The zero value of each stands for
// its default.
type Options struct {
	// FS is the file system, OS() by default.
	FS FS
	// SegmentBytes is the length at which a segment is sealed and the next one
	// begun, 64 MiB by default, at most 2 GiB. A segment is longer by up to one
	// frame.
	SegmentBytes int64
	// IndexBytes is the distance of index entries, 16 KiB by default. A read in
	// the middle of a segment looks through that much to find its place.
	IndexBytes int
	// OpenSegments is how many sealed segments are kept open for readers, 4 by
	// default. Each costs a descriptor and 24 bytes of memory per IndexBytes.
	OpenSegments int
	// Synced is what the last checkpoint vouched for; the zero SyncPoint vouches
	// for nothing, and every frame is verified. Nil says that there is no
	// checkpoint to go by: all segments but the last are taken to be whole.
	Synced *SyncPoint
	// Root is an ancestor of the partition's directory whose own name is known
	// to be durable: Sync sees to the names below. The parent by default.
	Root string
}

const (
	defaultSegmentBytes = 64 << 20
	maxSegmentBytes     = 2 << 30
	defaultIndexBytes   = 16 << 10
	defaultOpenSegments = 4
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = OS()
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	o.SegmentBytes = min(o.SegmentBytes, maxSegmentBytes)
	if o.IndexBytes <= 0 {
		o.IndexBytes = defaultIndexBytes
	}
	if o.OpenSegments <= 0 {
		o.OpenSegments = defaultOpenSegments
	}
	return o
}

// SyncPoint is a place in a log and a promise: everything before it is on
// stable storage. Whoever keeps one across a restart hands it to Open, which
// then tells damage from a torn tail.
type SyncPoint struct {
	Segment   Offset // base of the segment it lies in
	SizeBytes int64  // the place in that segment's file, 0 if there is no file yet
	Next      Offset // one past the last record before it
	Mark      Mark   // of the last frame before it
}

// Partition is the log of one partition: records numbered densely from First to
// Next, in segment files in one directory, of which it is the only user.
//
// Append, CutAfter and Close are the writer's: they exclude each other. All
// other methods may run at any time, beside the writer and each other. After a
// write or a sync has failed, every later Append, Sync and CutAfter fails with
// that error; reads go on.
type Partition struct {
	dir     string
	options Options
	handles handles

	// Locks are taken in this order: writer, maintenance, mu, then those of
	// handles. mu is never held across a call of the file system.
	writer      sync.Mutex // Append, CutAfter, Close
	maintenance sync.Mutex // Sync, DropTrimmed, CutAfter, Close

	out       gather // guarded by writer
	indexFile File   // of the active segment; guarded by writer

	mu       sync.Mutex
	segments []segment // ascending; the last one is active
	active   *handle   // nil until there is a segment
	first    Offset
	next     Offset
	mark     Mark
	torn     bool  // Open has cut bytes off the end; it does not change after
	failed   error // what broke the writer, nil if nothing did
	closed   bool
	cuts     int      // how often bytes that readers may be at were taken away
	unsynced []string // directories with names that may not be durable
	waiters  map[Offset]chan struct{}
	hints    [hintSlots]hint
	replay   markHint
}

// First is the offset of the first record that can be read.
func (p *Partition) First() Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

// Next is the offset that the next record appended will get.
func (p *Partition) Next() Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// Tail is Next and the latest append time of the records before it, those of the last
// segment dropped included; ok is false where there never were any.
func (p *Partition) Tail() (next Offset, timeMs int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	timeMs = noTime
	for i := range p.segments {
		timeMs = max(timeMs, p.segments[i].maxTimeMs, p.segments[i].beforeMs)
	}
	return p.next, timeMs, timeMs != noTime
}

// Torn tells whether Open has cut bytes off the end that were no whole frame.
func (p *Partition) Torn() bool { return p.torn }

// LastMark is the mark of the last frame appended, 0 if there was none. Trimming
// that frame away does not change it.
func (p *Partition) LastMark() Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mark
}

// SizeBytes is the length of all segment files, trimmed records included as
// long as their files are there. Index files are not counted.
func (p *Partition) SizeBytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var total int64
	for i := range p.segments {
		total += p.segments[i].sizeBytes
	}
	return total
}

// Wait returns a channel that is closed once Next is above after, or the
// partition is closed. Everyone who waits for the same offset gets the same
// channel; nothing needs to be given back.
func (p *Partition) Wait(after Offset) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := p.waiters[after]
	if ch != nil {
		return ch
	}
	ch = make(chan struct{})
	if p.closed || p.next > after {
		close(ch)
		return ch
	}
	if p.waiters == nil {
		p.waiters = make(map[Offset]chan struct{})
	}
	p.waiters[after] = ch
	return ch
}

// wake closes the channels of those whose wait is over. It needs mu.
func (p *Partition) wake() {
	for after, ch := range p.waiters {
		if p.closed || p.next > after {
			close(ch)
			delete(p.waiters, after)
		}
	}
}

// Close gives up the files. It does not sync: what was not synced is left to the
// operating system. Reads under way finish; later calls fail.
func (p *Partition) Close() error {
	p.writer.Lock()
	defer p.writer.Unlock()
	p.maintenance.Lock()
	defer p.maintenance.Unlock()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.wake()
	active := p.active
	p.active = nil
	p.mu.Unlock()

	p.handles.close()
	if active == nil {
		return nil
	}
	p.handles.discard(active)
	if err := p.indexFile.Close(); err != nil {
		return fmt.Errorf("close index in %s: %w", p.dir, err)
	}
	return nil
}

// writable returns why the partition cannot be written, nil if it can. It needs
// mu.
func (p *Partition) writable() error {
	if p.closed {
		return p.errClosed()
	}
	if p.failed != nil {
		return fmt.Errorf("the log in %s takes no writes after an earlier error: %w", p.dir, p.failed)
	}
	return nil
}

func (p *Partition) errClosed() error {
	return fault.New(fault.Unavailable, "partition_closed", "the log in %s is closed", p.dir)
}

// fail makes err the reason why nothing is written any more.
func (p *Partition) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
	return err
}

// segmentOf returns the place in segments of the one that holds offset, which
// has to be below next. It needs mu.
func (p *Partition) segmentOf(offset Offset) int {
	return sort.Search(len(p.segments), func(i int) bool { return p.segments[i].base > offset }) - 1
}
