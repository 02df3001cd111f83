package main

import (
	"context"
	"errors"
	"fmt"
)

// stage is a part of the process that runs until its context ends.
type stage struct {
	name string
	run  func(context.Context) error
}

// runStages starts the stages in order and runs them until ctx ends or one of
// them does. Then it stops them in reverse, each only when those above it have
// ended: a stage can count on those before it for as long as it runs. It returns
// when all have ended.
func runStages(ctx context.Context, stages []stage) error {
	ended := make(chan struct{}, len(stages))
	cancels := make([]context.CancelFunc, len(stages))
	results := make([]chan error, len(stages))
	for i, s := range stages {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancels[i], results[i] = cancel, make(chan error, 1)
		go func() {
			results[i] <- s.run(own)
			ended <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	early := ctx.Err() == nil
	var failed []error
	for i := len(stages) - 1; i >= 0; i-- {
		cancels[i]()
		if err := <-results[i]; err != nil && !errors.Is(err, context.Canceled) {
			failed = append(failed, fmt.Errorf("%s: %w", stages[i].name, err))
		}
	}
	if early && len(failed) == 0 {
		return errors.New("a part of the node ended by itself")
	}
	return errors.Join(failed...)
}
