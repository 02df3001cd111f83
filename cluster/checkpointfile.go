package cluster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/internal/fault"
	"leat/log"
)

// A checkpoint file, little endian:
//
//	0          8         12
//	+----------+---------+---------------------------- - - -
//	| LEATCKP2 | CRC32C  | body
//	+----------+---------+---------------------------- - - -
//
// The checksum covers the body: raft index, boot id, raft index of the image (0 =
// there is none, the state begins empty), the offset of the state log that follows the
// image, the sync point of the state log, the number of partitions, for each its topic,
// number and sync point. Integers are uvarints, the boot id is preceded by its length, a
// sync point is segment, size, next, mark.
//
// Format 1 had the image at its end. It is refused.
const (
	checkpointMagic    = "LEATCKP2"
	oldCheckpointMagic = "LEATCKP1"
)

const checkpointHeader = len(checkpointMagic) + 4

// checkpoint is a consistent cut of a machine: an image of the state, what the state log
// adds to it up to a raft index, and how much of each file is on stable storage, which is
// at least what the entries up to that index wrote.
type checkpoint struct {
	index      uint64
	boot       string // the boot of the kernel that wrote what came after it
	image      imageMark
	stateSync  log.SyncPoint
	partitions []partitionSync
}

type partitionSync struct {
	id    state.PartitionID
	point log.SyncPoint
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func (c *checkpoint) encode() []byte {
	dst := append([]byte(checkpointMagic), 0, 0, 0, 0)
	dst = wire.AppendBytes(wire.AppendUint(dst, c.index), c.boot)
	dst = wire.AppendUint(wire.AppendUint(dst, c.image.index), c.image.next)
	dst = appendPoint(dst, c.stateSync)
	dst = wire.AppendUint(dst, uint64(len(c.partitions)))
	for _, p := range c.partitions {
		dst = appendPoint(appendPartitionID(dst, p.id), p.point)
	}
	binary.LittleEndian.PutUint32(dst[len(checkpointMagic):], castagnoli(dst[checkpointHeader:]))
	return dst
}

func decodeCheckpoint(src []byte) (*checkpoint, error) {
	if bytes.HasPrefix(src, []byte(oldCheckpointMagic)) {
		return nil, fault.New(fault.Unsupported, "unknown_format", "it has format 1, this version reads 2")
	}
	if len(src) < checkpointHeader || !bytes.HasPrefix(src, []byte(checkpointMagic)) {
		return nil, fmt.Errorf("no checkpoint header: %w", errCommand)
	}
	if castagnoli(src[checkpointHeader:]) != binary.LittleEndian.Uint32(src[len(checkpointMagic):]) {
		return nil, fmt.Errorf("checksum does not hold: %w", errCommand)
	}
	r := &wire.Reader{Rest: src[checkpointHeader:]}
	c := &checkpoint{index: r.Uint(), boot: r.String()}
	c.image = imageMark{index: r.Uint(), next: log.Offset(r.Uint())}
	c.stateSync = readPoint(r)
	for range r.Count() {
		id := readPartitionID(r)
		c.partitions = append(c.partitions, partitionSync{id: id, point: readPoint(r)})
	}
	if r.Err == nil && len(r.Rest) > 0 {
		r.Err = errCommand
	}
	return c, r.Err
}

func checkpointName(dir string) string { return filepath.Join(dir, "checkpoint") }

// writeFile replaces a file by way of a temporary one; the new bytes and the
// name are durable when it returns.
func writeFile(files log.FS, name string, data []byte) error {
	return replaceFile(files, name, func(f log.File) error {
		_, err := f.WriteAt(data, 0)
		return err
	})
}

// replaceFile is writeFile for what write writes.
func replaceFile(files log.FS, name string, write func(log.File) error) error {
	temporary := name + ".tmp"
	f, err := files.Create(temporary)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = files.Rename(temporary, name)
	} else {
		_ = files.Remove(temporary) // a start does it otherwise
	}
	if err == nil {
		err = files.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// readFile returns a whole file.
func readFile(files log.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

func readCheckpoint(files log.FS, dir string) (*checkpoint, error) {
	data, err := readFile(files, checkpointName(dir))
	if err != nil {
		return nil, err
	}
	c, err := decodeCheckpoint(data)
	if fault.KindOf(err) == fault.Unsupported {
		return nil, fmt.Errorf("checkpoint %s: %w", checkpointName(dir), err)
	}
	if err != nil {
		return nil, fault.New(fault.Corrupt, "corrupt", "checkpoint %s: %w", checkpointName(dir), err)
	}
	return c, nil
}
