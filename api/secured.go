package api

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"leat/internal/fault"
)

// secured is a connection that is TLS from its first byte on. Its handshake is done by
// the first Read, within the deadline of that; where it fails the connection is over.
// Who begins with HTTP instead is told so in the one error form.
type secured struct {
	*tls.Conn
	plain net.Conn
}

func secure(inner net.Conn, config *tls.Config) *secured {
	return &secured{Conn: tls.Server(inner, config), plain: inner}
}

// Read reads. A handshake that failed is the end of what the client says.
func (s *secured) Read(p []byte) (int, error) {
	err := s.Handshake()
	if err == nil {
		return s.Conn.Read(p)
	}
	var other tls.RecordHeaderError
	if errors.As(err, &other) && other.Conn != nil && beginsHTTP(other.RecordHeader) {
		s.explain()
	}
	return 0, io.EOF
}

// beginsHTTP tells whether the first bytes of a connection are those of a request.
func beginsHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "DELET", "OPTIO", "PATCH", "CONNE", "TRACE":
		return true
	}
	return false
}

// explain tells a client that speaks plain HTTP what is spoken here, and takes in some
// more of what it says, so that the answer arrives.
func (s *secured) explain() {
	_ = s.plain.SetWriteDeadline(time.Now().Add(lingerTime))
	if _, err := s.plain.Write(wireError(400, fault.New(fault.Invalid, "tls_required", "This server speaks HTTPS: call it by an address that begins with https://"))); err != nil {
		return
	}
	if half, ok := s.plain.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = s.plain.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, s.plain, lingerBytes)
	}
}

// wireError is an error as a whole answer that ends the connection, for where there is
// no request to answer.
func wireError(status int, f *fault.Error) []byte {
	body := appendError(nil, f)
	text := map[int]string{400: "Bad Request", 503: "Service Unavailable"}[status]
	head := "HTTP/1.1 " + strconv.Itoa(status) + " " + text + "\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	return append([]byte(head), body...)
}
