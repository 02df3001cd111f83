package main

import (
	"context"
	"sync"
)

// readPage is a page of one partition on its way to the printer, which answers once
// it is printed: a partition is never read ahead of the output.
type readPage struct {
	from    *partitionReader
	page    page
	printed chan struct{}
}

// followPartitions reads every partition with a long poll of its own and prints
// what comes, until ctx ends or the limit is reached. Within a partition the
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

// follow hands over page after page until ctx ends.
func (p *partitionReader) follow(ctx context.Context, pages chan<- readPage) error {
	for {
		page, err := p.read(ctx, consumePage, followWaitMs)
		if err != nil {
			return err
		}
		if len(page.Messages) == 0 {
			continue
		}
		read := readPage{from: p, page: page, printed: make(chan struct{})}
		select {
		case pages <- read:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-read.printed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
