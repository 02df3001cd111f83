package state

import (
	"cmp"
	"maps"
	"slices"

	"leat/cluster/internal/wire"
	"leat/log"
)

func appendPartition(dst []byte, id PartitionID) []byte {
	return wire.AppendUint(wire.AppendUint(dst, id.Topic), id.Partition)
}

func readPartition(r *wire.Reader) PartitionID {
	return PartitionID{Topic: r.Uint(), Partition: int32(r.Int())}
}

func comparePartitions(a, b PartitionID) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func sortedPartitions[V any](m map[PartitionID]V) []PartitionID {
	return slices.SortedFunc(maps.Keys(m), comparePartitions)
}

func readTopic(r *wire.Reader) Topic {
	t := Topic{ID: r.Uint(), Internal: r.Bool(), CreatedMs: r.Int(), Name: r.String()}
	t.Shards = make([]uint64, r.Count())
	for i := range t.Shards {
		t.Shards[i] = r.Uint()
	}
	return t
}

func readRemember(r *wire.Reader) Remember {
	o := Remember{ID: readPartition(r)}
	copy(o.Key[:], r.Take(uint64(len(o.Key))))
	copy(o.Entry.Body[:], r.Take(uint64(len(o.Entry.Body))))
	o.Entry.Base = log.Offset(r.Uint())
	o.Entry.Count = int(r.Uint())
	return o
}

func readPut(r *wire.Reader) Put {
	o := Put{Key: r.String()}
	o.Doc.Value = r.Bytes()
	o.Doc.Version = r.Uint()
	o.Doc.CreatedMs, o.Doc.UpdatedMs, o.Doc.ExpiresMs = r.Int(), r.Int(), r.Int()
	return o
}
