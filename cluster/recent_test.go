package cluster

import (
	"fmt"
	"testing"

	"leat/cluster/state"
)

// TestRecentChangesAreBounded: the changes kept for those who watch are the last ones, and
// neither too many nor too large, however often a large value is replaced.
func TestRecentChangesAreBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1 << 10, 1 << 20, recentBytes + 1} {
		var r recentChanges
		r.reset(7)
		value := make([]byte, size)
		const changes = 3 * recentKept
		for version := uint64(8); version < 8+changes; version++ {
			r.add([]state.Change{{Key: fmt.Sprint(version % 2), Version: version, Value: value}})
		}
		held := 0
		for i := range r.kept {
			held += changeBytes(&r.kept[i])
		}
		if len(r.kept) > recentKept || held != r.bytes || held > recentBytes && len(r.kept) > 1 {
			t.Errorf("of values of %d bytes %d are kept with %d bytes, counted as %d", size, len(r.kept), held, r.bytes)
		}
		want := min(recentKept, max(1, recentBytes/(size+1)))
		if _, ok := r.after(7+changes-uint64(want)-1, ""); ok {
			t.Errorf("of values of %d bytes more than %d are kept", size, want)
		}
		got, ok := r.after(7+changes-uint64(want), "")
		if !ok || len(got) != want || got[want-1].Version != 7+changes {
			t.Errorf("of values of %d bytes %d of the last %d are kept: %t", size, len(got), want, ok)
		}
	}
}
