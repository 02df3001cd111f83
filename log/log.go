// Package log keeps the records of a partition in segment files: framing,
// checksums, sparse indexes, recovery of a torn tail. It knows bytes and files
// and nothing of raft, topics or queries.
package log

// Offset numbers the records of a partition, dense from 0. "Next" is always one
// past the last.
type Offset int64

// Mark is an opaque, non-decreasing number stored with each frame: the writer's
// resume point. The cluster passes the raft index in and gets it back after
// recovery; log never knows why.
type Mark uint64

// Record is one record as read. Key is nil where the record has none, which is
// not the same as an empty key. Both are views: they live as long as the buffer
// they were read into.
type Record struct {
	Offset Offset
	TimeMs int64 // append time: log time of the batch it came with
	Key    []byte
	Value  []byte
}

// Block is a run of encoded records, made at the edge once and copied as it is
// into the raft log and the segment. The zero Block is empty and ready to use.
type Block struct {
	Count int
	Bytes []byte
}
