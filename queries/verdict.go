package queries

import (
	"encoding/json"
	"fmt"
	"strings"

	"leat/internal/bus"
)

// verdict is the document "failed/{id}" in the shard of the query: why it has failed for
// good, for the nodes that do not run it. It is about one generation: a start after it
// makes it void, so nobody has to take it back.
type verdict struct {
	Generation uint64 `json:"generation"`
	Error      string `json:"error"` // at most maxVerdictBytes
}

// maxVerdictBytes bounds the reason in a verdict.
const maxVerdictBytes = 4096

func verdictKey(id string) string { return "failed/" + id }

// condemn writes down why a query that this node runs has failed. It returns when that is
// done, the query is stopped or another node has begun to run it.
func (m *Manager) condemn(r *queryRun, err error) {
	text := err.Error()
	if len(text) > maxVerdictBytes {
		text = strings.ToValidUTF8(text[:maxVerdictBytes], "")
	}
	for {
		generation, own := m.generation(r)
		if !own {
			return
		}
		value, err := json.Marshal(verdict{Generation: generation, Error: text})
		if err == nil {
			_, err = m.docs.Transact(r.ctx, bus.Txn{Shard: r.entry.Shard, Puts: []bus.Doc{{Key: verdictKey(r.entry.ID), Value: value}}})
		}
		if err == nil || r.ctx.Err() != nil {
			return
		}
		m.logger.Warn("queries: the other nodes do not know yet that a query has failed", "query", r.entry.Name, "err", err)
		select {
		case <-r.ctx.Done():
			return
		case <-m.clock.After(maxRunBackoff):
		}
	}
}

// generation is the one that this node has run last, or, where it has not come to claim
// one, the one that it found; own is false if another node has claimed a later one.
func (m *Manager) generation(r *queryRun) (generation uint64, own bool) {
	found := r.foundGeneration()
	doc, ok := m.docs.Doc(r.entry.Shard, checkpointKey(r.entry.ID))
	if !ok {
		return found, true
	}
	saved, err := decodeCheckpoint(doc)
	if err != nil {
		return found, true
	}
	return saved.Generation, saved.Generation == found || strings.HasPrefix(saved.Owner, m.ownerOf(r.entry.ID))
}

// ownerOf is what all jobs of a query on this node name themselves by, up to their number.
func (m *Manager) ownerOf(id string) string { return fmt.Sprintf("%s/%s/", m.owner, id) }

// verdict is why another node has given a query up that is at a generation now; nil if
// none has.
func (m *Manager) verdict(e entry, generation uint64) (*verdict, error) {
	doc, found := m.docs.Doc(e.Shard, verdictKey(e.ID))
	if !found {
		return nil, nil
	}
	v, err := decodeDoc[verdict](doc)
	if err != nil || v.Generation < generation {
		return nil, err
	}
	return &v, nil
}
