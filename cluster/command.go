package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/log"
)

// A proposal is what one raft entry carries, little endian:
//
//	0        1                 9
//	+--------+-----------------+----------------- - - -
//	| 1      | time, ms (i64)  | commands
//	+--------+-----------------+----------------- - - -
//
// and a command, back to back with the next:
//
//	0        1                 5
//	+--------+-----------------+----------------- - - -
//	| kind   | length (u32)    | body
//	+--------+-----------------+----------------- - - -
//
// The body's integers are uvarints, its strings and bytes preceded by their
// length. The answer to a proposal is an answer per command, in order, each
// `code u8 | length uvarint | body`.
const (
	proposalVersion = 1
	proposalHeader  = 9
	commandHeader   = 5
)

type commandKind uint8

const (
	cmdAppend      commandKind = 1 // topic, partition, key flag [, key hash, body hash], count, block
	cmdCommit      commandKind = 2 // topic, partition, group, offset
	cmdCreateTopic commandKind = 3 // name, internal, shards
	cmdDeleteTopic commandKind = 4 // name
	cmdOpen        commandKind = 5 // topic, partitions
	cmdDrop        commandKind = 6 // topic
	cmdTxn         commandKind = 7 // fence, appends, puts, deletes, trims
	cmdTick        commandKind = 8 // nothing: the proposal's time is the point
	cmdCompare     commandKind = 9 // nothing: replicas take a digest of their state
)

// answerCode is the outcome of a command. An answer other than answered has
// changed nothing.
type answerCode uint8

const (
	answered         answerCode = 0
	answerNotOpen    answerCode = 1 // the partition is not open in this shard
	answerKeyOther   answerCode = 2 // the idempotency key stands for another body
	answerFenced     answerCode = 3 // the fence's document has another version, which is the body
	answerExists     answerCode = 4 // a topic of that name exists: its number and partitions
	answerNoTopic    answerCode = 5 // no topic of that name
	answerUnreadable answerCode = 6 // the command does not decode: a newer or broken proposer
)

var errCommand = errors.New("command does not decode")

// beginCommand appends a command's header; endCommand fills in the length once
// the body is there.
func beginCommand(dst []byte, kind commandKind) []byte {
	return append(dst, byte(kind), 0, 0, 0, 0)
}

func endCommand(dst []byte, start int) []byte {
	binary.LittleEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-commandHeader))
	return dst
}

// appendCommand is one append as it travels. Block is a view.
type appendCommand struct {
	id    state.PartitionID
	keyed bool
	key   state.KeyHash
	body  [8]byte
	block log.Block
}

func (c *appendCommand) encode(dst []byte) []byte {
	start := len(dst)
	return endCommand(c.encodeBody(beginCommand(dst, cmdAppend)), start)
}

func (c *appendCommand) encodeBody(dst []byte) []byte {
	dst = appendPartitionID(dst, c.id)
	if c.keyed {
		dst = append(dst, 1)
		dst = append(append(dst, c.key[:]...), c.body[:]...)
	} else {
		dst = append(dst, 0)
	}
	dst = wire.AppendUint(dst, c.block.Count)
	return wire.AppendBytes(dst, c.block.Bytes)
}

// sizeBytes is an upper bound of what encode appends.
func (c *appendCommand) sizeBytes() int { return len(c.block.Bytes) + 80 }

func decodeAppend(r *wire.Reader) appendCommand {
	c := appendCommand{id: readPartitionID(r)}
	if c.keyed = r.Byte() == 1; c.keyed {
		copy(c.key[:], r.Take(uint64(len(c.key))))
		copy(c.body[:], r.Take(uint64(len(c.body))))
	}
	c.block.Count = int(r.Uint())
	c.block.Bytes = r.View()
	return c
}

// txnCommand is a transaction as it travels.
type txnCommand struct {
	fenced  bool
	fence   string
	version uint64
	appends []appendCommand
	puts    []putCommand
	deletes []string
	trims   []state.Trim
}

// putCommand writes a document; it expires ttlMs of log time after the entry, or
// never if that is 0.
type putCommand struct {
	key   string
	value []byte
	ttlMs int64
}

func (c *txnCommand) encode(dst []byte) []byte {
	start := len(dst)
	dst = beginCommand(dst, cmdTxn)
	if c.fenced {
		dst = wire.AppendUint(wire.AppendBytes(append(dst, 1), c.fence), c.version)
	} else {
		dst = append(dst, 0)
	}
	dst = wire.AppendUint(dst, uint64(len(c.appends)))
	for i := range c.appends {
		dst = c.appends[i].encodeBody(dst)
	}
	dst = wire.AppendUint(dst, uint64(len(c.puts)))
	for _, p := range c.puts {
		dst = wire.AppendBytes(wire.AppendBytes(dst, p.key), p.value)
		dst = wire.AppendUint(dst, p.ttlMs)
	}
	dst = wire.AppendUint(dst, uint64(len(c.deletes)))
	for _, key := range c.deletes {
		dst = wire.AppendBytes(dst, key)
	}
	dst = wire.AppendUint(dst, uint64(len(c.trims)))
	for _, t := range c.trims {
		dst = wire.AppendUint(appendPartitionID(dst, t.ID), t.First)
	}
	return endCommand(dst, start)
}

func decodeTxn(r *wire.Reader) txnCommand {
	var c txnCommand
	if c.fenced = r.Byte() == 1; c.fenced {
		c.fence, c.version = r.String(), r.Uint()
	}
	for range r.Count() {
		c.appends = append(c.appends, decodeAppend(r))
	}
	for range r.Count() {
		key, value := r.String(), append([]byte{}, r.View()...)
		c.puts = append(c.puts, putCommand{key: key, value: value, ttlMs: int64(r.Uint())})
	}
	for range r.Count() {
		c.deletes = append(c.deletes, r.String())
	}
	for range r.Count() {
		id := readPartitionID(r)
		c.trims = append(c.trims, state.Trim{ID: id, First: log.Offset(r.Uint())})
	}
	return c
}

func encodeCommit(dst []byte, id state.GroupID, offset log.Offset) []byte {
	start := len(dst)
	dst = appendPartitionID(beginCommand(dst, cmdCommit), id.PartitionID)
	return endCommand(wire.AppendUint(wire.AppendBytes(dst, id.Group), offset), start)
}

func encodeCreateTopic(dst []byte, name string, internal bool, shards []uint64) []byte {
	start := len(dst)
	dst = wire.AppendBytes(beginCommand(dst, cmdCreateTopic), name)
	if internal {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	dst = wire.AppendUint(dst, uint64(len(shards)))
	for _, s := range shards {
		dst = wire.AppendUint(dst, s)
	}
	return endCommand(dst, start)
}

func encodeDeleteTopic(dst []byte, name string) []byte {
	start := len(dst)
	return endCommand(wire.AppendBytes(beginCommand(dst, cmdDeleteTopic), name), start)
}

func encodeOpen(dst []byte, topic uint64, partitions []int32) []byte {
	start := len(dst)
	dst = wire.AppendUint(beginCommand(dst, cmdOpen), topic)
	dst = wire.AppendUint(dst, uint64(len(partitions)))
	for _, p := range partitions {
		dst = wire.AppendUint(dst, p)
	}
	return endCommand(dst, start)
}

func encodeDrop(dst []byte, topic uint64) []byte {
	start := len(dst)
	return endCommand(wire.AppendUint(beginCommand(dst, cmdDrop), topic), start)
}

func encodeTick(dst []byte) []byte { return beginCommand(dst, cmdTick) }

func encodeCompare(dst []byte) []byte { return beginCommand(dst, cmdCompare) }

// forEachCommand splits a proposal: first its time, then its commands. visit's
// body is a view of the proposal.
func forEachCommand(proposal []byte, tick func(timeMs int64), visit func(kind commandKind, body []byte) error) error {
	if len(proposal) < proposalHeader {
		return fmt.Errorf("proposal of %d bytes: %w", len(proposal), errCommand)
	}
	if proposal[0] != proposalVersion {
		return fmt.Errorf("proposal of version %d: %w", proposal[0], errCommand)
	}
	tick(int64(binary.LittleEndian.Uint64(proposal[1:])))
	rest := proposal[proposalHeader:]
	for len(rest) > 0 {
		if len(rest) < commandHeader {
			return fmt.Errorf("command header of %d bytes: %w", len(rest), errCommand)
		}
		n := int(binary.LittleEndian.Uint32(rest[1:]))
		if n > len(rest)-commandHeader {
			return fmt.Errorf("command of %d bytes in %d: %w", n, len(rest)-commandHeader, errCommand)
		}
		if err := visit(commandKind(rest[0]), rest[commandHeader:commandHeader+n]); err != nil {
			return err
		}
		rest = rest[commandHeader+n:]
	}
	return nil
}

// appendAnswer appends one command's answer.
func appendAnswer(dst []byte, code answerCode, body []byte) []byte {
	return wire.AppendBytes(append(dst, byte(code)), body)
}

// nextAnswer takes the first answer off the front.
func nextAnswer(src []byte) (code answerCode, body, rest []byte, err error) {
	r := wire.Reader{Rest: src}
	code = answerCode(r.Byte())
	body = r.View()
	return code, body, r.Rest, r.Err
}
