package main

import (
	"context"
	"net/url"
	"strconv"
	"sync"
)

// readPage is a page of one partition on its way to the printer, which answers once
// it is printed: a partition is never read ahead of the output.
type readPage struct {
	from    *partitionReader
	page    page
	printed chan struct{}
}

// followPartitions reads every partition on a connection of its own and prints what
// comes, until ctx ends or the limit is reached. Within a partition the
// order is that of the log.
func (s *session) followPartitions(ctx context.Context, c *client, r consumption, partitions []int, printer *messagePrinter) error {
	ctx, cancel := context.WithCancel(ctx)
	pages := make(chan readPage)
	failed := make(chan error, len(partitions))
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	for _, partition := range partitions {
		p := &partitionReader{client: c, consumption: r, partition: partition, next: r.offset}
		readers.Go(func() { failed <- p.follow(ctx, pages) })
	}
	left := r.limit
	for {
		select {
		case err := <-failed:
			return err
		case read := <-pages:
			if r.limit > 0 && int64(len(read.page.Messages)) >= left {
				cut := &read.page
				read.from.next -= int64(len(cut.Messages)) - left
				cut.Messages = cut.Messages[:left]
				return printer.print(ctx, read.from, *cut)
			}
			left -= int64(len(read.page.Messages))
			if err := printer.print(ctx, read.from, read.page); err != nil {
				return err
			}
			close(read.printed)
		}
	}
}

// follow hands over page after page until ctx ends: first what there is, then what
// the server sends as it comes.
func (p *partitionReader) follow(ctx context.Context, pages chan<- readPage) error {
	for {
		page, err := p.read(ctx, consumePage)
		if err != nil {
			return err
		}
		if len(page.Messages) > 0 || page.Skipped > 0 {
			if err := p.hand(ctx, pages, page); err != nil {
				return err
			}
			continue
		}
		if err := p.tail(ctx, pages); err != nil {
			return err
		}
	}
}

// hand gives a page to the printer and waits until it is printed.
func (p *partitionReader) hand(ctx context.Context, pages chan<- readPage, page page) error {
	read := readPage{from: p, page: page, printed: make(chan struct{})}
	select {
	case pages <- read:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-read.printed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tail hands over what the live stream sends from next on, as much at a time as has
// arrived. It returns nil when the stream ends, and when retention has overtaken it:
// the next page read tells how much is gone.
func (p *partitionReader) tail(ctx context.Context, pages chan<- readPage) error {
	var waiting page
	path := route("broker", "stream", p.topic, strconv.Itoa(p.partition))
	query := url.Values{"offset": {strconv.FormatInt(p.next, 10)}}
	if p.decode {
		query.Set("encoding", "b64")
	}
	err := p.stream(ctx, path, query, func(line []byte, more bool) error {
		var message struct {
			Offset *int64 `json:"offset"`
		}
		if err := readAnswer(line, &message); err != nil {
			return err
		}
		if message.Offset != nil { // else meta or a heartbeat
			waiting.Messages = append(waiting.Messages, line)
			p.next = *message.Offset + 1
		}
		if len(waiting.Messages) == 0 || more && len(waiting.Messages) < consumePage {
			return nil
		}
		read := waiting
		waiting = page{}
		return p.hand(ctx, pages, read)
	})
	if err != nil && classify(err).code == "offset_out_of_range" {
		return nil
	}
	return err
}
