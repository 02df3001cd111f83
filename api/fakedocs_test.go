package api

import (
	"context"
	"sort"
	"strings"
	"sync"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/log"
)

// fakeDocuments is one shard of documents whose log time stands still until it is
// set.
type fakeDocuments struct {
	mu        sync.Mutex
	docs      map[string]bus.Doc
	expired   map[string]bool
	changes   []bus.DocChange
	forgotten uint64 // versions up to it are not in changes
	version   uint64
	nowMs     int64
	bytes     int64 // reported, if not 0
	changed   chan struct{}
	confirms  int
	leader    uint64 // of both shards
	members   []bus.Member
	unsure    error // of Confirm
	confirmed func()
	// before, if set, runs at the start of a transaction, without the lock.
	before func()
}

const fakeNowMs = 1700000000000

func newFakeDocuments() *fakeDocuments {
	return &fakeDocuments{docs: map[string]bus.Doc{}, expired: map[string]bool{}, nowMs: fakeNowMs, leader: 1, changed: make(chan struct{})}
}

func (f *fakeDocuments) DataShard(string) uint64 { return 2 }

func (f *fakeDocuments) Confirm(context.Context, uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.confirms++
	if f.confirmed != nil {
		f.confirmed()
	}
	return f.unsure
}

func (f *fakeDocuments) Doc(_ uint64, key string) (bus.Doc, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.docs[key]
	return d, ok
}

func (f *fakeDocuments) DocExpired(_ uint64, key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.expired[key]
}

func (f *fakeDocuments) DocsPage(_ uint64, prefix, after string, limit int) []bus.Doc {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page []bus.Doc
	for key, d := range f.docs {
		if strings.HasPrefix(key, prefix) && key > after {
			page = append(page, d)
		}
	}
	sort.Slice(page, func(i, j int) bool { return page[i].Key < page[j].Key })
	return page[:min(len(page), limit)]
}

func (f *fakeDocuments) DocChanges(_, since uint64, prefix string) (changes []bus.DocChange, next uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.changes {
		if c.Version > since && strings.HasPrefix(c.Key, prefix) {
			changes = append(changes, c)
		}
	}
	return changes, f.version, since >= f.forgotten
}

func (f *fakeDocuments) DocVersion(uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version
}

func (f *fakeDocuments) DocsChanged(uint64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fakeDocuments) Transact(_ context.Context, t bus.Txn) (result bus.TxnResult, err error) {
	f.mu.Lock()
	before := f.before
	f.mu.Unlock()
	if before != nil {
		before()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.Fence != nil && f.docs[t.Fence.Key].Version != t.Fence.Version {
		return result, fault.New(fault.Conflict, "fenced", "the document has another version")
	}
	for _, d := range t.Puts {
		f.version++
		kept := bus.Doc{Key: d.Key, Value: append([]byte{}, d.Value...), Version: f.version, CreatedMs: f.nowMs, UpdatedMs: f.nowMs}
		if old, ok := f.docs[d.Key]; ok {
			kept.CreatedMs = old.CreatedMs
		}
		if d.TTLMs > 0 {
			kept.ExpiresMs = f.nowMs + d.TTLMs
		}
		delete(f.expired, d.Key)
		f.docs[d.Key] = kept
		f.note(bus.DocChange{Key: d.Key, Version: f.version, Value: kept.Value})
		result.Versions = append(result.Versions, f.version)
	}
	for _, key := range t.Deletes {
		_, found := f.docs[key]
		if found {
			f.version++
			delete(f.docs, key)
			f.note(bus.DocChange{Key: key, Version: f.version, Gone: true})
		}
		result.Deleted = append(result.Deleted, found)
	}
	return result, nil
}

func (f *fakeDocuments) note(c bus.DocChange) {
	f.changes = append(f.changes, c)
	close(f.changed)
	f.changed = make(chan struct{})
}

// pass lets log time go on.
func (f *fakeDocuments) pass(ms int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nowMs += ms
	for key, d := range f.docs {
		if d.ExpiresMs > 0 && d.ExpiresMs <= f.nowMs {
			f.version++
			delete(f.docs, key)
			f.expired[key] = true
			f.note(bus.DocChange{Key: key, Version: f.version, Gone: true, Expired: true})
		}
	}
}

// set changes the fake under its lock.
func (f *fakeDocuments) set(alter func(*fakeDocuments)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	alter(f)
}

// fakeCluster is a node of one metadata and one data shard.
type fakeCluster struct{ documents *fakeDocuments }

func (f fakeCluster) ID() uint64 { return 1 }

func (f fakeCluster) Shards() []bus.Shard {
	f.documents.mu.Lock()
	defer f.documents.mu.Unlock()
	return []bus.Shard{
		{ID: bus.MetaShard, LeaderID: f.documents.leader, Term: 3, Applied: 9, Checkpointed: 8, LogTimeMs: f.documents.nowMs},
		{ID: 2, LeaderID: f.documents.leader, Term: 4, Applied: 21, Checkpointed: 20, QueuedBytes: 5, LogTimeMs: f.documents.nowMs, DocBytes: f.documents.bytes},
	}
}

func (f fakeCluster) DocBytes(shard uint64) int64 {
	f.documents.mu.Lock()
	defer f.documents.mu.Unlock()
	if shard == bus.MetaShard {
		return 0
	}
	return f.documents.bytes
}

func (f fakeCluster) RaftLogBytes() int64 { return 4096 }

func (f fakeCluster) Members() []bus.Member {
	f.documents.mu.Lock()
	defer f.documents.mu.Unlock()
	return f.documents.members
}

func (f fakeCluster) Transfer(_ context.Context, shard, replica uint64) error {
	if shard > 2 {
		return fault.New(fault.NotFound, "not_found", "There is no shard %d", shard)
	}
	f.documents.set(func(d *fakeDocuments) { d.leader = replica })
	return nil
}

func (f fakeCluster) Membership(context.Context) (bus.Membership, error) {
	all := f.Members()
	if len(all) == 0 {
		return bus.Membership{DataShards: 1}, nil
	}
	return bus.Membership{Cluster: "c0ffee", DataShards: 3, Members: all}, nil
}

func (f fakeCluster) AddMember(_ context.Context, m bus.Member, replaces uint64) (bus.Member, error) {
	if m.ID == "a" && replaces == 0 {
		return m, fault.New(fault.Conflict, "member_exists", "Node %q is a member, at 10.0.0.1:7001", m.ID)
	}
	m.ReplicaID, m.State = 4+replaces, "joining"
	return m, nil
}

func (f fakeCluster) RemoveMember(_ context.Context, id string) (bus.Member, error) {
	if id != "d" {
		return bus.Member{}, fault.New(fault.NotFound, "not_found", "There is no node %q", id)
	}
	return bus.Member{ReplicaID: 4, ID: id, RaftAddress: "10.0.0.4:7001", URL: "http://10.0.0.4:1109", Priority: 1, State: "leaving"}, nil
}

// The calls of Trimming, on the fake of the topics.

func (f *fakeTopics) DeleteBefore(_ context.Context, topic string, p int32, before log.Offset) (records, freed int64, err error) {
	l, err := f.log(topic, p)
	if err != nil {
		return 0, 0, err
	}
	first := l.First()
	if before = min(before, l.Next()); before <= first {
		return 0, 0, nil
	}
	l.Trim(before)
	freed, err = l.DropTrimmed()
	return int64(before - first), freed, err
}

func (f *fakeTopics) SetRetention(_ context.Context, topic string, p int32, r bus.Retention) error {
	if _, ok := f.Topic(topic); !ok && topic != "*" {
		return unknownTopic(topic)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retention = append(f.retention, setRetention{topic, p, r})
	return nil
}

type setRetention struct {
	topic     string
	partition int32
	policy    bus.Retention
}
