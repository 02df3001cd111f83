package api

import (
	"crypto/sha256"
	"time"

	"leat/internal/fault"
)

// defaultRevokedGrace is for how long an answer that stays open may go on to be taken
// after its token was revoked. The client gets the error in it, if it reads.
const defaultRevokedGrace = 2 * time.Second

// credentials are the tokens of a time.
type credentials struct {
	Tokens
	replaced chan struct{} // closed once others took their place
}

func newCredentials(tokens Tokens) *credentials {
	return &credentials{Tokens: tokens, replaced: make(chan struct{})}
}

// SetTokens replaces the tokens, all at once. Calls that begin later need one of the
// new ones. An answer that stays open, and a long poll, goes on where the new tokens
// allow it with the token it came with; the others end with the error Unauthorized
// "unauthorized" or Forbidden "forbidden", after two seconds at the latest also where
// the client does not read. A server that has tokens does not give up the last one:
// that would open it to everybody, and is Invalid "invalid_tokens". It is safe for
// concurrent use.
func (s *Server) SetTokens(tokens Tokens) error {
	if s.dev {
		tokens = tokens.with("dev")
	}
	s.replacing.Lock()
	defer s.replacing.Unlock()
	old, fresh := s.credentials.Load(), newCredentials(tokens)
	if tokens.Empty() && !old.Empty() {
		return fault.New(fault.Invalid, "invalid_tokens", "there are no tokens any more, which would open the server to everybody")
	}
	s.credentials.Store(fresh)
	close(old.replaced)
	if l := s.guarded.Load(); l != nil {
		l.revoke(fresh, s.revokedGrace)
	}
	return nil
}

// pass is what let in a call whose answer takes long: it is looked at again when the
// tokens are replaced. Only the call's own goroutine changes it.
type pass struct {
	server *Server
	seen   *credentials // those it is good for
	permit permit
}

// permit is the part of a pass that does not change.
type permit struct {
	digest [sha256.Size]byte
	scopes Scope
	check  func([]grant) error // what the call asks of the grants besides the scopes
}

// pass makes the pass of a call that was let in.
func (c *call) pass(scopes Scope, check func([]grant) error) *pass {
	secret := bearer(c.request.Request.Header.Peek("Authorization"))
	return &pass{server: c.server, seen: c.credentials, permit: permit{sha256.Sum256(secret), scopes, check}}
}

// forTopic asks that the grants cover a topic.
func forTopic(scopes Scope, topic string) func([]grant) error {
	return func(grants []grant) error {
		if !allows(grants, scopes, topic) {
			return forbidden(scopes, topic)
		}
		return nil
	}
}

// under tells why the call would not be let in with other tokens, nil where it would.
func (p *permit) under(c *credentials) error {
	if c.Empty() {
		return nil
	}
	grants, ok := c.grantsOf(p.digest)
	if !ok {
		return unauthorized()
	}
	if !covers(grants, p.scopes) {
		return forbidden(p.scopes, "")
	}
	return p.check(grants)
}

// renew looks at the tokens of now.
func (p *pass) renew() error {
	current := p.server.credentials.Load()
	if current == p.seen {
		return nil
	}
	if err := p.permit.under(current); err != nil {
		return err
	}
	p.seen = current
	return nil
}
