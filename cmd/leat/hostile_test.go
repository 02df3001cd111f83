package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/sr"

	"leat/codecs"
	"leat/codecs/codecstest"
	"leat/internal/testenv"
)

// processorTime is what a process has used so far.
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	var used syscall.Timespec
	const ofProcess = 2 // the scheduler's clock of a process, by its number: clock_getcpuclockid
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(^pid<<3|ofProcess), uintptr(unsafe.Pointer(&used)), 0); errno != 0 {
		t.Fatal(errno)
	}
	return time.Duration(used.Nano())
}

// hostileTopic registers what hostile records are written with, and frames them.
func hostileTopic(t *testing.T, url string) (names []string, records [][]byte) {
	t.Helper()
	schemas := registryClient(t, url)
	ids := map[string]int{}
	id := func(h *codecstest.Hostile) int {
		if ids[h.Format+h.Schema] == 0 {
			s := sr.Schema{Schema: h.Schema, Type: map[string]sr.SchemaType{codecs.FormatJSON: sr.TypeJSON, codecs.FormatAvro: sr.TypeAvro, codecs.FormatProtobuf: sr.TypeProtobuf}[h.Format]}
			if h.Schema == "" {
				s.Schema = "{}"
			}
			created, err := schemas.CreateSchema(t.Context(), fmt.Sprintf("hostile-%d", len(ids)), s)
			if err != nil {
				t.Fatalf("%s: %v", h.Name, err)
			}
			ids[h.Format+h.Schema] = created.ID
		}
		return ids[h.Format+h.Schema]
	}
	for _, h := range codecstest.HostileRecords() {
		frame := codecs.AppendConfluent(nil, uint32(id(&h)))
		if h.Format == codecs.FormatProtobuf {
			frame = append(frame, 0)
		}
		names, records = append(names, h.Format+": "+h.Name), append(records, append(frame, h.Record...))
		if h.Format == codecs.FormatJSON && len(h.Record) > 0 {
			names, records = append(names, "bare "+h.Format+": "+h.Name), append(records, h.Record)
		}
	}
	var protobuf int
	for _, h := range codecstest.HostileRecords() {
		if h.Format == codecs.FormatProtobuf {
			protobuf = id(&h)
		}
	}
	for name, record := range map[string][]byte{
		"an id that is not registered": append(codecs.AppendConfluent(nil, 1<<32-1), "{}"...),
		"an id and nothing":            codecs.AppendConfluent(nil, uint32(protobuf)),
		"a type that there is not":     append(codecs.AppendConfluent(nil, uint32(protobuf)), 2, 0x7E),
		"2^62 levels of types":         append(codecs.AppendConfluent(nil, uint32(protobuf)), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1),
		"half a frame":                 codecs.AppendConfluent(nil, uint32(protobuf))[:3],
		"an unknown fingerprint":       codecs.AppendSingleObject(nil, 77),
	} {
		names, records = append(names, name), append(records, record)
	}
	return names, records
}

// TestHostileRecords: each record that a producer makes to harm becomes a dead letter with
// its reason, place and bytes, at little cost; the queries go on, and the rows between are
// all there.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	c := dial(t, server.url)
	names, records := hostileTopic(t, server.url)
	c.mustPost(t, "/broker/topics", map[string]any{"name": "hostile", "partitions": 1})
	c.mustStart(t, []byte(`{"name":"fields","source":{"topic":"hostile"},"select":{"k":"k","f":"f","first":"f[0]","in":"f.f.f"},"on_error":{"topic":"dead"}}`))
	c.mustStart(t, []byte(`{"name":"whole","source":{"topic":"hostile"},"on_error":{"topic":"dead-whole"}}`))
	produce := func(record []byte) {
		t.Helper()
		if _, err := c.call(t.Context(), request{method: http.MethodPost, path: "/broker/topics/hostile/produce", body: record}); err != nil {
			t.Fatal(err)
		}
	}
	produce([]byte(`{"k":-1}`))
	c.awaitRows(t, "fields", 1)
	c.awaitRows(t, "whole", 1)
	const most = 2 * 50 * time.Millisecond // of two queries
	for i, record := range records {
		before := processorTime(t, server.Cmd.Process.Pid)
		produce(record)
		c.awaitRows(t, "fields", int64(2*i+2))
		q := c.awaitRows(t, "whole", int64(2*i+2))
		took := processorTime(t, server.Cmd.Process.Pid) - before
		if q.Rows.Dead != int64(i+1) {
			t.Fatalf("%s: %d dead letters of %d", names[i], q.Rows.Dead, i+1)
		}
		t.Logf("%-60s %8d bytes %v", names[i], len(record), took)
		if took > most {
			t.Errorf("%s of %d bytes: the node works %v for it", names[i], len(record), took)
		}
		produce(fmt.Appendf(nil, `{"k":%d}`, i))
		c.awaitRows(t, "fields", int64(2*i+3))
		c.awaitRows(t, "whole", int64(2*i+3))
	}
	for topic, query := range map[string]string{"dead": "fields", "dead-whole": "whole"} {
		for i := range records {
			checkDeadLetter(t, c, topic, i, names[i], records[i])
		}
		if q := c.awaitRows(t, query, int64(2*len(records)+1)); q.Rows.Dead != int64(len(records)) || q.State != "running" {
			t.Errorf("%s: %+v", query, q)
		}
	}
}

// checkDeadLetter looks at the dead letter of a record, which is the i-th of its topic.
func checkDeadLetter(t *testing.T, c *client, topic string, i int, name string, record []byte) {
	t.Helper()
	var letter struct {
		Topic, Operator, Reason string
		Partition               int
		Offset                  int64
		Value                   []byte `json:"value_b64"`
	}
	testenv.Succeeds(t, name+" is a dead letter", func() error {
		values, err := c.values(t, topic, url.Values{"offset": {fmt.Sprint(i)}, "limit": {"1"}})
		if err != nil {
			return err
		}
		if len(values) != 1 {
			return fmt.Errorf("%d records at offset %d", len(values), i)
		}
		return json.Unmarshal(values[0], &letter)
	})
	if letter.Topic != "hostile" || letter.Partition != 0 || letter.Offset != int64(2*i+1) || letter.Operator != "decode" || letter.Reason == "" || strings.Contains(letter.Reason, "\n") {
		letter.Value = nil
		t.Errorf("%s: %s: the dead letter says %+v", topic, name, letter)
	} else if !bytes.Equal(letter.Value, record) {
		t.Errorf("%s: %s: the dead letter has %d bytes, not those of the record, %d", topic, name, len(letter.Value), len(record))
	}
}
