package registry

import "sync"

// cacheBytes bounds the texts of the schemas that are kept read.
const cacheBytes = 8 << 20

// entry is a schema as the document of a version has it.
type entry struct {
	schema  *Schema
	version uint64
	parsed  parsed // nil where nobody has asked for it
}

func (e *entry) size() int {
	size := len(e.schema.Text) + 256
	for _, s := range e.schema.Sources {
		size += len(s.Text)
	}
	return size
}

// cache keeps schemas that have been read, by id. It is emptied when it is full. The
// zero cache is empty.
type cache struct {
	mu      sync.Mutex
	entries map[int]*entry
	bytes   int
}

// get finds the entry of an id, nil where the document has another version now.
func (c *cache) get(id int, version uint64) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[id]; e != nil && e.version == version {
		return e
	}
	return nil
}

func (c *cache) put(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[e.schema.ID]; old != nil {
		c.bytes -= old.size()
	}
	if c.bytes+e.size() > cacheBytes || c.entries == nil {
		c.entries, c.bytes = map[int]*entry{}, 0
	}
	c.entries[e.schema.ID] = e
	c.bytes += e.size()
}
