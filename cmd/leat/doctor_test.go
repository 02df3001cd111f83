package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat/api"
)

// wellMachine is a machine on which every check is ok.
func wellMachine() machine {
	return machine{
		syncs:     func(_ string, count int) ([]time.Duration, error) { return make([]time.Duration, count), nil },
		space:     func(string) (free, total int64, err error) { return 1 << 40, 2 << 40, nil },
		volatile:  func(string) bool { return false },
		openFiles: func() (uint64, error) { return 1 << 20, nil },
		now:       func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }, clockSynced: func() bool { return true },
	}
}

// slowDisk takes so long for each sync.
func slowDisk(each time.Duration) func(string, int) ([]time.Duration, error) {
	return func(_ string, count int) ([]time.Duration, error) {
		took := make([]time.Duration, count)
		for i := range took {
			took[i] = each
		}
		return took, nil
	}
}

// otherServer is a port on which something that is not leat answers nothing.
func otherServer(t *testing.T) int {
	t.Helper()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	go func() {
		for {
			c, err := taken.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return taken.Addr().(*net.TCPAddr).Port
}

// TestDoctorFindsWhatIsWrong breaks one thing at a time: that check says so, and no other.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	taken := otherServer(t)
	for name, c := range map[string]struct {
		change func(*doctor)
		want   string // check and verdict; "" = all is well
	}{
		"well":          {func(*doctor) {}, ""},
		"settings":      {func(d *doctor) { d.settings.host = "0.0.0.0" }, "settings fail"},
		"settings warn": {func(d *doctor) { d.settings.writeConcern = "1" }, "settings warn"},
		"read only": {func(d *doctor) {
			d.machine.syncs = func(string, int) ([]time.Duration, error) { return nil, errors.New("no") }
		}, "directory fail"},
		"a file": {func(d *doctor) { d.settings.dataDir = os.Args[0] }, "directory fail"},
		"full": {func(d *doctor) {
			d.machine.space = func(string) (int64, int64, error) { return 500 << 20, 1 << 40, nil }
		}, "space fail"},
		"nearly full": {func(d *doctor) {
			d.machine.space = func(string) (int64, int64, error) { return 600 << 20, 1 << 40, nil }
		}, "space warn"},
		"slow disk":  {func(d *doctor) { d.machine.syncs = slowDisk(slowSync) }, "sync warn"},
		"stuck disk": {func(d *doctor) { d.machine.syncs = slowDisk(stuckSync) }, "sync fail"},
		"memory":     {func(d *doctor) { d.machine.volatile = func(string) bool { return true } }, "sync warn"},
		"few files":  {func(d *doctor) { d.machine.openFiles = func() (uint64, error) { return neededFiles - 1, nil } }, "files fail"},
		"files":      {func(d *doctor) { d.machine.openFiles = func() (uint64, error) { return wantedFiles - 1, nil } }, "files warn"},
		"port":       {func(d *doctor) { d.settings.port = taken }, "port fail"},
		"old clock":  {func(d *doctor) { d.machine.now = func() time.Time { return time.Unix(0, 0) } }, "clock fail"},
		"free clock": {func(d *doctor) { d.machine.clockSynced = func() bool { return false } }, "clock warn"},
		"no server":  {func(d *doctor) { d.named = true }, "server fail"},
	} {
		s := &settings{host: "127.0.0.1", dataDir: filepath.Join(t.TempDir(), "not", "yet"),
			limits: api.Limits{BodyBytes: 16 << 20, RecordBytes: 1 << 20, Partitions: 256}}
		d := &doctor{settings: s, client: dial(t, "http://127.0.0.1:1"), getenv: func(string) string { return "" }, machine: wellMachine()}
		c.change(d)
		got := ""
		for _, f := range d.examine(t.Context()) {
			if f.Status != verdictOK {
				got = strings.TrimSpace(got + " " + f.Check + " " + f.Status)
				if f.Fix == "" {
					t.Errorf("%s: nothing to do about %+v", name, f)
				}
			}
		}
		if name == "settings" { // the port cannot be tried where it may not be listened on either
			got = strings.TrimSuffix(got, " port fail")
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

// TestDoctorOfADirectory: one that is there is not to be made, however it is named.
func TestDoctorOfADirectory(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{"testdata": "testdata can be written", "./testdata": "./testdata can be written", "testdata/none": "testdata/none will be made in "} {
		d := &doctor{settings: &settings{dataDir: dir}, machine: wellMachine()}
		if got := d.checkDirectory()[0]; got.Status != verdictOK || !strings.HasPrefix(got.Message, want) {
			t.Errorf("%s: %+v", dir, got)
		}
	}
}

// TestDoctorOfARunningNode: the port is answered, the server is ready, and the data
// directory has nothing in it that was not there.
func TestDoctorOfARunningNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := start(t, dir)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	got := leat(t.Context(), "", nil, "doctor", "--data-dir", dir, "--port", port, "-o", "json")
	var report struct {
		OK     bool
		Checks []finding
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || len(report.Checks) != 8 {
		t.Fatalf("%v: %s%s", err, got.out, got.err)
	}
	for _, check := range report.Checks {
		switch check.Check {
		case "port", "server", "directory", "settings":
			if check.Status != verdictOK {
				t.Errorf("%+v", check)
			}
		}
	}
	if !strings.Contains(got.out, "answered by a leat") || !strings.Contains(got.out, server.url+" is ready") {
		t.Errorf("it does not know the node: %s", got.out)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".leat-doctor*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// --ready is what a container asks, with the environment of the node.
	env := map[string]string{"LEAT_HOST": "0.0.0.0", "LEAT_PORT": port}
	if got := leat(t.Context(), "", env, "doctor", "--ready"); got.exit != exitOK {
		t.Errorf("exit %d, %s", got.exit, got.err)
	}
	server.Terminate(t)
	if got := leat(t.Context(), "", env, "doctor", "--ready"); got.exit != exitUnavailable {
		t.Errorf("exit %d after the end", got.exit)
	}
	if got := leat(t.Context(), "", nil, "doctor", "--data-dir", dir, "--server", server.url, "--port", "0"); got.exit != exitFailure {
		t.Errorf("exit %d with a server that is named and gone: %s", got.exit, got.out)
	}
}

func TestReachableHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"0.0.0.0": "127.0.0.1", "::": "::1", "10.1.2.3": "10.1.2.3", "leat.example": "leat.example"} {
		if got := reachableHost(host); got != want {
			t.Errorf("%s is reached at %s, not %s", host, got, want)
		}
	}
	if got := reachableAddress(&settings{host: "::", port: 7}); got != net.JoinHostPort("::1", strconv.Itoa(7)) {
		t.Error(got)
	}
	// Where the list of nodes has its port, it is asked there.
	c := settings{host: "127.0.0.1", port: defaultPort, replication: replication{nodeID: "b", nodes: "a:127.0.0.1:7001:1:7011,b:127.0.0.1:7002:1:7012"}}
	if got, _ := c.reachable(); got != "http://127.0.0.1:7012" {
		t.Errorf("node b is asked at %s", got)
	}
	c.port = 7013
	if got, _ := c.reachable(); got != "http://127.0.0.1:7013" {
		t.Errorf("node b is asked at %s, and was given a port", got)
	}
}
