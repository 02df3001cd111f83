//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const startTime = 60 * time.Second

// server is a child process that answers at an address.
type server struct {
	cmd     *exec.Cmd
	address string // host:port
	log     *bytes.Buffer
}

// startNoop starts this program again as the server that does nothing.
func startNoop(ctx context.Context) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	return start(ctx, "", self, "-serve-noop")
}

// build compiles the node into dir.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "leat")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "leat/cmd/leat")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build leat: %w: %s", err, out)
	}
	return path, nil
}

// startLeat starts a node and returns once it answers.
func startLeat(ctx context.Context, binary, dir string) (*server, error) {
	return start(ctx, "leat ready http://", binary, "serve", "--port", "0", "--data-dir", dir)
}

// startOnOneCore starts a node that has one processor for all it does.
func (b *bench) startOnOneCore() (s *server, err error) {
	err = onOneCore(func() error {
		s, err = startLeat(b.ctx, b.binary, b.data+"/one-core")
		return err
	})
	return s, err
}

// affinity is a set of processors, as the kernel has it.
type affinity [128]uint64

// onOneCore binds the thread to one of its processors while f runs, and for good the
// processes that f starts.
func onOneCore(f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one affinity
	if err := all.call(syscall.SYS_SCHED_GETAFFINITY); err != nil {
		return fmt.Errorf("read the processors of a thread: %w", err)
	}
	for i, word := range all {
		if one[i] = word & -word; word != 0 {
			break
		}
	}
	if err := one.call(syscall.SYS_SCHED_SETAFFINITY); err != nil {
		return fmt.Errorf("bind a thread to a processor: %w", err)
	}
	defer func() { err = errors.Join(err, all.call(syscall.SYS_SCHED_SETAFFINITY)) }()
	return f()
}

// call is a system call for this thread.
func (a *affinity) call(number uintptr) error {
	_, _, e := syscall.Syscall(number, 0, unsafe.Sizeof(*a), uintptr(unsafe.Pointer(a)))
	if e != 0 {
		return e
	}
	return nil
}

// start starts a program whose first line is the prefix and its address. The
// child dies with this process.
func start(ctx context.Context, prefix, binary string, args ...string) (*server, error) {
	s := &server{cmd: exec.CommandContext(ctx, binary, args...), log: new(bytes.Buffer)}
	s.cmd.Stderr = s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	timer := time.AfterFunc(startTime, func() { _ = s.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	timer.Stop()
	address, found := strings.CutPrefix(strings.TrimSpace(line), prefix)
	if err != nil || !found {
		s.kill()
		return nil, fmt.Errorf("start %s: it said %q: %w: %s", binary, line, err, clip(s.log.Bytes()))
	}
	s.address = address
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return s, nil
}

// startRedis starts Redis so that it syncs before it answers, nil where it is not
// installed.
func startRedis(ctx context.Context, dir string) (*server, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, nil
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return startAt(ctx, port, binary, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no")
}

// startAt starts a program and returns once it takes connections at a port of this
// machine. The child dies with this process.
func startAt(ctx context.Context, port int, binary string, args ...string) (*server, error) {
	s := &server{log: new(bytes.Buffer), address: "127.0.0.1:" + strconv.Itoa(port)}
	s.cmd = exec.CommandContext(ctx, binary, args...)
	s.cmd.Stderr, s.cmd.Stdout = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			return s, c.Close()
		}
		if time.Since(began) > startTime {
			s.kill()
			return nil, fmt.Errorf("start %s: %w: %s", binary, err, clip(s.log.Bytes()))
		}
	}
}

// killAll ends processes at once, all of them before any is waited for.
func killAll(all []*server) {
	for _, s := range all {
		if s != nil {
			_ = s.cmd.Process.Kill()
		}
	}
	for _, s := range all {
		if s != nil {
			s.kill()
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// kill ends the process at once, by its id.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // that it was killed is known
}

// cpu is the processor time of the process so far.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("read processor time: /proc has another form")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// cpuOf is the processor time of processes together.
func cpuOf(all []*server) (sum time.Duration, err error) {
	for _, s := range all {
		one, err := s.cpu()
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

// residentBytes is the memory of the process that is in use.
func (s *server) residentBytes() (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/statm")
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, errors.New("read memory: /proc has another form")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// forgetPeak begins anew to look for the most memory in use.
func (s *server) forgetPeak() error {
	if err := os.WriteFile("/proc/"+strconv.Itoa(s.cmd.Process.Pid)+"/clear_refs", []byte("5"), 0); err != nil {
		return fmt.Errorf("forget the peak of memory: %w", err)
	}
	return nil
}

// peakBytes is the most memory of the process that was in use since forgetPeak.
func (s *server) peakBytes() (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("read the peak of memory: %w", err)
	}
	_, after, found := bytes.Cut(text, []byte("VmHWM:"))
	fields := bytes.Fields(after)
	if !found || len(fields) == 0 {
		return 0, errors.New("read the peak of memory: /proc has another form")
	}
	kilobytes, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kilobytes << 10, err
}
