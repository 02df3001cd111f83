// Command leat is the stream engine's one binary: the server, a demonstration,
// and a client for everything the server answers over HTTP.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back: a second one ends the process
	// at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, osShell(), os.Args[1:]))
}
