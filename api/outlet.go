package api

import (
	"bufio"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// outlet writes an answer that stays open, as NDJSON or as server-sent events.
//
// As NDJSON an item is a line; an event is a line with one member named after it;
// the last event is a line of its own. As server-sent events an item is the data of
// an unnamed event with an id, an event the data of one with a name.
type outlet struct {
	server *Server
	pass   *pass
	sse    bool
	out    []byte // not yet written
	w      *bufio.Writer
}

// stream begins an answer that stays open, which run writes. run ends when a flush
// fails, and after the last event. check is asked again when the tokens change.
func (c *call) stream(scopes Scope, check func([]grant) error, run func(*outlet)) error {
	request := &c.http.Context().Request
	o := &outlet{server: c.server, pass: c.pass(scopes, check), sse: strings.Contains(string(request.Header.Peek("Accept")), typeSSE)}
	contentType := typeNDJSON
	if o.sse {
		contentType = typeSSE
	}
	response := &c.http.Context().Response
	setHead(response, http.StatusOK, contentType)
	response.Header.Set("Cache-Control", "no-store")
	if string(request.Header.Method()) == http.MethodHead {
		return nil
	}
	if connection, ok := c.http.Context().Conn().(*conn); ok {
		connection.stream.Store(true)
		connection.pass.Store(&o.pass.permit)
	}
	path := strings.Clone(clip(c.http.Path()))
	o.server.streams.Add(1)
	o.server.open.Add(1)
	c.http.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		defer o.server.streams.Done()
		defer o.server.open.Add(-1)
		defer func() {
			if cause := recover(); cause != nil {
				o.server.logger.Error("a stream panicked", "path", path, "cause", cause, "stack", string(debug.Stack()))
			}
		}()
		o.w = w
		run(o)
	})
	return nil
}

// resume is where a stream begins: where the address says, or, for a browser that connects
// again, a step behind the last event that it got: it asks for the same address and names
// that event, which counts.
func (c *call) resume(address, step int64) (int64, error) {
	last := string(c.http.Context().Request.Header.Peek("Last-Event-ID"))
	if last == "" {
		return address, nil
	}
	id, err := strconv.ParseInt(last, 10, 64)
	if err != nil || id < 0 || id == math.MaxInt64 {
		return 0, invalidParameter("Last-Event-ID", "has to be a number from an event's id, not %q", clip(last))
	}
	return id + step, nil
}

// item adds one item.
func (o *outlet) item(id int64, data []byte) {
	if o.sse {
		o.out = append(o.out, "id: "...)
		o.out = strconv.AppendInt(o.out, id, 10)
		o.out = append(o.out, "\ndata: "...)
		o.out = append(append(o.out, data...), "\n\n"...)
		return
	}
	o.out = append(append(o.out, data...), '\n')
}

// event adds something that is not an item.
func (o *outlet) event(name string, value []byte) {
	if o.sse {
		o.out = append(append(o.out, "event: "+name+"\ndata: "...), value...)
		o.out = append(o.out, "\n\n"...)
		return
	}
	o.out = append(append(o.out, `{"`+name+`":`...), value...)
	o.out = append(o.out, "}\n"...)
}

// mark makes the next event one to resume after.
func (o *outlet) mark(id int64) {
	if o.sse {
		o.out = append(o.out, "id: "...)
		o.out = append(strconv.AppendInt(o.out, id, 10), '\n')
	}
}

// last writes the last event.
func (o *outlet) last(name string, value []byte) {
	if err := o.pass.renew(); err != nil {
		o.refuse(err)
		return
	}
	o.end(name, value)
	o.write()
}

// end adds the last event.
func (o *outlet) end(name string, value []byte) {
	if o.sse {
		o.event(name, value)
	} else {
		o.out = append(append(o.out, value...), '\n')
	}
}

// refuse writes why the stream may not go on, in place of what was not yet written.
func (o *outlet) refuse(err error) {
	o.out = o.out[:0]
	o.end("error", appendError(nil, classify(err)))
	o.write()
}

// fail writes an error as the last event.
func (o *outlet) fail(err error) { o.last("error", appendError(nil, classify(err))) }

// flush writes what was added, false if the client does not take it, or may not have
// it any more: that is then the last event.
func (o *outlet) flush() bool {
	if err := o.pass.renew(); err != nil {
		o.refuse(err)
		return false
	}
	return o.write()
}

func (o *outlet) write() bool {
	_, err := o.w.Write(o.out)
	o.out = o.out[:0]
	return err == nil && o.w.Flush() == nil
}

// waited is how a wait ended.
type waited uint8

const (
	waitArrived waited = iota // there may be something
	waitBeat                  // it is time for a heartbeat
	waitOver                  // the server shuts down or the token is revoked; the last event is written
)

// wait waits for arrived.
func (o *outlet) wait(arrived <-chan struct{}) waited {
	timer := time.NewTimer(o.server.limits.Heartbeat)
	defer timer.Stop()
	for {
		select {
		case <-arrived:
			return waitArrived
		case <-o.pass.seen.replaced:
			if err := o.pass.renew(); err != nil {
				o.refuse(err)
				return waitOver
			}
		case <-o.server.stopping:
			o.fail(shuttingDown())
			return waitOver
		case <-timer.C:
			return waitBeat
		}
	}
}
