package formats

import (
	"fmt"

	"leat/codecs/protocodec"
)

// messages are the decoders of one Protobuf schema: each record behind an id says with a
// message index of which type it is.
type messages struct {
	of      *decoder
	schema  *protocodec.Schema
	what    string // the schema is
	first   *writer
	others  map[string]*writer // by the shortest form of their index
	unknown *writer
	index   []int
	key     []byte
}

func newMessages(of *decoder, schema *protocodec.Schema, what string) *messages {
	return &messages{
		of: of, schema: schema, what: what, others: map[string]*writer{},
		unknown: &writer{refused: what + ": the record does not start with the index of one of its message types"},
	}
}

// writerOf finds the decoder of what follows an id, and takes the index off.
func (m *messages) writerOf(framed []byte) (*writer, []byte) {
	if len(framed) > 0 && framed[0] == 0 && m.first != nil {
		return m.first, framed[1:]
	}
	index, message, ok := protocodec.CutIndex(m.index[:0], framed)
	m.index = index
	if !ok {
		return m.unknown, framed
	}
	m.key = protocodec.AppendIndex(m.key[:0], index)
	if w := m.others[string(m.key)]; w != nil {
		return w, message
	}
	t, err := m.schema.MessageAt(index)
	if err != nil {
		return m.unknown, framed
	}
	w := &writer{decoder: protocodec.NewDecoder(t, m.of.paths)}
	m.of.note(fmt.Sprintf("%s, message %s,", m.what, t.Name()), m.of.format.reader.misfits(t, m.of.paths))
	m.others[string(m.key)] = w
	if len(index) == 1 && index[0] == 0 {
		m.first = w
	}
	return w, message
}

// forget drops the decoders that are stale, once there are many.
func (m *messages) forget(stale func(*writer) bool) {
	if len(m.others) <= maxWriters {
		return
	}
	for key, w := range m.others {
		if stale(w) {
			delete(m.others, key)
		}
	}
}
