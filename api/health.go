package api

import (
	"html"
	"net/http"
	"strings"

	"leat/internal/fault"
)

// health tells that the process answers. It depends on nothing.
func (c *call) health() error {
	return c.send(http.StatusOK, typeJSON, append(c.out(), `{"ok":true}`...))
}

// ready tells whether the node can serve, and why not.
func (c *call) ready() error {
	err := c.server.readiness.Ready()
	if err == nil && !c.server.stopped() {
		return c.send(http.StatusOK, typeJSON, append(c.out(), `{"ready":true}`...))
	}
	f := shuttingDown()
	if err != nil {
		f = fault.New(fault.Unavailable, "not_ready", "%s", err.Error())
	}
	return f.With("ready", false)
}

// home is the page that leads to everything else.
func (c *call) home() error {
	var b strings.Builder
	b.WriteString("<!doctype html><meta charset=utf-8><title>Leat</title><h1>Leat</h1><ul>")
	for _, r := range routes() {
		text := html.EscapeString(r.method + " " + r.pattern())
		if r.method == "GET" && !strings.Contains(r.path, ":") {
			text = `<a href="` + html.EscapeString(r.path) + `">` + text + `</a>`
		}
		b.WriteString("<li>" + text + " – " + html.EscapeString(r.summary))
	}
	b.WriteString("</ul>\n")
	return c.sendPage(b.String())
}

// sendPage answers with HTML that may do nothing.
func (c *call) sendPage(page string) error {
	c.http.Context().Response.Header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	return c.send(http.StatusOK, "text/html; charset=utf-8", append(c.out(), page...))
}

// errorIndex lists the error codes.
func (c *call) errorIndex() error {
	return c.send(http.StatusOK, typeText, append(c.out(), errorIndex()...))
}

// errorPage explains one error code.
func (c *call) errorPage() error {
	code, _ := c.text("code")
	for _, e := range errorTable() {
		if e.Code == code {
			return c.send(http.StatusOK, typeText, append(c.out(), errorPage(e)...))
		}
	}
	return fault.New(fault.NotFound, "not_found", "There is no error code %q", clip(code))
}
