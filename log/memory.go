package log

// MemoryFrames are frames that lie in no segment: the records of a block, as one frame
// that begins with offset base. It is what Partition.Read would give of the same batch.
// The block must not be empty. buf, if it is large enough, becomes the buffer of the
// frames, which do not refer to the block.
func MemoryFrames(buf []byte, base Offset, timeMs int64, block Block) Frames {
	f := frame{size: frameHeaderBytes + len(block.Bytes), count: block.Count, base: base, timeMs: timeMs}
	var header [frameHeaderBytes]byte
	putFrameHeader(&header, f, []Block{block})
	buf = append(append(buf[:0], header[:]...), block.Bytes...)
	return Frames{buf: buf, end: len(buf), from: base, next: f.end()}
}
