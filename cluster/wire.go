package cluster

import (
	"leat/cluster/internal/wire"
	"leat/cluster/state"
	"leat/log"
)

func appendPartitionID(dst []byte, id state.PartitionID) []byte {
	return wire.AppendUint(wire.AppendUint(dst, id.Topic), id.Partition)
}

func readPartitionID(r *wire.Reader) state.PartitionID {
	return state.PartitionID{Topic: r.Uint(), Partition: int32(r.Int())}
}

func appendPoint(dst []byte, p log.SyncPoint) []byte {
	dst = wire.AppendUint(wire.AppendUint(dst, p.Segment), p.SizeBytes)
	return wire.AppendUint(wire.AppendUint(dst, p.Next), uint64(p.Mark))
}

func readPoint(r *wire.Reader) log.SyncPoint {
	return log.SyncPoint{
		Segment:   log.Offset(r.Uint()),
		SizeBytes: r.Int(),
		Next:      log.Offset(r.Uint()),
		Mark:      log.Mark(r.Uint()),
	}
}
