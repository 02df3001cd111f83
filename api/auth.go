package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"strconv"
	"strings"

	"leat/internal/fault"
)

// Scope is a set of rights. Admin includes the others.
type Scope uint8

// The scopes of a token.
const (
	ScopeAdmin Scope = 1 << iota
	ScopeProduce
	ScopeConsume
	ScopeKV
	ScopeQuery

	scopeAll = ScopeAdmin | ScopeProduce | ScopeConsume | ScopeKV | ScopeQuery
)

// String names the scopes, joined by " or ".
func (s Scope) String() string {
	var names []string
	for i, name := range scopeNames() {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// scopeNames are the words of the scopes, in the order of their bits.
func scopeNames() []string { return []string{"admin", "produce", "consume", "kv", "query"} }

// Tokens are the credentials a server knows, as digests only. The zero Tokens
// knows none. It is immutable.
type Tokens struct{ list []token }

type token struct {
	digest [sha256.Size]byte
	grants []grant
}

// grant is a scope over the topics with a prefix.
type grant struct {
	scope  Scope
	prefix string
}

// ParseTokens reads token1@scope+scope=prefix:token2:… Scopes are admin, produce,
// consume, kv and query, each over all topics or those with a prefix. A token
// without @ may do everything, as may one with the literal word "scope", which is
// worth a warning. Errors and warnings name a token by its position only.
func ParseTokens(text string) (tokens Tokens, warnings []string, err error) {
	if text == "" {
		return Tokens{}, nil, nil
	}
	for i, part := range strings.Split(text, ":") {
		secret, scopes, limited := strings.Cut(part, "@")
		if secret == "" {
			return Tokens{}, nil, fault.New(fault.Invalid, "invalid_tokens", "token %d is empty", i+1)
		}
		t := token{digest: sha256.Sum256([]byte(secret))}
		if tokens.knows(t.digest) {
			return Tokens{}, nil, fault.New(fault.Invalid, "invalid_tokens", "token %d is the same as one before it", i+1)
		}
		if !limited {
			t.grants = []grant{{scope: scopeAll}}
		} else if t.grants, err = parseGrants(scopes, i+1); err != nil {
			return Tokens{}, nil, err
		}
		if limited && strings.Contains("+"+scopes+"+", "+scope+") {
			warnings = append(warnings, "token "+strconv.Itoa(i+1)+` has the scope "scope", a placeholder: it may do everything`)
		}
		tokens.list = append(tokens.list, t)
	}
	return tokens, warnings, nil
}

func parseGrants(text string, position int) ([]grant, error) {
	var grants []grant
	for _, part := range strings.Split(text, "+") {
		word, prefix, _ := strings.Cut(part, "=")
		if word == "scope" {
			grants = append(grants, grant{scope: scopeAll, prefix: prefix})
			continue
		}
		i := indexOf(scopeNames(), word)
		if i < 0 {
			return nil, fault.New(fault.Invalid, "invalid_tokens", "token %d has the unknown scope %q; known are %s",
				position, word, strings.Join(scopeNames(), ", "))
		}
		scope := Scope(1) << i
		if scope == ScopeAdmin {
			scope = scopeAll
		}
		grants = append(grants, grant{scope: scope, prefix: prefix})
	}
	return grants, nil
}

// Empty tells whether no token is known.
func (t Tokens) Empty() bool { return len(t.list) == 0 }

// with adds a token that may do everything.
func (t Tokens) with(secret string) Tokens {
	all := token{digest: sha256.Sum256([]byte(secret)), grants: []grant{{scope: scopeAll}}}
	return Tokens{list: append(append([]token(nil), t.list...), all)}
}

func (t Tokens) knows(digest [sha256.Size]byte) bool {
	for i := range t.list {
		if t.list[i].digest == digest {
			return true
		}
	}
	return false
}

// find returns the grants of the token presented. It takes the same time whether
// and where it is found.
func (t Tokens) find(secret []byte) ([]grant, bool) { return t.grantsOf(sha256.Sum256(secret)) }

// grantsOf is find of a token's digest.
func (t Tokens) grantsOf(digest [sha256.Size]byte) ([]grant, bool) {
	found := -1
	for i := range t.list {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], t.list[i].digest[:]), i, found)
	}
	if found < 0 {
		return nil, false
	}
	return t.list[found].grants, true
}

// bearer takes the token out of an Authorization header, nil where there is none.
func bearer(header []byte) []byte {
	const scheme = "bearer "
	if len(header) <= len(scheme) || !strings.EqualFold(string(header[:len(scheme)]), scheme) {
		return nil
	}
	return trimSpace(header[len(scheme):])
}

// allows tells whether grants cover one of the scopes for a topic.
func allows(grants []grant, scopes Scope, topic string) bool {
	for _, g := range grants {
		if g.scope&scopes != 0 && strings.HasPrefix(topic, g.prefix) {
			return true
		}
	}
	return false
}

// limited tells whether grants cover one of the scopes for some topics only.
func limited(grants []grant, scopes Scope) bool { return !allows(grants, scopes, "") }

// wholeAdmin refuses a token that is an admin of some topics only, for what concerns all.
func (c *call) wholeAdmin() error {
	if limited(c.grants, ScopeAdmin) {
		return forbidden(ScopeAdmin, "*")
	}
	return nil
}

// covers tells whether grants have one of the scopes at all.
func covers(grants []grant, scopes Scope) bool {
	for _, g := range grants {
		if g.scope&scopes != 0 {
			return true
		}
	}
	return false
}

func unauthorized() *fault.Error {
	return fault.New(fault.Unauthorized, "unauthorized", "A valid token is required: Authorization: Bearer TOKEN")
}

func forbidden(scopes Scope, topic string) *fault.Error {
	f := fault.New(fault.Forbidden, "forbidden", "The token lacks the scope %s", scopes)
	if topic != "" {
		f = fault.New(fault.Forbidden, "forbidden", "The token lacks the scope %s for topic %q", scopes, topic)
	}
	return f.With("scope", scopes.String())
}

// CheckBind refuses to serve on an address that others can reach without tokens of
// one's own. address is host:port; a host that is not a literal address of this
// machine alone, or "localhost", counts as reachable.
func CheckBind(address string, tokens Tokens, dev bool) error {
	if loopback(address) || !tokens.Empty() && !dev {
		return nil
	}
	reason := "no tokens are configured"
	if dev {
		reason = "--dev uses a token everybody knows"
	}
	return fault.New(fault.Invalid, "insecure_bind",
		"refusing to listen on %s: %s. Listen on 127.0.0.1, or set RF_BEARER_TOKENS (without --dev), for example RF_BEARER_TOKENS=\"$(openssl rand -hex 32)\"",
		address, reason)
}

// loopback tells whether host or host:port is an address of this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
