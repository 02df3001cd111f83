package api

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"leat/codecs/registry"
	"leat/internal/bus"
	"leat/log"
)

// noTopics answers appends at once and has one topic.
type noTopics struct{ Topics }

func (noTopics) Topic(string) (bus.Topic, bool) { return bus.Topic{Name: "t", Partitions: 8}, true }
func (noTopics) Append(context.Context, bus.Append) (bus.Appended, error) {
	return bus.Appended{Partition: 3, Base: 1 << 40, Count: 1, BatchID: 1 << 41}, nil
}

// run drives a handler in process, without sockets.
func run(b *testing.B, handler fasthttp.RequestHandler, path, body, token string) {
	var c fasthttp.RequestCtx
	reader := bytes.NewReader([]byte(body))
	b.ReportAllocs()
	for b.Loop() {
		c.Request.Reset()
		c.Response.Reset()
		c.Request.Header.SetMethod("POST")
		c.Request.SetRequestURI(path)
		c.Request.Header.Set("Authorization", "Bearer "+token)
		reader.Reset([]byte(body))
		c.Request.SetBodyStream(reader, len(body))
		handler(&c)
	}
	if c.Response.StatusCode() != 200 {
		b.Fatalf("%d %s", c.Response.StatusCode(), c.Response.Body())
	}
}

func BenchmarkNoOpFiber(b *testing.B) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/broker/topics/:topic/produce", func(c *fiber.Ctx) error { return c.SendString(`{"ok":true}`) })
	run(b, app.Handler(), "/broker/topics/t/produce?partition=3", strings.Repeat("x", 64), "dev")
}

func BenchmarkProduce(b *testing.B) {
	docs := newFakeDocuments()
	s, err := New(Config{
		Topics: noTopics{}, Documents: docs, Trimming: &fakeTopics{}, Cluster: fakeCluster{docs},
		Queries: newFakeQueries(), Schemas: registry.New(newFakeDocuments(), registry.Limits{}), Readiness: &fakeReadiness{}, Dev: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	run(b, s.direct(s.app.Handler()), "/broker/topics/t/produce?partition=3", strings.Repeat("x", 64), "dev")
}

func BenchmarkSplitLines(b *testing.B) {
	body := []byte(strings.Repeat(`{"origin":"JFK","dep_delay":12,"carrier":"B6","flight":725}`+"\n", 1000))
	var block log.Block
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		block.Bytes, block.Count = block.Bytes[:0], 0
		splitLines(&block, nil, body, 1<<20)
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	record := log.Record{Offset: 1 << 40, Key: []byte("B6"), Value: []byte(`{"origin":"JFK","dep_delay":12,"carrier":"B6","flight":725}`)}
	var out []byte
	for _, c := range []struct {
		name   string
		base64 bool
	}{{"text", false}, {"b64", true}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(record.Value)))
			b.ReportAllocs()
			for b.Loop() {
				out = appendMessage(out[:0], record, 3, c.base64)
			}
		})
	}
}

// overSockets drives a server over loopback connections that stay open.
func overSockets(b *testing.B, address string) {
	request := "POST /broker/topics/t/produce?partition=3 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\nContent-Length: 64\r\n\r\n" + strings.Repeat("x", 64)
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		answer := make([]byte, 4096)
		for pb.Next() {
			if _, err := io.WriteString(c, request); err != nil {
				b.Error(err)
				return
			}
			n, err := c.Read(answer)
			if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200") {
				b.Errorf("%v %q", err, answer[:n])
				return
			}
		}
	})
}

func listen(b *testing.B) net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return listener
}

func BenchmarkNoOpFiberOverSockets(b *testing.B) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/broker/topics/:topic/produce", func(c *fiber.Ctx) error { return c.SendString(`{"ok":true}`) })
	listener := listen(b)
	done := make(chan error, 1)
	go func() { done <- app.Listener(listener) }()
	overSockets(b, listener.Addr().String())
	_ = app.Shutdown()
	<-done
}

func BenchmarkProduceOverSockets(b *testing.B) {
	docs := newFakeDocuments()
	s, err := New(Config{
		Topics: noTopics{}, Documents: docs, Trimming: &fakeTopics{}, Cluster: fakeCluster{docs},
		Queries: newFakeQueries(), Schemas: registry.New(newFakeDocuments(), registry.Limits{}), Readiness: &fakeReadiness{}, Dev: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	listener := listen(b)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, listener) }()
	overSockets(b, listener.Addr().String())
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// What a call for a key costs in the process, without the shard.
func BenchmarkDocument(b *testing.B) {
	docs := newFakeDocuments()
	s, err := New(Config{
		Topics: noTopics{}, Documents: docs, Trimming: &fakeTopics{}, Cluster: fakeCluster{docs},
		Queries: newFakeQueries(), Schemas: registry.New(newFakeDocuments(), registry.Limits{}), Readiness: &fakeReadiness{}, Dev: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	docs.docs["kv/app\x00a/b"] = bus.Doc{Key: "kv/app\x00a/b", Value: []byte(strings.Repeat("x", 64)), Version: 7}
	handler := s.direct(s.app.Handler())
	var c fasthttp.RequestCtx
	b.ReportAllocs()
	for b.Loop() {
		c.Request.Reset()
		c.Response.Reset()
		c.Request.SetRequestURI("/kv/app/a/b")
		c.Request.Header.Set("Authorization", "Bearer dev")
		handler(&c)
	}
	if c.Response.StatusCode() != 200 {
		b.Fatalf("%d %s", c.Response.StatusCode(), c.Response.Body())
	}
}
