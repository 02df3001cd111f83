package codecs

import (
	"bytes"
	"testing"
)

func TestFramesRoundTrip(t *testing.T) {
	t.Parallel()
	frame := AppendConfluent([]byte("before"), 0x01020304)
	if want := []byte("before\x00\x01\x02\x03\x04"); !bytes.Equal(frame, want) {
		t.Fatalf("Confluent frame % x, want % x", frame, want)
	}
	id, rest, ok := CutConfluent(append(frame[6:], "value"...))
	if id != 0x01020304 || string(rest) != "value" || !ok {
		t.Errorf("cut off: id %#x, rest %q, %v", id, rest, ok)
	}
	frame = AppendSingleObject(nil, 0x0102030405060708)
	if want := []byte("\xC3\x01\x08\x07\x06\x05\x04\x03\x02\x01"); !bytes.Equal(frame, want) {
		t.Fatalf("single-object frame % x, want % x", frame, want)
	}
	fingerprint, rest, ok := CutSingleObject(append(frame, "value"...))
	if fingerprint != 0x0102030405060708 || string(rest) != "value" || !ok {
		t.Errorf("cut off: fingerprint %#x, rest %q, %v", fingerprint, rest, ok)
	}
}

func TestNoFrame(t *testing.T) {
	t.Parallel()
	for _, record := range []string{"", "\x00", "\x00\x00\x00\x01", "\x01\x00\x00\x00\x01x", "\xC3\x01\x08\x07\x06\x05\x04\x03\x02", "\xC3\x02\x08\x07\x06\x05\x04\x03\x02\x01"} {
		if _, rest, ok := CutConfluent([]byte(record)); ok || string(rest) != record {
			t.Errorf("% x has a Confluent frame: %v, rest %q", record, ok, rest)
		}
		if _, rest, ok := CutSingleObject([]byte(record)); ok || string(rest) != record {
			t.Errorf("% x has a single-object frame: %v, rest %q", record, ok, rest)
		}
	}
}
