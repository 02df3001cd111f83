package queries

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"leat/internal/bus"
	"leat/log"
	"leat/queries/fakebus"
)

// behind shows the queries' own logs as if nothing had come yet, while it is told to.
type behind struct {
	*fakebus.Bus
	hides atomic.Bool
}

func (b *behind) hidden(topic string) bool { return b.hides.Load() && strings.HasPrefix(topic, "$") }

// Partition hides what there is.
func (b *behind) Partition(topic string, p int32) (bus.Partition, error) {
	all, err := b.Bus.Partition(topic, p)
	if b.hidden(topic) {
		all.Next = all.First
	}
	return all, err
}

// Read hides what there is.
func (b *behind) Read(topic string, p int32, from log.Offset, maxBytes int, buf []byte) (log.Frames, error) {
	if b.hidden(topic) {
		return log.Frames{}, nil
	}
	return b.Bus.Read(topic, p, from, maxBytes, buf)
}

// TestCompleteOfALateReplica: a run is complete for a reader who has its rows, not as
// soon as its checkpoint says that it has ended.
func TestCompleteOfALateReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		topics := &behind{Bus: newBus(t, []string{`{"t":1}`, `{"t":20}`, `{"t":2}`, `{"t":"x"}`})}
		m := startManager(t, topics.Bus, "one", func(c *ManagerConfig) { c.Topics = topics })
		defer m.stop()
		m.create(`{"name":"q","source":{"topic":"in","until":"end","event_time":"t"},"window":{"tumbling":10},"aggregate":{"n":"count()"}}`)
		if s := m.status("q"); s.State != stateCompleted {
			t.Fatalf("state %s", s.State)
		}
		for _, hides := range []bool{true, false} {
			topics.hides.Store(hides)
			for i, read := range []func(string, log.Offset, int) (Rows, error){m.Results, m.Late, m.DeadLetters} {
				rows, err := read("q", 0, 10)
				if err != nil || rows.Complete == hides || hides == (len(rows.Rows) > 0) {
					t.Errorf("%s", fmt.Sprint("hidden ", hides, ", log ", i, ": ", len(rows.Rows), " rows, complete ", rows.Complete, ", ", err))
				}
			}
		}
	})
}
