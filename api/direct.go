package api

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

// direct answers the calls of the table that clients make for single records and
// single keys without the router: it costs as much as reading the request. Whatever is not
// plainly one of these calls goes to the router, which decides.
func (s *Server) direct(router fasthttp.RequestHandler) fasthttp.RequestHandler {
	type shortcut struct {
		method   string
		segments []string
		serve    func(*fasthttp.RequestCtx, pathValues)
	}
	var shortcuts []shortcut
	for _, r := range routes() {
		if r.scope != ScopeProduce && r.path != "/kv/:namespace/*" {
			continue
		}
		serve := s.serving(r)
		shortcuts = append(shortcuts, shortcut{r.method, strings.Split(r.path, "/"),
			func(c *fasthttp.RequestCtx, path pathValues) { serve(c, nil, path) }})
	}
	return func(c *fasthttp.RequestCtx) {
		method, path := c.Method(), c.Request.Header.RequestURI()
		if end := bytes.IndexByte(path, '?'); end >= 0 {
			path = path[:end]
		}
		for i := range shortcuts {
			known := &shortcuts[i]
			if string(method) != known.method {
				continue
			}
			if values, ok := matchPath(known.segments, path); ok {
				known.serve(c, values)
				return
			}
		}
		router(c)
	}
}

// pathValues are the parts of a path that stand for something, as they were sent.
// The bytes belong to the request.
type pathValues struct {
	names  [2]string
	values [2][]byte
	count  int
}

// matchPath matches a path with the segments of a route, ":name" for any text but
// none, "*" at the end for all the rest but none. What it does not match may yet be a
// match for the router: a path with a fragment, or in absolute form, or one that ends
// with "/meta".
func matchPath(segments []string, path []byte) (v pathValues, ok bool) {
	if bytes.IndexByte(path, '#') >= 0 {
		return v, false
	}
	for i, want := range segments {
		if want == "*" {
			if len(path) == 0 || bytes.HasSuffix(path, []byte("/meta")) {
				return v, false
			}
			v.names[v.count], v.values[v.count] = want, path
			v.count++
			return v, true
		}
		part, rest, more := bytes.Cut(path, []byte{'/'})
		if more == (i == len(segments)-1) {
			return v, false
		}
		name, variable := strings.CutPrefix(want, ":")
		switch {
		case !variable && string(part) != want, variable && len(part) == 0, variable && v.count == len(v.names):
			return v, false
		case variable:
			v.names[v.count], v.values[v.count] = name, part
			v.count++
		}
		path = rest
	}
	return v, true
}

// raw is a value as it was sent, nil where there is none. The bytes belong to the
// request.
func (v *pathValues) raw(name string) []byte {
	for i := range v.count {
		if v.names[i] == name {
			return v.values[i]
		}
	}
	return nil
}

// text decodes a value, once. The result is a copy.
func (v *pathValues) text(name string) (string, bool) {
	return unescapeCopy(v.raw(name))
}

func unescapeCopy(b []byte) (string, bool) {
	if bytes.IndexByte(b, '%') < 0 {
		return string(b), true
	}
	return unescapePath(string(b))
}
