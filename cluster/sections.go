package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"leat/cluster/state"
	"leat/internal/fault"
)

// Snapshots and images are made of sections, little endian:
//
//	0        4         8
//	+--------+---------+---------------------------- - - -
//	| length | CRC32C  | body of that length
//	+--------+---------+---------------------------- - - -
//
// A body of no bytes ends a list of sections.
const (
	sectionHeader  = 8
	maxSectionSize = 64 << 20
	// imagePiece is how large the sections of an image are, about.
	imagePiece = 256 << 10
)

func writeSection(w io.Writer, body []byte) error {
	var head [sectionHeader]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(body)))
	binary.LittleEndian.PutUint32(head[4:], castagnoli(body))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// sectionReader reads sections.
type sectionReader struct {
	from io.Reader
	body []byte
}

// read fills p. There is always more to come until the list has ended, so that the end of
// the bytes is an error, and not io.EOF.
func (s *sectionReader) read(p []byte) error {
	_, err := io.ReadFull(s.from, p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read a section: %w", err)
	}
	return nil
}

// next returns the body of the next section, which is good until the next call.
func (s *sectionReader) next() ([]byte, error) {
	var head [sectionHeader]byte
	if err := s.read(head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxSectionSize {
		return nil, fault.New(fault.Corrupt, "corrupt", "a section of %d bytes", n)
	}
	if int(n) > cap(s.body) {
		s.body = make([]byte, n)
	}
	body := s.body[:n]
	if err := s.read(body); err != nil {
		return nil, err
	}
	if castagnoli(body) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, fault.New(fault.Corrupt, "corrupt", "a section's checksum does not hold")
	}
	return body, nil
}

// writeImage writes the image of a view, and the empty section that ends it.
func writeImage(w io.Writer, v *state.View) error {
	if err := v.Image(imagePiece, func(piece []byte) error { return writeSection(w, piece) }); err != nil {
		return err
	}
	return writeSection(w, nil)
}

// readImage reads what writeImage wrote, until done is closed.
func readImage(sections *sectionReader, done <-chan struct{}) (*state.State, error) {
	return state.ReadImage(func() ([]byte, error) {
		select {
		case <-done:
			return nil, sm.ErrSnapshotStopped
		default:
		}
		piece, err := sections.next()
		if err == nil && len(piece) == 0 {
			err = io.EOF
		}
		return piece, err
	})
}
