package peer

import (
	"net"
	"syscall"
	"testing"
)

// TestUnheardLimit: both ends of a connection between nodes are given up by the system
// when the other side is not heard any more.
func TestUnheardLimit(t *testing.T) {
	t.Parallel()
	a, b := open(t, "x", "a"), open(t, "x", "b")
	a.knows("b", b)
	var twice int
	if err := a.Call(t.Context(), "b", "Double", 2, &twice); err != nil || twice != 4 {
		t.Fatal(twice, err)
	}
	for _, s := range []*side{a, b} {
		s.mu.Lock()
		if len(s.Network.open) != 1 {
			t.Errorf("%d connections", len(s.Network.open))
		}
		for conn := range s.Network.open {
			raw, err := conn.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if err := raw.Control(func(fd uintptr) {
				ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
				if err != nil || int64(ms) != unheardTimeout.Milliseconds() {
					t.Errorf("%d ms, %v", ms, err)
				}
			}); err != nil {
				t.Error(err)
			}
		}
		s.mu.Unlock()
	}
}
