package wire

import (
	"bytes"
	"testing"
)

// What was appended is read back, and no shorter run of bytes is read without an
// error.
func TestFieldsReadBack(t *testing.T) {
	t.Parallel()
	whole := AppendBool(nil, true)
	whole = AppendUint(whole, uint64(1<<63))
	whole = AppendUint(whole, 300)
	whole = AppendBytes(whole, "text")
	whole = AppendBytes(whole, []byte{1, 2})
	whole = AppendBytes(whole, "")
	whole = AppendUint(whole, 2)
	whole = append(whole, 7, 8)
	read := func(src []byte) (ok bool, err error) {
		r := &Reader{Rest: src}
		ok = r.Bool() && r.Uint() == 1<<63 && r.Int() == 300 && r.String() == "text"
		ok = ok && bytes.Equal(r.Bytes(), []byte{1, 2}) && len(r.View()) == 0
		ok = ok && r.Count() == 2 && r.Byte() == 7 && r.Byte() == 8
		return ok && len(r.Rest) == 0, r.Err
	}
	if ok, err := read(whole); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	for n := range whole {
		r := &Reader{Rest: whole[:n]}
		r.Bool()
		r.Uint()
		r.Int()
		_ = r.String()
		r.Bytes()
		r.View()
		r.Count()
		r.Take(2)
		if r.Err == nil {
			t.Fatalf("%d of %d bytes were read without an error", n, len(whole))
		}
	}
}

// A length beyond the bytes is refused before anything is made of that size.
func TestCountIsBounded(t *testing.T) {
	t.Parallel()
	r := &Reader{Rest: AppendUint(nil, uint64(1<<40))}
	if n := r.Count(); n != 0 || r.Err == nil {
		t.Fatalf("%d, %v", n, r.Err)
	}
}
