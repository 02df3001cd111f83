package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestQueryLifecycle(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, verb := range []string{"pause", "resume", "restart"} {
		s.wantError(404, "unknown_query", "POST", "/queries/q/"+verb, "")
		s.wantError(405, "method_not_allowed", "GET", "/queries/q/"+verb, "")
	}
	const done = `{"ok":true,"name":"q"}`
	s.want(201, "", "POST", "/queries", spec)
	for _, step := range []struct{ verb, state string }{
		{"pause", "paused"}, {"pause", "paused"}, {"resume", "running"}, {"resume", "running"}, {"pause", "paused"}, {"restart", "running"},
	} {
		s.want(200, done, "POST", "/queries/q/"+step.verb, "")
		if a := s.do("GET", "/queries/q", http.NoBody); !strings.Contains(a.body, `"state":"`+step.state+`"`) {
			t.Errorf("after %s: %s", step.verb, a.body)
		}
	}
}

func TestPutQuery(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	const answer = `{"ok":true,"name":"q","warnings":[]}`
	s.want(201, answer, "PUT", "/queries/q", spec)
	s.want(200, answer, "PUT", "/queries/q", spec)
	s.wantError(409, "query_exists", "PUT", "/queries/q", strings.Replace(spec, "{", `{"filter":"x > 1",`, 1))
	s.wantError(400, "invalid_query", "PUT", "/queries/other", spec)
	s.wantError(400, "invalid_query", "PUT", "/queries/q", `{"source":{"topic":"in"}}`)
	s.wantError(400, "invalid_query_name", "PUT", "/queries/a%20b", spec)
}

func TestPreview(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	const head = `{"ok":true,"rows":[{"flight":"UA1545","dep_delay":42}],"counts":{"filtered":1,"in":2,"out":1,"used":1},"truncated":`
	s.want(200, head+`false}`, "POST", "/queries/preview", spec)
	s.want(200, head+`true}`, "POST", "/queries/preview?records=1&limit=1", spec)
	s.wantError(400, "invalid_query", "POST", "/queries/preview", `{}`)
	s.wantError(400, "invalid_parameter", "POST", "/queries/preview?records=10001", spec)
	s.wantError(404, "unknown_query", "GET", "/queries/preview", "")
}

// Who follows a query that is started anew does not mistake new rows for old ones.
func TestFollowRestart(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.want(201, "", "POST", "/queries", spec)
	addRows(s, `1`)
	_, lines := s.open("/queries/q/results?follow=1")
	next := func() string { return line(t, lines) }
	wantLines(t, next, `{"meta":{"query":"q","next_offset":0}}`, `{"offset":0,"row":1}`)
	s.want(200, "", "POST", "/queries/q/restart", "")
	if last := next(); !strings.Contains(last, `"error":"query_restarted"`) {
		t.Errorf("the last line is %q", last)
	}
}
