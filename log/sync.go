package log

import (
	"errors"
	"fmt"
)

// Sync makes what was appended before the call durable, in whatever segments it
// lies, with the names of the files, and returns the place up to which the log
// now is. With nothing new it does not touch the disk. Appends and reads go on
// meanwhile. A failed sync is not retried: it breaks the partition.
func (p *Partition) Sync() (SyncPoint, error) {
	p.maintenance.Lock()
	defer p.maintenance.Unlock()
	p.replay.forget()
	return p.sync()
}

// sync needs maintenance.
func (p *Partition) sync() (SyncPoint, error) {
	p.mu.Lock()
	if err := p.writable(); err != nil {
		p.mu.Unlock()
		return SyncPoint{}, err
	}
	point := p.syncPoint()
	var dirty []segment
	for i := range p.segments {
		if s := p.segments[i]; s.synced < s.sizeBytes {
			dirty = append(dirty, s)
		}
	}
	dirs := p.unsynced
	p.unsynced = nil
	p.mu.Unlock()

	for _, s := range dirty {
		if err := p.syncSegment(s); err != nil {
			return SyncPoint{}, p.fail(err)
		}
	}
	for _, dir := range dirs {
		if err := p.options.FS.SyncDir(dir); err != nil {
			return SyncPoint{}, p.fail(diskError(err, "sync", dir))
		}
	}
	p.markSynced(dirty)
	return point, nil
}

// syncPoint is where the log ends. It needs mu.
func (p *Partition) syncPoint() SyncPoint {
	point := SyncPoint{Segment: p.next, Next: p.next, Mark: p.mark}
	if n := len(p.segments); n > 0 {
		point.Segment, point.SizeBytes = p.segments[n-1].base, p.segments[n-1].sizeBytes
	}
	return point
}

// markSynced notes what is durable: every segment is as long and has its name,
// that was in the list when the sync began.
func (p *Partition) markSynced(done []segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.segments {
		for _, s := range done {
			if s.base == p.segments[i].base {
				p.segments[i].synced = s.sizeBytes
			}
		}
	}
}

func (p *Partition) syncSegment(s segment) error {
	name := segmentName(p.dir, s.base)
	p.mu.Lock()
	h := p.active
	if h != nil && h.base == s.base {
		p.handles.retain(h)
	} else {
		h = nil
	}
	p.mu.Unlock()
	if h == nil {
		h = p.handles.lookup(s.base)
	}
	if h != nil {
		defer p.handles.release(h)
		if err := h.file.Sync(); err != nil {
			return diskError(err, "sync", name)
		}
		return nil
	}
	f, err := p.options.FS.Open(name)
	if err != nil {
		return diskError(err, "open", name)
	}
	if err := f.Sync(); err != nil {
		return errors.Join(diskError(err, "sync", name), f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", name, err)
	}
	return nil
}
