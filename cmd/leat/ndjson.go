package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
)

// The size of the batches a file is sent in. A batch is all or nothing, and its
// bounds depend on nothing but the text, so that the same file is always cut in
// the same way.
const (
	batchLines = 1000
	batchBytes = 4 << 20
	// lineBytes bounds a line here; the server has a limit of its own, lower by
	// default, and answers a better error.
	lineBytes = 64 << 20
)

// batch is a run of lines, each with its LF.
type batch struct {
	number int // from 0
	line   int // number of the first line, from 1
	lines  int
	at     []int  // number of each line, until the next call of next
	bytes  []byte // the same
}

// batcher cuts lines into batches. Blank lines are counted and left out.
type batcher struct {
	in   *bufio.Reader
	held []byte // a line that did not fit into the last batch
	from int    // its number
	buf  []byte
	at   []int
	out  batch
	line int
	done bool
}

// newBatcher reads text, or text compressed with gzip.
func newBatcher(in io.Reader) (*batcher, error) {
	r := bufio.NewReaderSize(in, 64<<10)
	if head, err := r.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		r = bufio.NewReaderSize(z, 64<<10)
	}
	return &batcher{in: r, out: batch{number: -1}}, nil
}

// next returns the next batch, false at the end.
func (b *batcher) next() (batch, bool, error) {
	b.buf = append(b.buf[:0], b.held...)
	lines, first := 0, b.line
	b.at = b.at[:0]
	if len(b.held) > 0 {
		lines = 1
		b.at = append(b.at, b.from)
	}
	b.held = b.held[:0]
	for !b.done && lines < batchLines {
		start := len(b.buf)
		if err := b.readLine(); err != nil {
			return batch{}, false, fmt.Errorf("read line %d: %w", b.line, err)
		}
		text := bytes.TrimSuffix(b.buf[start:], []byte{'\n'})
		if len(bytes.TrimSuffix(text, []byte{'\r'})) == 0 {
			b.buf = b.buf[:start]
			continue
		}
		if b.buf[len(b.buf)-1] != '\n' {
			b.buf = append(b.buf, '\n')
		}
		if lines > 0 && len(b.buf) > batchBytes {
			b.held, b.from = append(b.held, b.buf[start:]...), b.line
			b.buf = b.buf[:start]
			break
		}
		if lines == 0 {
			first = b.line
		}
		lines++
		b.at = append(b.at, b.line)
	}
	if lines == 0 {
		return batch{}, false, nil
	}
	b.out = batch{number: b.out.number + 1, line: first, lines: lines, at: b.at, bytes: b.buf}
	return b.out, true, nil
}

// readLine appends one line to the buffer.
func (b *batcher) readLine() error {
	b.line++
	start := len(b.buf)
	for {
		part, err := b.in.ReadSlice('\n')
		b.buf = append(b.buf, part...)
		switch {
		case err == nil:
			return nil
		case err == io.EOF:
			b.done = true
			return nil
		case err != bufio.ErrBufferFull:
			return err
		case len(b.buf)-start > lineBytes:
			return fmt.Errorf("it is over %d bytes", lineBytes)
		}
	}
}
