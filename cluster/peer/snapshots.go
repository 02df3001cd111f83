package peer

import (
	"bytes"
	"errors"
	"sync"

	pb "github.com/lni/dragonboat/v4/raftpb"

	"leat/internal/fault"
)

// place is where a shard's snapshot comes in: from one connection at a time, the one that
// began last.
type place struct {
	mu   sync.Mutex
	from *arrival // nil = nothing is under way
}

// arrival is the chunks of a connection, which are of one snapshot. One goroutine uses it.
type arrival struct {
	network *Network
	from    *Hello
	place   *place   // nil before the first chunk
	first   pb.Chunk // without its data
	next    uint64   // number of the chunk that is due
}

// place is that of a shard; there is one for each shard that a snapshot ever came of.
func (n *Network) place(shard uint64) *place {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.places[shard]
	if p == nil {
		p = new(place)
		n.places[shard] = p
	}
	return p
}

// chunk hands a chunk on.
func (s *arrival) chunk(body []byte) error {
	var chunk pb.Chunk
	if err := decode(&chunk, body); err != nil {
		return fault.New(fault.Invalid, codeMalformed, "decode a chunk: %w", err)
	}
	if err := s.checkChunk(&chunk); err != nil {
		return err
	}
	if s.place == nil {
		s.place = s.network.place(chunk.ShardID)
	}
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	if chunk.ChunkId == 0 {
		s.place.drop()
		s.place.from, s.first = s, chunk
		s.first.Data = nil
	}
	if s.place.from != s {
		return errors.New("a chunk without those before it")
	}
	s.next = chunk.ChunkId + 1
	if !s.network.chunks(chunk) {
		return errors.New("a chunk was not taken")
	}
	if chunk.IsLastChunk() {
		s.place.from = nil
	}
	return nil
}

// end drops what has come of a snapshot that was cut.
func (s *arrival) end() {
	if s.place == nil {
		return
	}
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	if s.place.from == s {
		s.place.drop()
	}
}

// drop has dragonboat remove what it has stored of the stream under way, which it keeps
// for a quarter of an hour otherwise: streams that are cut one after the other would fill
// the disk, and with 128 of them nothing is received any more. It forgets a snapshot whose
// last chunk has come and which is none, as what is sent here for a last chunk makes it.
// Where that comes too early for it to look at, a snapshot that seems to begin anew, with a
// header that says that it is too long, has it remove the files. It needs mu.
func (p *place) drop() {
	s := p.from
	if s == nil {
		return
	}
	p.from = nil
	last := s.first
	last.ChunkId, last.FileChunkId, last.ChunkCount, last.Data = s.next, s.next, pb.LastChunkCount, bytes.Repeat([]byte{0xff}, noHeader)
	_ = s.network.chunks(last)
	anew := s.first
	anew.Data = last.Data
	_ = s.network.chunks(anew)
}
