package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// stream hands every line of an answer that stays open to each until it ends; more
// tells that another line has arrived. A line that is an error is returned as one. A
// connection that breaks is an end, unless nothing ever came.
func (c *client) stream(ctx context.Context, path string, q url.Values, each func(line []byte, more bool) error) error {
	response, err := c.open(ctx, request{method: http.MethodGet, path: path, query: q, accept: "application/x-ndjson"})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReaderSize(response.Body, 64<<10)
	for count := 0; ; count++ {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if count == 0 {
				return c.failed(ctx, err)
			}
			return nil
		}
		if bytes.HasPrefix(line, []byte(`{"ok":false`)) {
			return streamRefusal(line)
		}
		ahead, _ := lines.Peek(lines.Buffered())
		if err := each(line, bytes.IndexByte(ahead, '\n') >= 0); err != nil {
			return err
		}
	}
}

// streamRefusal is the error that ends a stream, which has no status of its own.
func streamRefusal(line []byte) error {
	var content struct {
		Error  string `json:"error"`
		Status int    `json:"status"`
	}
	status := http.StatusServiceUnavailable
	if json.Unmarshal(line, &content) == nil && content.Status != 0 {
		status = content.Status
	} else if content.Error == "changes_gone" || content.Error == "offset_out_of_range" {
		status = http.StatusGone
	}
	return refusal(status, bytes.TrimSpace(line))
}
