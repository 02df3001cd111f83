package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"leat/log"
)

// A followed result as NDJSON, one JSON value a line:
//
//	{"meta":{"query":"q","next_offset":0}}
//	{"offset":0,"row":{…}}                                 any number of rows
//	{"heartbeat":{"next_offset":1,"watermark":1700000000000}}
//	{"complete":true,"next_offset":1}                      last, of a bounded run
//	{"ok":false,"error":…}                                 last, of an error
//
// As server-sent events: the meta line is the data of the event "meta", a row is
// the data of an unnamed event whose id is its offset, the others are the data of
// the events "heartbeat", "complete" and "error".

// followPage is how many rows are read at a time.
const followPage = 256

// stream is one followed result.
type stream struct {
	server *Server
	page   page
	sse    bool
	rows   Rows // the next to be written
	out    []byte
	w      *bufio.Writer
}

// follow answers GET /queries/{name}/results?follow=1: rows as they come, until
// the query is complete, the limit is reached or the server shuts down. What is
// wrong from the start is answered like any error.
func (c *call) follow() error {
	p, err := c.page(math.MaxInt)
	if err != nil {
		return err
	}
	request := &c.http.Context().Request
	f := &stream{
		server: c.server, page: p,
		sse: strings.Contains(string(request.Header.Peek("Accept")), typeSSE),
	}
	// A browser that connects again asks for the same address and names the last
	// event it got: the header counts.
	if last := string(request.Header.Peek("Last-Event-ID")); last != "" {
		id, err := strconv.ParseInt(last, 10, 64)
		if err != nil || id < 0 || id == math.MaxInt64 {
			return invalidParameter("Last-Event-ID", "has to be an offset, not %q", clip(last))
		}
		f.page.offset = log.Offset(id) + 1
	}
	if err := f.read(); err != nil {
		return err
	}
	contentType := typeNDJSON
	if f.sse {
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
	}
	f.server.streams.Add(1)
	c.http.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		defer f.server.streams.Done()
		f.w = w
		f.run()
	})
	return nil
}

// read reads the next rows.
func (f *stream) read() (err error) {
	ctx, cancel := (&call{server: f.server}).deadline()
	defer cancel()
	f.rows, err = f.server.queries.Results(ctx, f.page.query, f.page.offset, min(f.page.limit, followPage))
	return err
}

// run writes the stream. It ends when the client is gone or does not read for the
// write timeout.
func (f *stream) run() {
	defer func() {
		if cause := recover(); cause != nil {
			f.server.logger.Error("a stream panicked", "query", f.page.query, "cause", cause, "stack", string(debug.Stack()))
		}
	}()
	meta := append([]byte(nil), `{"query":`...)
	meta = appendString(meta, f.page.query)
	f.event("meta", append(appendField(meta, "next_offset", int64(f.page.offset)), '}'))
	for {
		f.appendRows()
		switch {
		case f.rows.Complete:
			f.last("complete", append(appendField([]byte(`{"complete":true`), "next_offset", int64(f.page.offset)), '}'))
			return
		case len(f.rows.Rows) == 0 && f.rows.Stopped != nil:
			f.last("error", appendError(nil, classify(f.rows.Stopped)))
			return
		}
		if !f.flush() || f.page.limit == 0 {
			return
		}
		if len(f.rows.Rows) == 0 && !f.wait() {
			return
		}
		if err := f.read(); err != nil {
			f.last("error", appendError(nil, classify(err)))
			return
		}
	}
}

// wait waits for more rows with heartbeats in between; false ends the stream.
func (f *stream) wait() bool {
	arrived, err := f.server.queries.WaitResults(f.page.query, f.page.offset)
	if err != nil {
		f.last("error", appendError(nil, classify(err)))
		return false
	}
	timer := time.NewTimer(f.server.limits.Heartbeat)
	defer timer.Stop()
	select {
	case <-arrived:
		return true
	case <-f.server.stopping:
		f.last("error", appendError(nil, shuttingDown()))
		return false
	case <-timer.C:
	}
	beat := append([]byte(`{"next_offset":`), strconv.FormatInt(int64(f.page.offset), 10)...)
	if f.rows.Watermark != nil {
		beat = appendField(beat, "watermark", *f.rows.Watermark)
	} else {
		beat = append(beat, `,"watermark":null`...)
	}
	f.event("heartbeat", append(beat, '}'))
	return f.flush()
}

// appendRows adds the rows read to what will be written.
func (f *stream) appendRows() {
	offset := f.rows.Next - log.Offset(len(f.rows.Rows))
	for _, row := range f.rows.Rows {
		if bytes.ContainsAny(row, "\r\n") { // it has to stay on one line
			var line bytes.Buffer
			if json.Compact(&line, row) == nil {
				row = line.Bytes()
			}
		}
		if f.sse {
			f.out = append(f.out, "id: "...)
			f.out = strconv.AppendInt(f.out, int64(offset), 10)
			f.out = append(f.out, "\ndata: "...)
			f.out = append(append(f.out, row...), "\n\n"...)
		} else {
			f.out = append(f.out, `{"offset":`...)
			f.out = strconv.AppendInt(f.out, int64(offset), 10)
			f.out = append(f.out, `,"row":`...)
			f.out = append(append(f.out, row...), "}\n"...)
		}
		offset++
	}
	f.page.offset = f.rows.Next
	f.page.limit -= min(f.page.limit, len(f.rows.Rows))
}

// event adds something that is not a row. Where it comes last, the value is a line
// of its own, elsewhere a member named after the event.
func (f *stream) event(name string, value []byte) {
	if f.sse {
		f.out = append(append(f.out, "event: "+name+"\ndata: "...), value...)
		f.out = append(f.out, "\n\n"...)
		return
	}
	f.out = append(append(f.out, `{"`+name+`":`...), value...)
	f.out = append(f.out, "}\n"...)
}

// last writes the last event.
func (f *stream) last(name string, value []byte) {
	if f.sse {
		f.event(name, value)
	} else {
		f.out = append(append(f.out, value...), '\n')
	}
	f.flush()
}

// flush writes what was added, false if the client does not take it.
func (f *stream) flush() bool {
	_, err := f.w.Write(f.out)
	f.out = f.out[:0]
	return err == nil && f.w.Flush() == nil
}
