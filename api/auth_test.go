package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func tokens(t testing.TB, text string) Tokens {
	t.Helper()
	tokens, warnings, err := ParseTokens(text)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%v %q", err, warnings)
	}
	return tokens
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) {
		c.Tokens = tokens(t, "root:writer@produce=log.:reader@consume=log.+consume=aux:asker@query=log.")
	})
	for _, name := range []string{"log.a", "log.b", "aux", "other"} {
		s.want(200, "", "POST", "/broker/topics", `{"name":"`+name+`"}`, "Authorization: Bearer root")
	}
	var first string
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic root", "root", "Bearer root2", "Bearer ROOT", "Bearer " + strings.Repeat("a", 6000)} {
		a := s.do("GET", "/broker/topics", http.NoBody, "Authorization: "+header)
		checkError(t, a, 401, "unauthorized", header)
		if first == "" {
			first = a.body
		}
		if a.body != first || a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%.20q: another body: %s", header, a.body)
		}
	}
	for _, c := range []struct {
		token, method, path string
		status              int
	}{
		{"writer", "POST", "/broker/topics/log.a/produce", 200},
		{"writer", "POST", "/broker/topics/other/produce", 403},
		{"writer", "POST", "/broker/topics/unknown/produce", 403},
		{"writer", "GET", "/broker/consume/log.a/g/0", 403},
		{"writer", "DELETE", "/broker/topics/log.a", 403},
		{"writer", "GET", "/queries", 403},
		{"reader", "GET", "/broker/consume/log.a/g/0", 200},
		{"reader", "GET", "/broker/consume/aux/g/0", 200},
		{"reader", "GET", "/broker/consume/other/g/0", 403},
		{"reader", "POST", "/broker/topics/log.a/produce", 403},
		{"reader", "GET", "/broker/topics/other", 403},
		{"root", "GET", "/broker/consume/other/g/0", 200},
		{"ROOT", "GET", "/health", 200},
	} {
		a := s.do(c.method, c.path, strings.NewReader("x"), "Authorization: bearer "+c.token)
		if a.status != c.status {
			t.Errorf("%s %s %s: %d %s", c.token, c.method, c.path, a.status, a.body)
		}
		if c.status == 403 && a.json(t)["scope"] == nil {
			t.Errorf("%s: the scope is not named: %s", c.path, a.body)
		}
	}
	for token, want := range map[string]string{"writer": "log.a log.b", "reader": "aux log.a log.b", "root": "aux log.a log.b other"} {
		var names []string
		for _, topic := range s.do("GET", "/broker/topics", http.NoBody, "Authorization: Bearer "+token).json(t)["topics"].([]any) {
			names = append(names, topic.(map[string]any)["topic"].(string))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s sees %q, want %q", token, got, want)
		}
	}
}

func TestQueryScope(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Tokens = tokens(t, "root:asker@query=log.") })
	const asker = "Authorization: Bearer asker"
	s.want(201, "", "POST", "/queries", `{"name":"mine","source":{"topic":"log.a"}}`, asker)
	s.want(201, "", "POST", "/queries", `{"name":"theirs","source":{"topic":"other"}}`, "Authorization: Bearer root")
	s.wantError(403, "forbidden", "POST", "/queries", `{"name":"x","source":{"topic":"other"}}`, asker)
	s.wantError(403, "forbidden", "POST", "/queries", `{"name":"x","source":{"topic":"log.a"},"sink":{"topic":"other"}}`, asker)
	s.wantError(403, "forbidden", "POST", "/queries", `{"name":"x","source":{"topic":"log.a"},"sink":{"kv":"other","key":"k"}}`, asker)
	s.want(201, "", "POST", "/queries", `{"name":"kept","source":{"topic":"log.a"},"sink":{"kv":"log.a","key":"k"}}`, asker)
	s.want(200, "", "DELETE", "/queries/kept", "", asker)
	s.wantError(403, "forbidden", "POST", "/queries/validate", `{"name":"x","join":{"left":{"topic":"log.a"},"right":{"topic":"other"}}}`, asker)
	s.wantError(403, "forbidden", "POST", "/queries", `not JSON`, asker)
	for _, path := range []string{"", "/results", "/plan", "/late", "/dead-letters", "/view?key=k", "/results?follow=1"} {
		s.wantError(403, "forbidden", "GET", "/queries/theirs"+path, "", asker)
	}
	s.wantError(403, "forbidden", "DELETE", "/queries/theirs", "", asker)
	if list := s.do("GET", "/queries", http.NoBody, asker).json(t)["queries"].([]any); len(list) != 1 {
		t.Errorf("sees %v", list)
	}
}

func TestOpenServerTrustsNoWebPage(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.wantError(403, "cross_origin", "POST", "/broker/topics", `{"name":"t"}`, "Origin: https://evil.example")
	s.want(200, "", "POST", "/broker/topics", `{"name":"t"}`, "Origin: http://"+s.address)
	got := s.raw("GET /broker/topics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
	refused(t, "a rebound name", got, 403, "cross_origin")
	s.want(200, "", "GET", "/broker/topics", "", "Authorization: Bearer anything") // open: any token is ignored
}

func TestParseTokens(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a@producer": "unknown scope", "a@": "unknown scope", ":": "empty", "a:": "empty", "a:a": "same", "@admin": "empty", "a@admin+": "unknown scope",
	} {
		_, _, err := ParseTokens(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	_, _, err := ParseTokens("s3cret@nope")
	if strings.Contains(fmt.Sprint(err), "s3cret") || !strings.Contains(fmt.Sprint(err), "admin, produce, consume, kv, query") {
		t.Errorf("the message gives the token away, or does not name the scopes: %v", err)
	}
	parsed, warnings, err := ParseTokens("token1@scope:token2")
	if err != nil || len(warnings) != 1 || parsed.Empty() {
		t.Errorf("%v %q", err, warnings)
	}
	if grants, ok := parsed.find([]byte("token1")); !ok || !allows(grants, ScopeAdmin, "x") {
		t.Error("the placeholder scope is not everything")
	}
	if _, ok := parsed.find([]byte("token1@scope")); ok {
		t.Error("the scopes are taken for a part of the token")
	}
}

func TestCheckBind(t *testing.T) {
	t.Parallel()
	some := tokens(t, "a")
	for _, c := range []struct {
		address string
		tokens  Tokens
		dev, ok bool
	}{
		{"127.0.0.1:1109", Tokens{}, false, true}, {"[::1]:1109", Tokens{}, true, true}, {"localhost:1109", Tokens{}, false, true},
		{"127.9.9.9:1", Tokens{}, false, true}, {":1109", Tokens{}, false, false}, {"0.0.0.0:1109", Tokens{}, false, false},
		{"[::]:1109", Tokens{}, false, false}, {"10.0.0.1:1109", Tokens{}, false, false}, {"localhost.evil.example:1", Tokens{}, false, false},
		{"10.0.0.1:1109", some, false, true}, {"10.0.0.1:1109", some, true, false},
	} {
		if err := CheckBind(c.address, c.tokens, c.dev); (err == nil) != c.ok {
			t.Errorf("%s, dev %v: %v", c.address, c.dev, err)
		}
	}
}
