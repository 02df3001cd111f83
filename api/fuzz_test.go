package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"leat/codecs/registry"
)

// FuzzRequest gives the server requests of any bytes. Whatever they are, the answer
// is one that the document of the interface knows: never a 500, and every refusal in
// the one form with a code and status of the table, or in that of the schema registry.
func FuzzRequest(f *testing.F) {
	for _, seed := range requestSeeds() {
		f.Add([]byte(seed))
	}
	documents := newFakeDocuments()
	topics := newFakeTopics(f)
	server, err := New(Config{
		Topics: topics, Documents: documents, Trimming: topics, Cluster: fakeCluster{documents}, Queries: newFakeQueries(),
		Schemas: registry.New(documents, registry.Limits{}), Readiness: &fakeReadiness{}, Clock: clockAt(fakeNowMs), URL: "http://127.0.0.1:1109",
		Limits: Limits{Partitions: 4, RecordBytes: 1 << 10, BodyBytes: 4 << 10, LongPoll: time.Millisecond},
	})
	if err != nil {
		f.Fatal(err)
	}
	statuses := make(map[string]string)
	for _, line := range errorTable() {
		statuses[line.Code] = line.Status
	}
	router := server.app.Handler()
	server.app.Server().Handler = router
	route := server.direct(router)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var c fasthttp.RequestCtx
		c.Init(&fasthttp.Request{}, nil, nil)
		in := bufio.NewReaderSize(bytes.NewReader(raw), headerBytes)
		if c.Request.Header.Read(in) != nil || c.Request.ContinueReadBodyStream(in, server.limits.BodyBytes, false) != nil {
			return
		}
		server.entry(&c, route)
		status, body := c.Response.StatusCode(), ""
		if c.Response.IsBodyStream() {
			_ = c.Response.CloseBodyStream() // a stream ends when its client goes
		} else {
			body = string(c.Response.Body())
		}
		if status < http.StatusBadRequest {
			return
		}
		var m map[string]any
		err := json.Unmarshal([]byte(body), &m)
		if number, schema := m["error_code"].(float64); err == nil && schema && m["message"] != "" && refusedAs(int(number), status) {
			return
		}
		if err != nil || m["ok"] != false || m["message"] == "" {
			t.Fatalf("%q: %d %q", raw, status, body)
		}
		code, _ := m["error"].(string)
		if status == fiber.StatusInternalServerError || !strings.Contains(statuses[code], strconv.Itoa(status)) {
			t.Fatalf("%q: %d %q", raw, status, body)
		}
	})
}

// requestSeeds are requests of each kind.
func requestSeeds() []string {
	return []string{
		"POST /broker/topics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 27\r\n\r\n{\"name\":\"t\",\"partitions\":2}",
		"GET /broker/topics/t HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /broker/topics/t/produce?partition=0&key=%41&idempotency_key=k&timeout_ms=1&timing=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi",
		"POST /broker/topics/t/produce?mode=rocket&acks=async HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		"POST /broker/topics/t/produce-ndjson?partition=1 HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\nContent-Length: 16\r\n\r\n{\"a\":1}\r\n\"text\"\n\n",
		"GET /broker/consume/t/g/0?offset=0&limit=10&encoding=b64&wait_ms=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /broker/commit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 48\r\n\r\n{\"topic\":\"t\",\"group\":\"g\",\"partition\":0,\"offset\":1}",
		"POST /broker/delete-before HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\n{\"topic\":\"t\",\"partition\":0,\"before_offset\":1}",
		"POST /broker/retention HTTP/1.1\r\nHost: localhost\r\nContent-Length: 45\r\n\r\n{\"topic\":\"*\",\"ttl_ms\":1000,\"max_bytes\":100000}",
		"GET /broker/stream/t/0?offset=0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: 0\r\n\r\n",
		"POST /kv/app/a/b%2Fc?cas=0&ttl_ms=1000 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nv",
		"GET /kv/app/a/b%2Fc HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"1\", W/\"2\"\r\n\r\n",
		"GET /kv/app/a/b%2Fc/meta?stale=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"DELETE /kv/app/a?cas=1 HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\n\r\n",
		"GET /kv/app?prefix=a&limit=5&after=a HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /kv/app?watch=1&after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /broker/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 123\r\n\r\n{\"source\":{\"topic\":\"t\",\"partition\":0,\"offset\":0},\"filter\":[{\"field\":\"a\",\"op\":\"eq\",\"value\":1}],\"aggregate\":{\"group_by\":[\"a\"]}}",
		"POST /broker/join HTTP/1.1\r\nHost: localhost\r\nContent-Length: 112\r\n\r\n{\"left\":{\"topic\":\"t\",\"partition\":0},\"right\":{\"topic\":\"t\",\"partition\":0},\"on\":{\"left_key\":\"a\",\"right_key\":\"a\"}}     ",
		"GET /queries/q/results?offset=0&follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /metrics_ha HTTP/1.1\r\nHost: 127.0.0.1:1109\r\nOrigin: http://127.0.0.1:1109\r\nAuthorization: Bearer x\r\n\r\n",
		"HEAD /docs/errors/missing_topic HTTP/1.0\r\n\r\n",
		"POST /subjects/t-value/versions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{\"schema\":\"\\\"int\\\"\"}",
		"GET /subjects/a%2Fb/versions/latest?deleted=true HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"PUT /config/t-value HTTP/1.1\r\nHost: localhost\r\nContent-Length: 24\r\n\r\n{\"compatibility\":\"FULL\"}",
	}
}

// refusedAs reports whether a number of the schema registry stands for a client's error
// of that status.
func refusedAs(number, status int) bool {
	return number/100 == status || number == status && status < http.StatusInternalServerError
}
