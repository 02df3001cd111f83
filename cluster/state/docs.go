package state

import "encoding/binary"

// Doc is a stored document. Value is not to be changed. Times are log time.
type Doc struct {
	Value     []byte
	Version   uint64
	CreatedMs int64
	UpdatedMs int64
	ExpiresMs int64 // gone once log time reaches it; 0 = never
}

// Change is what happened to a document. The versions of changes ascend.
type Change struct {
	Key     string
	Version uint64
	Value   []byte // nil where the document is gone
	Gone    bool
	Expired bool // gone because its time had come
}

// RememberExpiredMs is how long, in log time, a document that expired is
// remembered as one.
const RememberExpiredMs = 5 * 60 * 1000

// docOverhead is what a document costs in memory besides key and value, about, and
// expiredOverhead one that is remembered as expired, besides its key, twice.
const (
	docOverhead     = 160
	expiredOverhead = 110
)

// Doc finds a document; Version is 0 where there is none.
func (s *State) Doc(key string) Doc {
	d, _ := s.docs.Get(key)
	return d
}

// DocsFrom visits the documents whose key is at least from, in order, until
// visit returns false.
func (s *State) DocsFrom(from string, visit func(key string, d Doc) bool) {
	s.docs.Ascend(from, visit)
}

// Expired tells whether there was a document that expired not long ago.
func (s *State) Expired(key string) bool {
	_, ok := s.expired.Get(key)
	return ok
}

// DocVersion is the version of the last change. Versions grow with every change
// of any document and are never used again.
func (s *State) DocVersion() uint64 { return s.docVersion }

// DocBytes is the memory the documents take, about, and those that are remembered as
// expired.
func (s *State) DocBytes() int64 { return s.docBytes }

// NextExpiryMs is when the next document expires, 0 where none does.
func (s *State) NextExpiryMs() int64 {
	first, ok := s.expiring.Min()
	if !ok {
		return 0
	}
	atMs, _ := splitDue(first)
	return atMs
}

// TakeChanges returns what happened to documents since the last call.
func (s *State) TakeChanges() []Change {
	taken := s.changes
	s.changes = nil
	return taken
}

func docBytes(key string, d Doc) int64 { return int64(len(key) + len(d.Value) + docOverhead) }

func expiredBytes(key string) int64 { return int64(2*len(key) + expiredOverhead) }

func (s *State) putDoc(key string, d Doc) {
	if had, ok := s.docs.Set(key, d); ok {
		s.forgetDoc(key, had)
	}
	s.docBytes += docBytes(key, d)
	if d.ExpiresMs > 0 {
		s.expiring.Insert(due(d.ExpiresMs, key))
	}
	s.forgetExpired(key)
	s.docVersion = max(s.docVersion, d.Version)
	s.changes = append(s.changes, Change{Key: key, Version: d.Version, Value: d.Value})
}

// unputDoc takes a document away, and tells whether there was one.
func (s *State) unputDoc(key string) bool {
	d, ok := s.docs.Delete(key)
	if ok {
		s.forgetDoc(key, d)
	}
	return ok
}

// forgetDoc takes back what putDoc noted of a document.
func (s *State) forgetDoc(key string, d Doc) {
	s.docBytes -= docBytes(key, d)
	if d.ExpiresMs > 0 {
		s.expiring.Delete(due(d.ExpiresMs, key))
	}
}

// expire ends the documents whose time has come, in order of time and key, and
// forgets those that ended long ago.
func (s *State) expire() {
	for {
		first, ok := s.expiring.Min()
		if !ok {
			break
		}
		atMs, key := splitDue(first)
		if atMs > s.logTimeMs {
			break
		}
		s.unputDoc(key)
		s.rememberExpired(key, atMs)
		s.docVersion++
		s.changes = append(s.changes, Change{Key: key, Version: s.docVersion, Gone: true, Expired: true})
	}
	for {
		first, ok := s.forgetting.Min()
		if !ok {
			return
		}
		atMs, key := splitDue(first)
		if atMs > s.logTimeMs {
			return
		}
		s.forgetExpired(key)
	}
}

func (s *State) rememberExpired(key string, atMs int64) {
	s.docBytes += expiredBytes(key)
	s.expired.Set(key, atMs)
	s.forgetting.Insert(due(atMs+RememberExpiredMs, key))
}

func (s *State) forgetExpired(key string) {
	if atMs, ok := s.expired.Delete(key); ok {
		s.docBytes -= expiredBytes(key)
		s.forgetting.Delete(due(atMs+RememberExpiredMs, key))
	}
}

// due makes a key that orders by time, then by document.
func due(atMs int64, key string) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(atMs))) + key
}

func splitDue(d string) (atMs int64, key string) {
	return int64(binary.BigEndian.Uint64([]byte(d[:8]))), d[8:]
}
