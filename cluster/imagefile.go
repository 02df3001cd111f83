package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/internal/fault"
	"leat/log"
)

// An image file holds the state of a shard at a raft index, which is in its name:
//
//	0          8
//	+----------+---------------------+---------------------+-------+
//	| LEATIMG1 | shard, index, next  | pieces of the image | empty |
//	+----------+---------------------+---------------------+-------+
//
// Behind the magic there are sections, see sections.go. The first one says of which
// shard and raft index the image is, and the offset of the state log that follows it, as
// uvarints. The file is written under another name, synced and renamed, and belongs to
// the machine once a checkpoint names it.
const (
	imageMagic  = "LEATIMG1"
	imagePrefix = "image-"
	// imageSync is how much of an image is written before it is synced, so that what
	// others sync does not wait for all of it.
	imageSync = 4 << 20
	// imageLeast is how many bytes the state log grows by at least from one image to
	// the next.
	imageLeast = 1 << 20
)

// imageMark says which image there is. The zero mark is that of the empty state.
type imageMark struct {
	index uint64
	next  log.Offset // of the state log, what follows the image
	bytes int64      // length of the file; not kept in checkpoints
}

func (m *machine) imageName(index uint64) string {
	return filepath.Join(m.dir, imagePrefix+strconv.FormatUint(index, 10))
}

// fileWriter writes a file from its beginning on, and syncs it now and then.
type fileWriter struct {
	file            log.File
	written, synced int64
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.file.WriteAt(p, w.written)
	w.written += int64(n)
	if err == nil && w.written-w.synced >= imageSync {
		w.synced = w.written
		err = w.file.Sync()
	}
	return n, err
}

// writeImageFile makes an image durable, by way of what pace makes of the file. The
// machine does not know of it yet.
func (m *machine) writeImageFile(mark imageMark, v *state.View, pace func(io.Writer) io.Writer) (bytes int64, err error) {
	err = replaceFile(m.fs, m.imageName(mark.index), func(f log.File) error {
		file := &fileWriter{file: f}
		w := bufio.NewWriterSize(pace(file), imagePiece)
		if _, err := w.WriteString(imageMagic); err != nil {
			return err
		}
		head := wire.AppendUint(wire.AppendUint(nil, m.shard), mark.index)
		if err := writeSection(w, wire.AppendUint(head, mark.next)); err != nil {
			return err
		}
		if err := writeImage(w, v); err != nil {
			return err
		}
		err := w.Flush()
		bytes = file.written
		return err
	})
	return bytes, err
}

// imageBehind tells by how many bytes the state log has grown since the last image, and
// how large that was.
func (m *machine) imageBehind() (since, bytes int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.logged.Load() - m.imagedAt, m.image.bytes
}

// imageDue tells whether the state log has grown so much that a new image is worth its
// bytes: no more than the state log had, or twice as many where the state grows.
func (m *machine) imageDue() bool {
	since, bytes := m.imageBehind()
	return since >= max(imageLeast, bytes)
}

// saveImage makes an image of the present state durable, for the next checkpoint to
// name. It may run beside Update and checkpoints.
func (m *machine) saveImage(pace func(io.Writer) io.Writer) error {
	m.imaging.Lock()
	defer m.imaging.Unlock()
	m.writer.Lock()
	mark, at, view := m.freeze()
	m.writer.Unlock()
	return m.keepImage(mark, at, view, pace)
}

// freeze needs writer: no Update is under way. The view is nil where there is no need of
// an image.
func (m *machine) freeze() (mark imageMark, at int64, view *state.View) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stateLog == nil || m.applied == m.image.index {
		return mark, 0, nil
	}
	return imageMark{index: m.applied, next: m.stateLog.Next()}, m.logged.Load(), m.state.Freeze()
}

// keepImage needs imaging.
func (m *machine) keepImage(mark imageMark, at int64, view *state.View, pace func(io.Writer) io.Writer) error {
	if view == nil {
		return nil
	}
	var err error
	if mark.bytes, err = m.writeImageFile(mark, view, pace); err != nil {
		return fmt.Errorf("image of shard %d: %w", m.shard, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.image, m.imagedAt = mark, at
	m.images = append(m.images, mark.index)
	return nil
}

// atOnce is no pace.
func atOnce(w io.Writer) io.Writer { return w }

// openImage makes the state of the image that a checkpoint names, and removes others:
// those that were not finished, or that no checkpoint has come to name.
func (m *machine) openImage(mark imageMark) error {
	names, err := m.fs.List(m.dir)
	if err != nil {
		return err
	}
	named := filepath.Base(m.imageName(mark.index))
	for _, name := range names {
		if !strings.HasPrefix(name, imagePrefix) || mark.index > 0 && name == named {
			continue
		}
		if err := m.fs.Remove(filepath.Join(m.dir, name)); err != nil {
			return err
		}
	}
	m.image, m.named, m.images = mark, mark.index, nil
	if mark.index == 0 {
		m.state = state.New()
		return nil
	}
	m.images = []uint64{mark.index}
	name := m.imageName(mark.index)
	m.state, m.image.bytes, err = m.readImageFile(name, mark)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.Corrupt, "corrupt", "%s is gone", name)
	case err != nil:
		return fault.New(fault.Corrupt, "corrupt", "image %s: %w", name, err)
	}
	return nil
}

// readImageFile reads the image that a mark speaks of, and tells how long its file is.
func (m *machine) readImageFile(name string, mark imageMark) (s *state.State, bytes int64, err error) {
	f, err := m.fs.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if bytes, err = f.Size(); err != nil {
		return nil, 0, err
	}
	from := bufio.NewReaderSize(io.NewSectionReader(f, 0, bytes), imagePiece)
	magic := make([]byte, len(imageMagic))
	if _, err := io.ReadFull(from, magic); err != nil || string(magic) != imageMagic {
		return nil, 0, errors.New("it is none")
	}
	sections := &sectionReader{from: from}
	head, err := sections.next()
	if err != nil {
		return nil, 0, err
	}
	r := &wire.Reader{Rest: head}
	shard, index, next := r.Uint(), r.Uint(), log.Offset(r.Uint())
	if r.Err != nil || shard != m.shard || index != mark.index || next != mark.next {
		return nil, 0, fmt.Errorf("it is of shard %d and raft index %d, the state log follows at %d", shard, index, next)
	}
	s, err = readImage(sections, nil)
	return s, bytes, err
}

// removeImages removes the images that no checkpoint needs any more, all but those from
// an index on.
func (m *machine) removeImages(from uint64) error {
	m.mu.Lock()
	var old, kept []uint64
	for _, index := range m.images {
		if index < from {
			old = append(old, index)
		} else {
			kept = append(kept, index)
		}
	}
	m.images = kept
	m.mu.Unlock()
	for _, index := range old {
		if err := m.fs.Remove(m.imageName(index)); err != nil {
			return err
		}
	}
	return nil
}
