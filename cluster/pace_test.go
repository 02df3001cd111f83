package cluster

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	sm "github.com/lni/dragonboat/v4/statemachine"
)

// A copy goes at copyRate, and faster by copyGain times what comes meanwhile.
func TestPacedWriter(t *testing.T) {
	t.Parallel()
	const piece, size = 1 << 20, 4 * copyRate
	for _, c := range []struct {
		name   string
		growth float64 // of copyRate
		want   time.Duration
	}{
		{"nobody writes", 0, 4 * time.Second},
		{"the shard grows at half the rate", 0.5, 2 * time.Second},
		{"the shard grows faster than that", 3, 4 * time.Second / 7},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			grown := func() uint64 { return 1000 + uint64(c.growth*copyRate*time.Since(began).Seconds()) }
			w := newPacedWriter(io.Discard, nil, grown)
			for range size / piece {
				if _, err := w.Write(make([]byte, piece)); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took < c.want*95/100 || took > c.want+copyPause {
				t.Errorf("%s: %d bytes took %v, want %v", c.name, size, took, c.want)
			}
		})
	}
}

// Who no longer wants the copy ends it at once.
func TestPacedWriterStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, done := time.Now(), make(chan struct{})
		time.AfterFunc(10*time.Millisecond, func() { close(done) })
		w := newPacedWriter(io.Discard, done, func() uint64 { return 0 })
		if _, err := w.Write(make([]byte, copyRate)); !errors.Is(err, sm.ErrSnapshotStopped) || time.Since(began) != 10*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
