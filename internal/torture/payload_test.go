package torture

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// maxPayload is the size of the largest record.
const maxPayload = 64 << 10

// noise is text without a pattern that the records are cut from.
var noise = sync.OnceValue(func() string {
	r := rand.New(rand.NewPCG(1, 2))
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 2*maxPayload)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
})

// payload makes the record number id of about size bytes: the number, the size
// and text that follows from both, so that a byte out of place is seen.
func payload(id uint64, size int) string {
	head := fmt.Sprintf("%d %d ", id, size)
	return head + filler(id, size-len(head))
}

func filler(id uint64, n int) string {
	n = min(max(n, 0), maxPayload)
	from := int(id * 7919 % maxPayload)
	return noise()[from : from+n]
}

// readPayload tells the number of a record and refuses one that is not whole.
func readPayload(text string) (uint64, error) {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) == 3 {
		id, err := strconv.ParseUint(parts[0], 10, 64)
		size, err2 := strconv.Atoi(parts[1])
		if err == nil && err2 == nil && size <= maxPayload && payload(id, size) == text {
			return id, nil
		}
	}
	return 0, fmt.Errorf("a record that nobody sent: %.60q, %d bytes", text, len(text))
}

func TestPayloadSees(t *testing.T) {
	t.Parallel()
	for _, size := range []int{20, 100, maxPayload} {
		text := payload(77, size)
		if id, err := readPayload(text); err != nil || id != 77 {
			t.Errorf("%d, %v", id, err)
		}
		for _, broken := range []string{"", text[:len(text)-1] + "-", text + "x", "1" + text, strings.Repeat("\x00", len(text))} {
			if _, err := readPayload(broken); err == nil {
				t.Errorf("%.60q passes for a record", broken)
			}
		}
	}
}
