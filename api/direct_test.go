package api

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestMatchPath(t *testing.T) {
	t.Parallel()
	segments := strings.Split("/broker/topics/:topic/produce", "/")
	for path, want := range map[string]string{
		"/broker/topics/t/produce": "t", "/broker/topics/a%2Fb/produce": "a/b", "/broker/topics/%/produce": "refused",
		"/broker/topics//produce": "", "/broker/topics/t/produce/": "", "/broker/topics/t/produce-ndjson": "",
		"/broker/topics/t": "", "/broker/topics/t/x/produce": "", "broker/topics/t/produce": "", "/Broker/topics/t/produce": "",
		"/broker/topics/t/produce#x": "", "http://h/broker/topics/t/produce": "", "": "", "/": "",
	} {
		v, ok := matchPath(segments, []byte(path))
		if ok != (want != "") {
			t.Errorf("%q: matched %v", path, ok)
			continue
		}
		if got, valid := v.text("topic"); ok && got != want && (valid || want != "refused") {
			t.Errorf("%q: %q", path, got)
		}
	}
}

// A call answers the same whether it is found in front of the router or by it.
func TestDirectCallsAnswerAsRoutedOnes(t *testing.T) {
	t.Parallel()
	one, other := withTopic(t, nil), withTopic(t, nil)
	routed := one.server.app.Handler()
	direct := other.server.direct(other.server.app.Handler())
	for _, call := range []struct{ method, path, body string }{
		{"POST", "/broker/topics/t/produce?partition=1", "a"},
		{"POST", "/broker/topics/t/produce?partition=1&key=k&timing=0", ""},
		{"POST", "/broker/topics/%74/produce?partition=1#fragment", "b"},
		{"POST", "/broker/topics/t/produce-ndjson?partition=2", "a\nb\n"},
		{"POST", "/broker/topics/t/produce-ndjson?partition=2", ""},
		{"POST", "/broker/topics/t/produce?partition=9", "a"},
		{"POST", "/broker/topics/t/produce?nothing=1", "a"},
		{"POST", "/broker/topics/none/produce", "a"},
		{"POST", "/broker/topics/%zz/produce", "a"},
		{"POST", "/broker/topics/..%2Ft/produce", "a"},
		{"POST", "/broker/topics//produce", "a"},
		{"POST", "/broker/topics/t/produce/", "a"},
		{"POST", "/Broker/topics/t/produce", "a"},
		{"GET", "/broker/topics/t/produce", ""},
		{"GET", "/kv/app/k", ""},
		{"POST", "/kv/app/k?cas=0", "a"},
		{"POST", "/kv/app/k", "b"},
		{"GET", "/kv/app/k?stale=1", ""},
		{"GET", "/kv/app/k?nothing=1", ""},
		{"HEAD", "/kv/app/k", ""},
		{"GET", "/kv/app/k/meta", ""},
		{"GET", "/kv/app/meta", ""},
		{"POST", "/kv/app/k/meta", "c"},
		{"POST", "/kv/app/%6D/%2e%2F//x/", "d"},
		{"GET", "/kv/app/m/.///x/", ""},
		{"POST", "/kv/app/a//b/", "e"},
		{"GET", "/kv/app/a%2F/b/", ""},
		{"GET", "/kv/app/a/../b", ""},
		{"GET", "/kv/app/%zz", ""},
		{"GET", "/kv/app/", ""},
		{"GET", "/kv/app", ""},
		{"GET", "/kv//k", ""},
		{"GET", "/kv/%61pp/k#x", ""},
		{"GET", "/kv/a%20b/k", ""},
		{"PUT", "/kv/app/k", "f"},
		{"DELETE", "/kv/app/k?cas=9", ""},
		{"DELETE", "/kv/app/k", ""},
		{"GET", "/kv/app/k", ""},
	} {
		answer := func(handler fasthttp.RequestHandler) string {
			var c fasthttp.RequestCtx
			c.Request.Header.SetMethod(call.method)
			c.Request.SetRequestURI(call.path)
			c.Request.SetBodyStream(strings.NewReader(call.body), len(call.body))
			handler(&c)
			head, rest, _ := strings.Cut(c.Response.String(), "Date: ")
			_, rest, _ = strings.Cut(rest, "\r\n") // a second may pass between the two
			return head + rest
		}
		if a, b := answer(routed), answer(direct); a != b {
			t.Errorf("%s %s:\nrouted: %s\ndirect: %s", call.method, call.path, a, b)
		}
	}
}
