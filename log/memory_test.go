package log

import (
	"fmt"
	"testing"
)

// TestMemoryFrames: the frame is a sound one, and its records are those of the block.
func TestMemoryFrames(t *testing.T) {
	t.Parallel()
	var block Block
	block.Add([]byte("k"), []byte("one"))
	block.Add(nil, []byte("two"))
	buf := make([]byte, 0, 1024)
	f := MemoryFrames(buf, 7, 99, block)
	if &f.Bytes()[0] != &buf[:1][0] || f.Next() != 9 || f.Empty() {
		t.Errorf("next %d, empty %v, or another buffer", f.Next(), f.Empty())
	}
	if _, need, err := checkFrame(f.Bytes(), int64(len(f.Bytes())), 7, 0); need != 0 || err != nil {
		t.Errorf("the frame is not sound: need %d, %v", need, err)
	}
	block.Bytes[len(block.Bytes)-1] = 'x' // the frames are a copy
	var got []string
	cursor := f.Records(7)
	for r, ok := cursor.Next(); ok; r, ok = cursor.Next() {
		got = append(got, fmt.Sprintf("%d %d %s=%s", r.Offset, r.TimeMs, r.Key, r.Value))
	}
	if cursor.Err() != nil || fmt.Sprint(got) != "[7 99 k=one 8 99 =two]" {
		t.Errorf("%v %v", got, cursor.Err())
	}
}
