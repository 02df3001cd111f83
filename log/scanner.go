package log

import (
	"errors"
	"io"
)

// scanner walks the frames of one segment in order and verifies each. It
// belongs to one goroutine.
type scanner struct {
	file  File
	pos   int64  // where the next frame begins
	end   int64  // where the segment ends
	next  Offset // what the next frame has to begin with
	mark  Mark   // the least mark it may have
	chunk int    // bytes to read at a time
	buf   []byte // buf[at:] is what the file holds from pos on
	at    int
}

const (
	scanChunk  = 1 << 20 // for a whole segment
	probeChunk = 32 << 10
)

// frame returns the next frame. At the end it returns io.EOF. At bytes that are
// not the frame that belongs there it returns a *badFrame and stays where it is;
// other errors are those of checkFrame and of the file.
func (s *scanner) frame() (frame, error) {
	if s.pos >= s.end {
		return frame{}, io.EOF
	}
	for {
		f, need, err := checkFrame(s.buf[s.at:], s.end-s.pos, s.next, s.mark)
		if err != nil {
			return frame{}, err
		}
		if need == 0 {
			s.pos += int64(f.size)
			s.at += f.size
			s.next, s.mark = f.end(), f.mark
			return f, nil
		}
		if err := s.fill(need); err != nil {
			return frame{}, err
		}
	}
}

// fill makes at least need bytes of the file available at pos.
func (s *scanner) fill(need int) error {
	have := copy(s.buf, s.buf[s.at:])
	want := int(min(max(int64(need), int64(s.chunk)), s.end-s.pos))
	if cap(s.buf) < want {
		grown := make([]byte, want)
		copy(grown, s.buf[:have])
		s.buf = grown
	}
	s.buf, s.at = s.buf[:want], 0
	n, err := s.file.ReadAt(s.buf[have:], s.pos+int64(have))
	s.buf = s.buf[:have+n]
	if len(s.buf) >= need {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return bad("the file ends after %d of %d bytes", len(s.buf), need)
	}
	return err
}
