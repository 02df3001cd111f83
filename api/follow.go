package api

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"leat/codecs"
	"leat/internal/fault"
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
	*outlet
	page  page
	rows  Rows   // the next to be written
	began string // Rows.Run of the first rows
}

// follow answers GET /queries/{name}/results?follow=1: rows as they come, until
// the query is complete, the limit is reached or the server shuts down. What is
// wrong from the start is answered like any error.
func (c *call) follow() error {
	p, err := c.page(math.MaxInt)
	if err != nil {
		return err
	}
	offset, err := c.resume(int64(p.offset), 1)
	if err != nil {
		return err
	}
	p.offset = log.Offset(offset)
	f := &stream{page: p}
	if err := f.read(c.server); err != nil {
		return err
	}
	f.began = f.rows.Run
	return c.stream(ScopeQuery, c.server.forQuery(p.query), func(o *outlet) {
		f.outlet = o
		f.run()
	})
}

// forQuery asks that the grants cover the sources of a query.
func (s *Server) forQuery(name string) func([]grant) error {
	return func(grants []grant) error {
		topics, err := s.queries.Sources(name)
		if err != nil {
			return err
		}
		if topic, ok := (&call{grants: grants}).coversAll(topics); !ok {
			return forbidden(ScopeQuery, topic)
		}
		return nil
	}
}

// read reads the next rows.
func (f *stream) read(s *Server) (err error) {
	ctx, cancel := (&call{server: s}).deadline()
	defer cancel()
	f.rows, err = s.queries.Results(ctx, f.page.query, f.page.offset, min(f.page.limit, followPage))
	return err
}

// run writes the stream. It ends when the client is gone or does not read for the
// write timeout.
func (f *stream) run() {
	meta := append([]byte(nil), `{"query":`...)
	meta = codecs.AppendJSONString(meta, f.page.query)
	f.event("meta", append(appendField(meta, "next_offset", int64(f.page.offset)), '}'))
	for {
		f.appendRows()
		switch {
		case f.rows.Complete:
			f.last("complete", append(appendField([]byte(`{"complete":true`), "next_offset", int64(f.page.offset)), '}'))
			return
		case len(f.rows.Rows) == 0 && f.rows.Stopped != nil:
			f.fail(f.rows.Stopped)
			return
		}
		if !f.flush() || f.page.limit == 0 {
			return
		}
		if len(f.rows.Rows) == 0 && !f.waitForRows() {
			return
		}
		if err := f.read(f.server); err != nil {
			f.fail(err)
			return
		}
		if f.rows.Run != f.began {
			f.fail(fault.New(fault.Conflict, "query_restarted", "query %q was started anew: its rows begin at offset 0 again", f.page.query))
			return
		}
	}
}

// waitForRows waits for more rows with heartbeats in between; false ends the stream.
func (f *stream) waitForRows() bool {
	arrived, err := f.server.queries.WaitResults(f.page.query, f.page.offset)
	if err != nil {
		f.fail(err)
		return false
	}
	switch f.wait(arrived) {
	case waitArrived:
		return true
	case waitOver:
		return false
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
			f.item(int64(offset), row)
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
