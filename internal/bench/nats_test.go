//go:build linux

package main

import "testing"

func TestNatsAnswers(t *testing.T) {
	t.Parallel()
	const ack = "MSG _INBOX.7 1 26\r\n{\"stream\":\"bench\",\"seq\":1}\r\n"
	for _, c := range []struct {
		buf        string
		size       int
		bad, wrong bool
	}{
		{buf: ack, size: len(ack)},
		{buf: ack[:len(ack)-1], size: len(ack)},
		{buf: "MSG _INBOX.7 1 2", size: 0},
		{buf: "PING\r\n", size: 0},
		{buf: "PING\r\n" + ack, size: 6 + len(ack)},
		{buf: ack + "PING\r\n", size: len(ack) + 6},
		{buf: "-ERR 'Stale Connection'\r\n", bad: true},
		{buf: "MSG _INBOX.7 1 x\r\n", bad: true},
		{buf: "MSG _INBOX.7 1 12\r\n{\"error\":{}}\r\n", size: 33, wrong: true},
	} {
		n, err := natsAnswers{}.size([]byte(c.buf))
		if n != c.size || (err != nil) != c.bad {
			t.Errorf("%q: %d, %v", c.buf, n, err)
		}
		if err := (natsAnswers{}).check([]byte(c.buf)); n >= len(c.buf) && n > 0 && (err != nil) != c.wrong {
			t.Errorf("%q: %v", c.buf, err)
		}
	}
}

// What cannot be built is not there, and no failure.
func TestPeersThatCannotBeBuilt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	b := &bench{ctx: t.Context(), data: t.TempDir()}
	if path := b.buildPeers(); path != "" {
		t.Errorf("%q was built without a compiler", path)
	}
}
