package peer

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// tap forwards connections and keeps what the side that dials sends.
type tap struct {
	to   string
	mu   sync.Mutex
	seen bytes.Buffer
}

// Write keeps bytes.
func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Write(b)
}

func (p *tap) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.seen.Bytes())
}

// listen forwards until the test ends, and answers where.
func (p *tap) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go p.forward(in)
		}
	}()
	return l.Addr().String()
}

func (p *tap) forward(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(in, out)
		in.Close()
	}()
	_, _ = io.Copy(out, io.TeeReader(in, p))
}
