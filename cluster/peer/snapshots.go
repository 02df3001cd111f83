package peer

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	pb "github.com/lni/dragonboat/v4/raftpb"
)

// noHeader is the size of the header that a snapshot begins with in its first chunk.
const noHeader = 1 << 10

// place is where a shard's snapshot comes in: from one connection at a time, the one that
// began last.
type place struct {
	mu   sync.Mutex
	from *arrival // nil = nothing is under way
}

// arrival is the chunks of a connection, which are of one snapshot. One goroutine uses it.
type arrival struct {
	network *Network
	place   *place   // nil before the first chunk
	first   pb.Chunk // with noHeader bytes for data
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
	if err := chunk.Unmarshal(body); err != nil {
		return fmt.Errorf("decode a chunk: %w", err)
	}
	if s.place == nil {
		s.place = s.network.place(chunk.ShardID)
	} else if chunk.ShardID != s.first.ShardID {
		return fmt.Errorf("a chunk of shard %d in a snapshot of shard %d", chunk.ShardID, s.first.ShardID)
	}
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	if chunk.ChunkId == 0 {
		s.place.drop()
		s.place.from, s.first = s, chunk
		s.first.Data = bytes.Repeat([]byte{0xff}, noHeader)
	}
	if s.place.from != s {
		return errors.New("a chunk without those before it")
	}
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
// the disk. It does so when the snapshot seems to begin anew, and it refuses this chunk,
// whose header says that it is too long. It needs mu.
func (p *place) drop() {
	if p.from != nil {
		_ = p.from.network.chunks(p.from.first)
		p.from = nil
	}
}
