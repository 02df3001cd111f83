package operators

import "leat/dataflow"

// timer wakes a slot once the watermark has come to at.
type timer struct {
	at   dataflow.Time
	slot uint32
}

// timers is a binary heap: no timer is before that at half its index.
type timers []timer

func (h *timers) push(t timer) {
	list := append(*h, t)
	at := len(list) - 1
	for at > 0 {
		above := (at - 1) / 2
		if list[above].at <= t.at {
			break
		}
		list[at] = list[above]
		at = above
	}
	list[at] = t
	*h = list
}

// pop takes the first timer of a heap that is not empty.
func (h *timers) pop() timer {
	list := *h
	first, moved := list[0], list[len(list)-1]
	list = list[:len(list)-1]
	*h = list
	for at := 0; at < len(list); {
		below := 2*at + 1
		if below+1 < len(list) && list[below+1].at < list[below].at {
			below++
		}
		if below >= len(list) || moved.at <= list[below].at {
			list[at] = moved
			break
		}
		list[at] = list[below]
		at = below
	}
	return first
}
