package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"leat/codecs/avrocodec"
	"leat/examples"
)

var update = flag.Bool("update", false, "rewrite the transcripts under testdata")

// Of a transcript, what differs between runs.
var (
	anyTime    = regexp.MustCompile(`20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	anyElapsed = regexp.MustCompile(`in [0-9.]+(ms|s|m\d+s)`)
	anyMember  = regexp.MustCompile(`("?(?:batch_id|created_ms|elapsed_ms|lag_ms|state_bytes|epoch|generation|version|last_epoch_ms|updated_ms)"?): [0-9.]+`)
	anyVersion = regexp.MustCompile(`leat \S+ \(.*\) go\S+ \S+`)
)

// TestTranscripts runs the commands of each transcript against a server and
// compares what they print and how they end. After a change, look at what
// "go test ./cmd/leat -run TestTranscripts -update" makes of the files.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	files = append(files, ordersSession)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := transcript(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(text); !*update && got != want {
				t.Errorf("%s differs; it is now\n%s", file, got)
			}
		})
	}
}

// transcript runs the lines of text that begin with "$ ", keeps those that begin
// with "#" and writes down the output of each.
func transcript(t *testing.T, text string) string {
	w := newWorkplace(t)
	w.orders(t)
	var b strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"):
			b.WriteString("\n" + line)
		case strings.HasPrefix(line, "$ "):
			b.WriteString(line)
			b.WriteString(w.normal(w.sh(t, strings.TrimSpace(line[2:]))))
		}
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// workplace is a server with the example data, and a directory with files and
// with leat in its path.
type workplace struct {
	dir, url string
	env      []string
}

func newWorkplace(t *testing.T) *workplace {
	server := start(t, t.TempDir())
	w := &workplace{dir: t.TempDir(), url: server.url}
	w.env = append(os.Environ(), execVariable+"=1", "GORACE=atexit_sleep_ms=0", "LEAT_SERVER="+server.url, "LEAT_PORT=0", "LEAT_TOKEN=",
		"LEAT_TOKENS=", "RF_BEARER_TOKENS=", "HOME="+t.TempDir(), "XDG_STATE_HOME=",
		"PATH="+tool(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	specs, err := examples.Specs()
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range specs {
		w.file(t, spec.File, spec.JSON)
	}
	topics, err := examples.Topics()
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		w.file(t, topic.Name+".ndjson.gz", topic.Lines)
	}
	w.file(t, "leat.yaml", []byte("port: 0\ndev: true\n"))
	w.file(t, "flights.ndjson", []byte(strings.Repeat(`{"origin":"JFK","dep":1357038360000,"sched_dep":1357038360000,"dep_delay":1}`+"\n", 20)))
	w.file(t, "weather.avsc", []byte(`{"type":"record","name":"Weather","fields":[{"name":"origin","type":"string"},
		{"name":"wind","type":["null","double"],"default":null},{"name":"time","type":{"type":"long","logicalType":"timestamp-millis"},"default":0}]}`))
	w.file(t, "weather.avro", containerOf(t, `{"type":"record","name":"Weather","fields":[{"name":"origin","type":"string"},{"name":"wind","type":"double"}]}`,
		`{"origin":"LGA","wind":3.5}`, `{"origin":"JFK","wind":0.25}`))
	w.file(t, "weather.proto", []byte("syntax = \"proto3\";\nmessage Weather { string origin = 1; optional double wind = 2; int64 time = 3; }\nmessage Other {}\n"))
	w.file(t, "weather.ndjson", []byte(`{"origin":"JFK","wind":12.5,"time":1357020000000}`+"\n\n"+`{"origin":"EWR"}`+"\n"))
	return w
}

// ordersSession is a transcript among the examples, in their directory of orders.
const ordersSession = "../../examples/orders/live/session.txt"

// orders puts the files of the example orders into the directory.
func (w *workplace) orders(t *testing.T) {
	t.Helper()
	for _, dir := range []string{filepath.Dir(ordersSession), filepath.Dir(filepath.Dir(ordersSession))} {
		if err := os.CopyFS(w.dir, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
}

// containerOf is an Avro container file of rows.
func containerOf(t *testing.T, schema string, rows ...string) []byte {
	t.Helper()
	format, err := avroRows(schema)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := avrocodec.NewContainerWriter(&file, schema, [16]byte{1})
	for i := 0; err == nil && i < len(rows); i++ {
		var record []byte
		if record, err = format.encode(nil, []byte(rows[i])); err == nil {
			err = w.Append(record)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func (w *workplace) file(t *testing.T, name string, content []byte) {
	if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// command prepares a line for the shell.
func (w *workplace) command(line string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = w.dir, w.env
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// sh runs a line, and answers its output with the exit code where it is not 0.
func (w *workplace) sh(t *testing.T, line string) string {
	cmd, out := w.command(line)
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", line, err)
	}
	text := out.String()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		text += fmt.Sprintf("[exit %d]\n", code)
	}
	return text
}

// normal replaces what differs between runs.
func (w *workplace) normal(text string) string {
	text = strings.ReplaceAll(text, w.url, "http://SERVER")
	text = anyTime.ReplaceAllString(text, "2000-01-01T00:00:00Z")
	text = anyElapsed.ReplaceAllString(text, "in 0s")
	text = anyVersion.ReplaceAllString(text, "leat VERSION")
	return anyMember.ReplaceAllString(text, "$1: 0")
}

// reset brings the server to a known state: one topic with the flights, and the
// example queries over it.
func (w *workplace) reset(t *testing.T) {
	t.Helper()
	c := dial(t, w.url)
	specs, err := examples.Specs()
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range specs {
		w.remove(t, c, route("queries", spec.Name))
	}
	topics, err := examples.Topics()
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		w.remove(t, c, route("broker", "topics", topic.Name))
		c.mustPost(t, "/broker/topics", map[string]any{"name": topic.Name, "partitions": 1})
		if _, err := c.produceLines(t.Context(), production{topic: topic.Name}, bytes.NewReader(topic.Lines), func(produced) {}); err != nil {
			t.Fatal(err)
		}
	}
	for _, spec := range specs {
		c.mustStart(t, spec.JSON)
	}
	if _, err := c.call(t.Context(), request{method: http.MethodPost, path: route("kv", "app", "theme"), body: []byte("dark")}); err != nil {
		t.Fatal(err)
	}
	avsc, err := os.ReadFile(filepath.Join(w.dir, "weather.avsc"))
	if err != nil {
		t.Fatal(err)
	}
	c.mustPost(t, route("subjects", "station-value", "versions"), map[string]string{"schema": string(avsc)})
	c.awaitRows(t, byDay, 32735)
}

func (w *workplace) remove(t *testing.T, c *client, path string) {
	t.Helper()
	_, err := c.call(t.Context(), request{method: http.MethodDelete, path: path})
	if err != nil && classify(err).exit != exitNotFound {
		t.Fatal(err)
	}
}
