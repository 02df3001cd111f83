package peer

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which syscall does not name.
const tcpUserTimeout = 18

// limitUnheard has the system end a connection whose other side has acknowledged
// nothing for so long. Otherwise it would repeat itself ever more rarely: after a minute
// without a network it would say nothing for another one, while a new connection works
// at once.
func limitUnheard(conn net.Conn, limit time.Duration) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
	})
}
