package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"leat/internal/testenv"
)

// cut cuts text into batches and returns the lines of each.
func cut(t testing.TB, in io.Reader) (batches [][]string, numbers []int) {
	t.Helper()
	b, err := newBatcher(in)
	if err != nil {
		t.Fatal(err)
	}
	for {
		out, ok, err := b.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return batches, numbers
		}
		if out.number != len(batches) {
			t.Errorf("batch %d has number %d", len(batches), out.number)
		}
		lines := strings.SplitAfter(string(out.bytes), "\n")
		if last := len(lines) - 1; lines[last] != "" || last != out.lines || last > batchLines {
			t.Fatalf("a batch of %d lines says that it has %d", last, out.lines)
		}
		if len(out.bytes) > batchBytes && out.lines > 1 {
			t.Errorf("a batch of %d lines has %d bytes", out.lines, len(out.bytes))
		}
		batches, numbers = append(batches, lines[:out.lines]), append(numbers, out.line)
	}
}

// checkCut compares batches with the lines of text: none lost, none added, in
// order, and the number of the first line right.
func checkCut(t testing.TB, text string, batches [][]string, numbers []int) {
	t.Helper()
	type line struct {
		number int
		text   string
	}
	var want []line
	for i, l := range strings.Split(text, "\n") {
		if l != "" && l != "\r" {
			want = append(want, line{i + 1, l + "\n"})
		}
	}
	for i, lines := range batches {
		if len(lines) > len(want) || numbers[i] != want[0].number {
			t.Fatalf("batch %d of %d lines begins with line %d", i, len(lines), numbers[i])
		}
		for j, l := range lines {
			if l != want[j].text {
				t.Fatalf("batch %d has %q for %q", i, l, want[j].text)
			}
		}
		want = want[len(lines):]
	}
	if len(want) > 0 {
		t.Fatalf("%d lines are missing, from %d on", len(want), want[0].number)
	}
}

func TestBatchesHoldTheLines(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 30 {
		var text strings.Builder
		most := []int{1, 3, 50, 300_000}[r.IntN(4)]
		for range r.IntN([]int{3, 40, 2500}[r.IntN(3)]) {
			if text.Len() > 12<<20 {
				break
			}
			text.WriteString(strings.Repeat("x", r.IntN(most)) + []string{"", "\r"}[r.IntN(2)] + []string{"\n", "\n\n", "\n\r\n"}[r.IntN(3)])
		}
		text.WriteString([]string{"", "end", "end\r"}[r.IntN(3)])
		batches, numbers := cut(t, strings.NewReader(text.String()))
		checkCut(t, text.String(), batches, numbers)
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := io.WriteString(z, text.String()); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		again, _ := cut(t, &packed)
		if len(again) != len(batches) {
			t.Errorf("compressed it is cut into %d batches, not %d", len(again), len(batches))
		}
	}
}

func TestBatchesOfDamagedInput(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, strings.Repeat("line\n", 5000)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]io.Reader{
		"cut gzip":   bytes.NewReader(packed.Bytes()[:packed.Len()-9]),
		"no gzip":    strings.NewReader("\x1f\x8bnot gzip at all"),
		"read error": io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(io.ErrClosedPipe)),
	} {
		b, err := newBatcher(in)
		for ok := true; ok && err == nil; {
			_, ok, err = b.next()
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzBatches(f *testing.F) {
	f.Add("a\r\n\n\"b\"\nc")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "\x1f\x8b") {
			return
		}
		batches, numbers := cut(t, strings.NewReader(text))
		checkCut(t, text, batches, numbers)
	})
}

func BenchmarkBatches(b *testing.B) {
	text := strings.Repeat(strings.Repeat("x", 191)+"\n", 100_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		in, err := newBatcher(strings.NewReader(text))
		for ok := true; ok && err == nil; {
			_, ok, err = in.next()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
