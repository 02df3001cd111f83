package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"leat/internal/fault"
)

// Open opens the partition in dir. A directory that is not there is an empty
// partition, made by the first Append.
//
// What Options.Synced vouched for is never cut: if it is damaged, as far as
// Open has to look, or not there, the error is a fault of kind Corrupt that
// names file and byte offset. The frames after it are verified one by one and
// the log is cut at the first that does not hold; the bytes cut there, not those
// of later segments, are kept in a file "*.torn" in place of the one from an
// earlier cut. Without a SyncPoint only the frames of the last segment are
// verified and cut. A file of an unknown format version is refused, never cut.
//
// The time it takes grows with the bytes after the SyncPoint and the number of
// segments.
func Open(dir string, o Options) (*Partition, error) {
	o = o.withDefaults()
	p := &Partition{dir: dir, options: o}
	p.handles = handles{files: o.FS, dir: dir, every: o.IndexBytes, limit: o.OpenSegments}
	if o.Synced != nil {
		p.next, p.mark = o.Synced.Next, o.Synced.Mark
	}
	r := recovery{p: p, files: o.FS, cutFrom: -1}
	if err := r.run(); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return p, nil
}

// recovery is one Open under way.
type recovery struct {
	p     *Partition
	files FS
	found []foundSegment
	// trusted segments come first: whole and not to be cut. The one after them,
	// if vouched > 0, is not to be cut below vouched bytes.
	trusted int
	vouched int64
	// cutFrom is the first segment that loses bytes, those from cutPos on; -1
	// for none.
	cutFrom int
	cutPos  int64
}

type foundSegment struct {
	base      Offset
	sizeBytes int64
	header    segmentHeader
	broken    error // why the header does not hold
	scanned   *index
	indexed   bool // whether the index file says the same as scanned
}

func (r *recovery) run() error {
	if err := r.list(); err != nil {
		return err
	}
	if err := r.trust(); err != nil {
		return err
	}
	if err := r.checkTrusted(); err != nil {
		return err
	}
	for i := r.trusted; i < len(r.found) && r.cutFrom < 0; i++ {
		if err := r.scan(i); err != nil {
			return err
		}
	}
	if err := r.cut(); err != nil {
		return err
	}
	return r.finish()
}

// list finds the segments and takes away what belongs to none.
func (r *recovery) list() error {
	names, err := r.files.List(r.p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diskError(err, "list", r.p.dir)
	}
	for _, name := range names {
		if base, ok := parseName(name, segmentSuffix); ok {
			if err := r.inspect(base); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		stray := strings.HasSuffix(name, tempSuffix)
		if base, ok := parseName(name, indexSuffix); ok {
			stray = !slices.ContainsFunc(r.found, func(s foundSegment) bool { return s.base == base })
		}
		if !stray {
			continue
		}
		if err := r.files.Remove(filepath.Join(r.p.dir, name)); err != nil {
			return diskError(err, "remove", filepath.Join(r.p.dir, name))
		}
	}
	return nil
}

// inspect reads the length and the header of a segment.
func (r *recovery) inspect(base Offset) error {
	name := segmentName(r.p.dir, base)
	f, err := r.files.Open(name)
	if err != nil {
		return diskError(err, "open", name)
	}
	s := foundSegment{base: base}
	s.sizeBytes, err = f.Size()
	if err == nil {
		s.header, err = readSegmentHeader(f, base)
	}
	var broken *badFrame
	if errors.As(err, &broken) {
		s.broken, err = err, nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return diskError(err, "read", name)
	}
	r.found = append(r.found, s)
	return nil
}

// trust decides which segments are not to be cut.
func (r *recovery) trust() error {
	synced := r.p.options.Synced
	if synced == nil {
		r.trustAllButLast()
		return nil
	}
	if synced.SizeBytes == 0 {
		if len(r.found) > 0 && r.found[0].base < synced.Next {
			return r.corrupt(r.found[0].base, 0, bad("the segment is below offset %d, with which the log begins", synced.Next))
		}
		return nil
	}
	r.trusted = slices.IndexFunc(r.found, func(s foundSegment) bool { return s.base == synced.Segment })
	if r.trusted >= 0 {
		r.vouched = synced.SizeBytes
		return nil
	}
	r.trusted = 0
	// The segment may have been dropped since, which leaves its heir.
	if len(r.found) > 0 && r.found[0].base > synced.Segment && r.found[0].base >= synced.Next {
		r.vouched = segmentHeaderBytes
		return nil
	}
	return r.corrupt(synced.Segment, 0, bad("the segment is missing, the log was synced up to offset %d", synced.Next))
}

func (r *recovery) trustAllButLast() {
	n := len(r.found)
	// A crash while the last segment was begun leaves no more than its header.
	if n > 0 && r.found[n-1].broken != nil && r.found[n-1].sizeBytes <= segmentHeaderBytes {
		n--
	}
	if n > 0 {
		r.trusted, r.vouched = n-1, segmentHeaderBytes
	}
}

// checkTrusted verifies the headers of what is not to be cut, and through them
// that no trusted segment is missing or has another length than when it was
// sealed.
func (r *recovery) checkTrusted() error {
	for i := 0; i < len(r.found) && (i < r.trusted || i == r.trusted && r.vouched > 0); i++ {
		s := r.found[i]
		if s.broken != nil {
			return r.corrupt(s.base, 0, s.broken)
		}
		if i == r.trusted && s.sizeBytes < r.vouched {
			return r.corrupt(s.base, s.sizeBytes, bad("the segment ends here, it was synced up to byte %d", r.vouched))
		}
		if i == 0 {
			continue
		}
		before := r.found[i-1]
		if s.header.beforeBase != before.base {
			return r.corrupt(s.header.beforeBase, 0, bad("the segment is missing"))
		}
		if s.header.beforeBytes != before.sizeBytes {
			return r.corrupt(before.base, min(before.sizeBytes, s.header.beforeBytes),
				bad("the segment has %d bytes, it was sealed with %d", before.sizeBytes, s.header.beforeBytes))
		}
		r.p.segments = append(r.p.segments, segment{base: before.base, mark: before.header.mark,
			sizeBytes: before.sizeBytes, maxTimeMs: s.header.beforeTime, beforeMs: before.header.beforeTime, synced: before.sizeBytes})
	}
	return nil
}

// scan verifies the frames of segment i, which begins where those before it end,
// and notes where it has to be cut. The error is for damage that must not be cut.
func (r *recovery) scan(i int) error {
	s := &r.found[i]
	if !r.follows(i) {
		r.cutFrom, r.cutPos = i, 0
		return nil
	}
	name := segmentName(r.p.dir, s.base)
	f, err := r.files.Open(name)
	if err != nil {
		return diskError(err, "open", name)
	}
	vouched := int64(0)
	if i == r.trusted {
		vouched = r.vouched
	}
	done, err := r.scanFrames(f, s, vouched)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if done.sizeBytes < s.sizeBytes {
		r.cutFrom, r.cutPos = i, done.sizeBytes
	}
	r.p.segments = append(r.p.segments, done)
	return nil
}

// follows tells whether the header of segment i holds and goes on where the
// segments before it end.
func (r *recovery) follows(i int) bool {
	s := r.found[i]
	if s.broken != nil {
		return false
	}
	if i == r.trusted {
		return true // checkTrusted has seen to it
	}
	before := r.p.segments[len(r.p.segments)-1]
	return s.base == r.p.next && s.header.mark == r.p.mark &&
		s.header.beforeBase == before.base && s.header.beforeBytes == before.sizeBytes
}

// scanFrames verifies the frames of a segment, those from the last index entry
// below vouched on, and makes its index.
func (r *recovery) scanFrames(f File, s *foundSegment, vouched int64) (segment, error) {
	file, err := r.files.Open(indexName(r.p.dir, s.base))
	if err != nil {
		file = nil // a hint that is not to be had
	}
	x, whole := readIndex(file, s.base, r.p.options.IndexBytes, s.sizeBytes)
	if file != nil {
		_ = file.Close() // only read
	}
	onDisk := slices.Clone(x.entries)
	x.cut(vouched)
	hinted := len(x.entries) > 0
	done, err := r.scanFrom(f, s, x, vouched)
	var broken *badFrame
	if errors.As(err, &broken) && hinted {
		x.entries = x.entries[:0] // perhaps only the index is wrong
		done, err = r.scanFrom(f, s, x, vouched)
	}
	s.scanned, s.indexed = x, whole && slices.Equal(x.entries, onDisk)
	return done, corruptOr(err, segmentName(r.p.dir, s.base), done.sizeBytes)
}

// scanFrom verifies frames from the last entry of x on. It returns what is sound
// of the segment, and a *badFrame if that is not all that was vouched for.
func (r *recovery) scanFrom(f File, s *foundSegment, x *index, vouched int64) (segment, error) {
	done := segment{base: s.base, mark: s.header.mark, maxTimeMs: noTime, beforeMs: s.header.beforeTime}
	scan := scanner{file: f, pos: segmentHeaderBytes, end: s.sizeBytes, next: s.base, mark: s.header.mark, chunk: scanChunk}
	if n := len(x.entries); n > 0 {
		e := x.entries[n-1]
		scan.pos, scan.next, scan.mark, done.maxTimeMs = int64(e.pos), x.offset(n-1), e.mark, e.maxTimeMs
	}
	for {
		if scan.pos == vouched && !r.asVouched(s, scan.next, scan.mark) {
			return done, bad("the log has offset %d and mark %d where it was synced up to %d and %d",
				scan.next, scan.mark, r.p.options.Synced.Next, r.p.options.Synced.Mark)
		}
		pos, mark := scan.pos, scan.mark
		fr, err := scan.frame()
		done.sizeBytes = pos
		var broken *badFrame
		if errors.Is(err, io.EOF) || errors.As(err, &broken) && pos >= vouched {
			r.p.next, r.p.mark = scan.next, scan.mark
			return done, nil
		}
		if err != nil {
			return done, err
		}
		if pos < vouched && scan.pos > vouched {
			return done, bad("no frame ends at byte %d, up to which the log was synced", vouched)
		}
		if x.wants(pos) {
			x.add(fr, pos, done.maxTimeMs, mark)
		}
		done.maxTimeMs = max(done.maxTimeMs, fr.timeMs)
	}
}

// asVouched compares the place reached with the SyncPoint, if that is there.
func (r *recovery) asVouched(s *foundSegment, next Offset, mark Mark) bool {
	synced := r.p.options.Synced
	if synced == nil || synced.Segment != s.base || synced.SizeBytes == 0 {
		return true
	}
	return synced.Next == next && synced.Mark == mark
}

// cut takes away what does not hold, the newest segments first, so that a crash
// meanwhile leaves no hole.
func (r *recovery) cut() error {
	r.p.torn = r.cutFrom >= 0
	if r.cutFrom < 0 {
		return nil
	}
	torn := r.found[r.cutFrom]
	for _, s := range slices.Backward(r.found[r.cutFrom+1:]) {
		if err := removeSegment(r.files, r.p.dir, s.base); err != nil {
			return err
		}
	}
	r.found = r.found[:r.cutFrom+1]
	name := segmentName(r.p.dir, torn.base)
	f, err := r.files.Open(name)
	if err != nil {
		return diskError(err, "open", name)
	}
	err = r.keepTorn(f, torn)
	if err == nil && r.cutPos > 0 {
		err = truncate(f, r.cutPos, name)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if r.cutPos == 0 {
		r.found = r.found[:r.cutFrom]
		return removeSegment(r.files, r.p.dir, torn.base)
	}
	r.found[r.cutFrom].indexed = false
	return nil
}

// keepTorn copies the bytes about to be cut, in place of an earlier copy.
func (r *recovery) keepTorn(f File, s foundSegment) error {
	if s.sizeBytes <= r.cutPos {
		return nil
	}
	names, err := r.files.List(r.p.dir)
	if err != nil {
		return diskError(err, "list", r.p.dir)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, tornSuffix) {
			continue
		}
		if err := r.files.Remove(filepath.Join(r.p.dir, name)); err != nil {
			return diskError(err, "remove", filepath.Join(r.p.dir, name))
		}
	}
	name := strings.TrimSuffix(segmentName(r.p.dir, s.base), segmentSuffix) + tornSuffix
	if err := copyFile(r.files, f, r.cutPos, s.sizeBytes, name); err != nil {
		return err
	}
	if err := r.files.SyncDir(r.p.dir); err != nil {
		return diskError(err, "sync", r.p.dir)
	}
	return nil
}

// finish writes the indexes that scanning made and opens the last segment.
func (r *recovery) finish() error {
	p := r.p
	p.first = p.next
	if len(p.segments) == 0 {
		return nil
	}
	p.first = p.segments[0].base
	p.unsynced = p.pathBelowRoot()
	for _, s := range r.found {
		if s.scanned == nil || s.indexed {
			continue
		}
		f, err := replaceIndex(r.files, p.dir, s.scanned)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("close index: %w", err)
		}
	}
	last := len(p.segments) - 1
	name := segmentName(p.dir, p.segments[last].base)
	f, err := r.files.Open(name)
	if err != nil {
		return diskError(err, "open", name)
	}
	x := r.found[last].scanned
	p.indexFile, err = r.files.Open(indexName(p.dir, x.base))
	if err != nil {
		return errors.Join(diskError(err, "open", indexName(p.dir, x.base)), f.Close())
	}
	p.active = &handle{base: x.base, file: f, index: x, refs: 1}
	return nil
}

func (r *recovery) corrupt(base Offset, pos int64, cause error) *fault.Error {
	return corruptAt(segmentName(r.p.dir, base), pos, cause)
}
