package torture

import (
	"bytes"
	"debug/elf"
	little "encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/internal/testenv"
)

// skewed is a process whose wall clock is off by what the test says; what it measures
// spans of time by is not, as when somebody sets the clock of a machine.
type skewed struct {
	mem *os.File
	at  int64 // of the seconds that are added
}

// wrongClock is what clock_gettime is replaced with in the memory that the kernel gives a
// process for asking the time: the system call, and for CLOCK_REALTIME seconds are added.
//
//	mov eax, 228; syscall; test edi, edi; jne end; mov rdx, [seconds]; add [rsi], rdx; end: ret
//	seconds: 8 bytes, aligned
var wrongClock = []byte{
	0xb8, 228, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 0x0a, 0x48, 0x8b, 0x15, 6, 0, 0, 0, 0x48, 0x01, 0x16, 0xc3, 0x90, 0x90,
	0, 0, 0, 0, 0, 0, 0, 0,
}

// skew takes the wall clock of a process over. It stands still meanwhile.
func skew(t *testing.T, n *node) *skewed {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIPPED: a clock is set wrong by instructions of amd64, which this machine does not run")
	}
	proc := fmt.Sprintf("/proc/%d", n.Cmd.Process.Pid)
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$`).FindSubmatch(maps)
	if found == nil {
		t.Skip("SKIPPED: this kernel has no vDSO to set a clock wrong in")
	}
	from, _ := strconv.ParseInt(string(found[1]), 16, 64)
	to, _ := strconv.ParseInt(string(found[2]), 16, 64)
	mem, err := os.OpenFile(proc+"/mem", os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("SKIPPED: this user may not write to the memory of a process: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mem.Close() })
	s := &skewed{mem: mem, at: from + gettime(t, mem, from, to)}
	for written := false; !written; {
		n.Signal(t, syscall.SIGSTOP)
		if written = stands(t, proc, from, to); written {
			s.write(t, wrongClock)
		}
		n.Signal(t, syscall.SIGCONT)
	}
	s.at += int64(len(wrongClock)) - 8
	return s
}

// gettime is where clock_gettime begins in a vDSO.
func gettime(t *testing.T, mem *os.File, from, to int64) int64 {
	t.Helper()
	image := make([]byte, to-from)
	_, err := mem.ReadAt(image, from)
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := file.DynamicSymbols()
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" && s.Size > uint64(len(wrongClock)) && s.Value%8 == 0 {
			return int64(s.Value)
		}
	}
	t.Fatal("no clock_gettime in the vDSO ", err)
	return 0
}

// stands waits until all threads of a process stand still, and tells whether none of them
// does within a range of memory.
func stands(t *testing.T, proc string, from, to int64) (outside bool) {
	t.Helper()
	testenv.Succeeds(t, "the process stands still", func() error {
		threads, err := filepath.Glob(proc + "/task/*")
		outside = true
		for _, thread := range threads {
			stat, _ := os.ReadFile(thread + "/stat")
			if _, state, _ := bytes.Cut(stat, []byte(") ")); len(state) == 0 || state[0] != 'T' {
				return fmt.Errorf("%s: %s", thread, state)
			}
			where, _ := os.ReadFile(thread + "/syscall")
			words := strings.Fields(string(where))
			if len(words) == 0 {
				return fmt.Errorf("%s: %s", thread, where)
			}
			at, _ := strconv.ParseUint(words[len(words)-1], 0, 64)
			outside = outside && (int64(at) < from || int64(at) >= to)
		}
		return err
	})
	return outside
}

func (s *skewed) write(t *testing.T, b []byte) {
	t.Helper()
	if _, err := s.mem.WriteAt(b, s.at); err != nil {
		t.Fatal(err)
	}
}

// set has the clock be off by so much.
func (s *skewed) set(t *testing.T, off time.Duration) {
	t.Helper()
	s.write(t, little.LittleEndian.AppendUint64(nil, uint64(int64(off/time.Second))))
}

// TestClockJumps: under load the wall clock of one node jumps by an hour, forward or back,
// while it leads or follows, then it leads, then its clock is right again. Nothing expires
// early: neither keys with a time to live, nor records that are kept for 50 minutes, nor a
// window of append time. LEAT_FAULT_ROUNDS says how often, LEAT_FAULT_SEED repeats the
// choices.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	rounds := variable(t, "LEAT_FAULT_ROUNDS", 2)
	seed := variable(t, "LEAT_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("run it again: LEAT_FAULT_SEED=%d LEAT_FAULT_ROUNDS=%d go test ./internal/torture -run '^TestClockJumps$'", seed, rounds)
	r := rand.New(rand.NewPCG(uint64(seed), 8))
	w := newWorld()
	told := w.summarize(t)
	f := startApart(t, 3, 0)
	w.registers.late = lateParted
	c := f.dial(t)
	c.must(t, http.MethodPost, "/broker/topics", nil, `{"name":"events","partitions":2}`)
	c.must(t, http.MethodPost, "/broker/topics", nil, `{"name":"hourly","partitions":1}`)
	f.level(t, "events", "hourly")
	const kept = 50 * 60 * 1000
	c.must(t, http.MethodPost, "/broker/retention", nil, fmt.Sprintf(`{"topic":"events","ttl_ms":%d}`, kept))
	c.must(t, http.MethodPost, fmt.Sprintf("/kv/torture/kept?ttl_ms=%d", kept), nil, "v")
	ask(t, c, "hours", `"source":{"topic":"hourly"},"window":{"tumbling":"1h"},"aggregate":{"n":"count()"}`)
	var clocks []*skewed
	for _, n := range f.nodes {
		clocks = append(clocks, skew(t, n))
	}
	for w.round = range rounds {
		stop := w.loadCluster(t, f, r)
		w.going(t, w.answered.Load()+200)
		jump := []time.Duration{time.Hour, -time.Hour}[w.round%2]
		odd := f.leader(t, w.plain.place)
		if r.IntN(2) == 0 {
			odd = (odd + 1 + r.IntN(2)) % 3
		}
		clocks[odd].set(t, jump)
		recordOnce(t, c, "hourly", 2*w.round, 0, "u")
		w.probe(t, f, w.plain)
		f.move(t, w.plain.place, odd)
		f.move(t, place{"hourly", 0}, odd)
		recordOnce(t, c, "hourly", 2*w.round+1, 0, "u")
		w.probe(t, f, w.plain)
		w.keeps(t, f)
		<-time.After(time.Duration(r.Int64N(int64(time.Second))))
		clocks[odd].set(t, 0)
		f.move(t, w.plain.place, (odd+1+r.IntN(2))%3)
		w.probe(t, f, w.plain)
		stop()
		w.keeps(t, f)
		w.decide(t, f, w.round == rounds-1)
		told.round(fmt.Sprintf("R14 the wall clock of one node jumps by %s", jump))
	}
	f.end(t)
	f.sameFiles(t)
}

// keeps checks that nothing has expired that is not due for long.
func (w *world) keeps(t *testing.T, f *fleet) {
	t.Helper()
	c := f.dial(t)
	testenv.Succeeds(t, "the key is read", func() error {
		a := c.call(t.Context(), http.MethodGet, "/kv/torture/kept", nil, "")
		if a.status == http.StatusNotFound {
			t.Fatalf("a key has expired early: %s", a.body)
		}
		return not(a.status == http.StatusOK, string(a.body))
	})
	if got, ok, err := c.consume(t.Context(), w.plain.place, reader, 0, 1); ok && got.skipped != 0 {
		t.Errorf("records before %d are gone early, %v", got.skipped, err)
	}
	var rows struct {
		Rows []struct {
			End int64 `json:"window_end"`
		}
	}
	if a := c.call(t.Context(), http.MethodGet, "/queries/hours/results", nil, ""); a.status == http.StatusOK && a.read(&rows) == nil {
		for _, row := range rows.Rows {
			if now := time.Now().UnixMilli(); row.End > now {
				t.Errorf("a window is closed %d ms before its end", row.End-now)
			}
		}
	}
}
