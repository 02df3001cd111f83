//go:build !linux

package peer

import (
	"net"
	"time"
)

// limitUnheard leaves it to the system when to give up a connection.
func limitUnheard(net.Conn, time.Duration) {}
