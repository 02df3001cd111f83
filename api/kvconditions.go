package api

import (
	"strconv"
	"strings"
)

// conditions are what a call for a document asks of its present state.
type conditions struct {
	cas       int64 // -1 = not given, 0 = there is none
	match     tags  // If-Match
	noneMatch tags  // If-None-Match
}

func (w conditions) headers() bool { return w.match.given || w.noneMatch.given }

// conditions reads the parameter and the headers.
func (c *call) conditions() (w conditions, err error) {
	if w.cas, err = c.casOf(); err != nil {
		return w, err
	}
	header := &c.request.Request.Header
	if w.match, err = parseTags("If-Match", string(header.Peek("If-Match")), false); err != nil {
		return w, err
	}
	w.noneMatch, err = parseTags("If-None-Match", string(header.Peek("If-None-Match")), true)
	return w, err
}

// tags is the list of entity tags of a header.
type tags struct {
	given    bool
	any      bool     // "*"
	versions []uint64 // those that could be of a document
}

// holds tells whether a version, 0 = no document, is among the tags, or where
// want is false, is not. It holds where no tags are given.
func (t tags) holds(version uint64, want bool) bool {
	if !t.given {
		return true
	}
	found := t.any && version > 0
	for _, v := range t.versions {
		found = found || v == version && version > 0
	}
	return found == want
}

func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }

// parseTags reads a list of entity tags (RFC 9110, section 8.8.3). A weak tag counts
// where weak is set and is passed over where not.
func parseTags(name, text string, weak bool) (t tags, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return t, nil
	}
	t.given = true
	if text == "*" {
		t.any = true
		return t, nil
	}
	for text != "" {
		rest, isWeak := strings.CutPrefix(text, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return t, invalidParameter(name, `has to be * or tags like "7", not %q`, clip(text))
		}
		tag, after, closed := strings.Cut(rest[1:], `"`)
		after = strings.TrimLeft(after, " \t")
		following, more := strings.CutPrefix(after, ",")
		if !closed || after != "" && !more {
			return t, invalidParameter(name, `has to be * or tags like "7", not %q`, clip(text))
		}
		if version, err := strconv.ParseUint(tag, 10, 64); err == nil && (weak || !isWeak) {
			t.versions = append(t.versions, version)
		}
		text = strings.TrimLeft(following, " \t,")
	}
	return t, nil
}
