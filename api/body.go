package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"leat/internal/fault"
	"leat/log"
)

const (
	firstBody  = 4 << 10  // what is set aside for a body before any of it came
	freeBody   = 64 << 10 // bodies up to here are not counted against the budget
	pooledMost = 4 << 20  // larger buffers are not kept
)

// pools keep what calls share: buffers, the context of those that began together,
// and a name of this server that was found good.
type pools struct {
	buffers, blocks, calls sync.Pool
	deadlines              deadlines
	loopback               atomic.Pointer[string]
}

func (p *pools) buffer() *[]byte {
	if b, ok := p.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, firstBody)
	return &b
}

func (p *pools) giveBuffer(b *[]byte) {
	if cap(*b) <= pooledMost {
		*b = (*b)[:0]
		p.buffers.Put(b)
	}
}

func (p *pools) block() *log.Block {
	if b, ok := p.blocks.Get().(*log.Block); ok {
		return b
	}
	return &log.Block{Bytes: make([]byte, 0, firstBody)}
}

func (p *pools) giveBlock(b *log.Block) {
	if cap(b.Bytes) <= pooledMost {
		b.Bytes, b.Count = b.Bytes[:0], 0
		p.blocks.Put(b)
	}
}

// readBody reads the body of the call, at most limit bytes of it. Memory grows
// with what has arrived, never with what was announced. The bytes are valid until
// the call ends.
//
// A body over the limit is TooLarge with the given code; what was read of it is
// returned as well.
func (c *call) readBody(limit int, code string) ([]byte, error) {
	request := &c.request.Request
	if encoding := request.Header.Peek("Content-Encoding"); len(encoding) > 0 && !bytes.EqualFold(encoding, []byte("identity")) {
		return nil, fault.New(fault.Unsupported, "unsupported_encoding", "Content-Encoding %q is not supported", clip(string(encoding)))
	}
	stream := c.request.RequestBodyStream()
	if stream == nil {
		c.consumed = true
		return nil, nil
	}
	c.body = c.server.pools.buffer()
	b := (*c.body)[:0]
	for {
		if len(b) == cap(b) {
			var err error
			if b, err = c.growBody(b, limit); err != nil {
				return nil, err
			}
		}
		n, err := stream.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		*c.body = b
		if len(b) > limit {
			return b[:limit], fault.New(fault.TooLarge, code, "The body is over the limit of %d bytes", limit).With("limit_bytes", limit)
		}
		if err == io.EOF {
			c.consumed = true
			return b, nil
		}
		if err != nil {
			return nil, badBody(err)
		}
	}
}

// growBody doubles a body buffer within the limit and the budget of all bodies.
func (c *call) growBody(b []byte, limit int) ([]byte, error) {
	size := min(2*cap(b), limit+1)
	if size > freeBody {
		more := int64(size) - c.reserved
		if c.server.inFlight.Add(more) > c.server.limits.InFlightBytes {
			c.server.inFlight.Add(-more)
			return nil, fault.New(fault.Unavailable, "overloaded", "The server has as many bodies in flight as it takes")
		}
		c.reserved += more
	}
	grown := make([]byte, len(b), size)
	copy(grown, b)
	return grown, nil
}

func badBody(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fault.New(fault.Invalid, codeRequestTimeout, "The body did not arrive in time")
	}
	return fault.New(fault.Invalid, "malformed_request", "The body is not what its headers announce")
}
