package cluster

import (
	"io"
	"time"

	sm "github.com/lni/dragonboat/v4/statemachine"
)

const (
	// copyRate is how many bytes a second of a copy of a shard go to a node that is
	// behind. Faster, and who writes meanwhile waits for the processors and the disk.
	copyRate = 16 << 20
	// copyGain is how many bytes more go for each byte that the shard has grown by, so
	// that a node gets nearer however fast the shard grows.
	copyGain = 2
	// copyPause is the longest time between two looks at how much that is.
	copyPause = 100 * time.Millisecond
)

// pacedWriter passes on what is written to it, no faster than copyRate and copyGain
// say. One goroutine uses it. A Write ends with ErrSnapshotStopped once done is closed.
type pacedWriter struct {
	to    io.Writer
	done  <-chan struct{}
	grown func() uint64 // bytes that the shard has taken

	began time.Time
	from  uint64 // grown when it began
	sent  uint64
}

func newPacedWriter(to io.Writer, done <-chan struct{}, grown func() uint64) *pacedWriter {
	return &pacedWriter{to: to, done: done, grown: grown, began: time.Now(), from: grown()}
}

// Write passes p on and returns when more may follow.
func (w *pacedWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.sent += uint64(n)
	if err != nil {
		return n, err
	}
	for early := w.early(); early > 0; early = w.early() {
		timer := time.NewTimer(min(early, copyPause))
		select {
		case <-timer.C:
		case <-w.done:
			timer.Stop()
			return n, sm.ErrSnapshotStopped
		}
	}
	return n, nil
}

// early is by how long what has been sent is ahead of its time, negative behind it.
func (w *pacedWriter) early() time.Duration {
	paced := float64(w.sent) - copyGain*float64(w.grown()-w.from)
	return time.Duration(paced/copyRate*float64(time.Second)) - time.Since(w.began)
}
