package filerun

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxLineBytes bounds a line.
const MaxLineBytes = 16 << 20

const readBytes = 256 << 10

// lines reads the records of a file of one a line as produce-ndjson takes them: any bytes up to LF, a CR before it cut, blank lines skipped, a line that
// is one JSON string stands for its text.
type lines struct {
	in     *bufio.Reader
	number int // of the line last read, from 1
	buf    []byte
	text   string
	raw    []byte
	base64 bool // a line is the base64 of a record, = one without bytes
	done   bool
}

// next returns the next record, valid until the next call, io.EOF at the end.
func (l *lines) next() ([]byte, error) {
	for !l.done {
		line, err := l.line()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		if line[0] == '"' || line[0] <= ' ' {
			line = l.unquote(line)
		}
		if !l.base64 {
			return line, nil
		}
		if string(line) == "=" {
			return nil, nil
		}
		if l.raw, err = base64.StdEncoding.AppendDecode(l.raw[:0], line); err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
		return l.raw, nil
	}
	return nil, io.EOF
}

func (l *lines) line() ([]byte, error) {
	l.number++
	l.buf = l.buf[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		switch {
		case err == nil && len(l.buf) == 0:
			return part, nil
		case err == nil || errors.Is(err, io.EOF):
			l.done = err != nil
			l.buf = append(l.buf, part...)
			return l.buf, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(l.buf) > MaxLineBytes:
			return nil, fmt.Errorf("it is over %d bytes", MaxLineBytes)
		}
		l.buf = append(l.buf, part...)
	}
}

// unquote is the text of a line that is one JSON string, else the line.
func (l *lines) unquote(line []byte) []byte {
	if quoted := bytes.TrimSpace(line); len(quoted) > 0 && quoted[0] == '"' && utf8.Valid(quoted) &&
		json.Unmarshal(quoted, &l.text) == nil {
		return []byte(l.text)
	}
	return line
}
