package codecs

import "encoding/binary"

// Confluent framing, in front of a value of any format:
//
//	0      00
//	1..4   schema id, big endian
//	5..    the value
//
// Single-object framing, in front of an Avro value (Avro specification 1.12,
// "Single-object encoding"):
//
//	0..1   C3 01
//	2..9   CRC-64-AVRO fingerprint of the writer's schema, little endian
//	10..   the value
//
// ConfluentBytes is how long the first of them is.
const ConfluentBytes = 5

const (
	singleObjectBytes = 10
	singleObjectMark  = 0x01C3 // C3 01 as a little-endian number
)

// CutConfluent takes the Confluent frame off record. ok is false, and rest is record,
// where there is none. Any record of five bytes or more that starts with 00 looks
// framed, also a bare Avro record whose first field is 0, empty or null: only the
// caller knows whether the id is a schema's.
func CutConfluent(record []byte) (id uint32, rest []byte, ok bool) {
	if len(record) < ConfluentBytes || record[0] != 0 {
		return 0, record, false
	}
	return binary.BigEndian.Uint32(record[1:]), record[ConfluentBytes:], true
}

// AppendConfluent appends the Confluent frame of a schema id; the value goes behind it.
func AppendConfluent(dst []byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0), id)
}

// CutSingleObject takes the single-object frame off record. ok is false, and rest is
// record, where there is none.
func CutSingleObject(record []byte) (fingerprint uint64, rest []byte, ok bool) {
	if len(record) < singleObjectBytes || binary.LittleEndian.Uint16(record) != singleObjectMark {
		return 0, record, false
	}
	return binary.LittleEndian.Uint64(record[2:]), record[singleObjectBytes:], true
}

// AppendSingleObject appends the single-object frame of a schema with the given
// fingerprint; the value goes behind it.
func AppendSingleObject(dst []byte, fingerprint uint64) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, singleObjectMark)
	return binary.LittleEndian.AppendUint64(dst, fingerprint)
}
