//go:build linux

package main

import (
	"context"
	"fmt"
	"net"

	"github.com/gofiber/fiber/v2"
)

// serveNoop is the ceiling of a call: a fiber handler that reads the body and
// answers what a produce answers, and does nothing else. It prints its address and
// runs until ctx ends.
func serveNoop(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Println(listener.Addr())
	answer := []byte(`{"ok":true,"offset":123456,"partition":3,"batch_id":9991,"sealed":true,"durable":true,"mode":"sealed","synced":true}`)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/*", func(c *fiber.Ctx) error {
		_ = c.Request().Body()
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Send(answer)
	})
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	if err := app.Listener(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
