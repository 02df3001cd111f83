package queries

import (
	"runtime"
	"time"
)

// RunOptions are the knobs of a job. None of them has an influence on results, only
// on speed, memory and how much is done again after a crash. The zero value of each
// stands for its default.
type RunOptions struct {
	BatchRows  int // rows a batch has at most: 4096
	BatchBytes int // bytes of records a batch has at most, unless it is a single one: 512 KiB
	ReadBytes  int // bytes read at once from a partition: 1 MiB, less with many partitions

	EpochRows     int           // an epoch is cut after so many rows: 524288
	EpochBytes    int           // or so many bytes of output or changed state: 1 MiB
	EpochInterval time.Duration // or so much time: 200 ms

	// Workers is how many partitions are processed at the same time: GOMAXPROCS.
	Workers int
	// LeadBytes is the state, in bytes, above which only the partitions with the
	// lowest watermark are read, for the others would but add to it: 64 MiB.
	LeadBytes int64

	// StateLimit is the state, in bytes, above which the query fails: 1 GiB.
	StateLimit int64

	StateChunkBytes int   // changed state beyond it goes into transactions of its own: 256 KiB
	StateLogBytes   int64 // the state log may grow to it, or 4 times the live state: 1 MiB

	// ReadSeed, if not 0, has the partitions read in a random order.
	ReadSeed uint64
	// FixedEpochs has epochs end for no other reason than rows and bytes, and at the
	// end of a bounded run.
	FixedEpochs bool
}

const (
	defaultReadBytes = 1 << 20
	readBudget       = 32 << 20 // over all partitions
	minReadBytes     = 64 << 10
)

func (o RunOptions) withDefaults(partitions int) RunOptions {
	setDefault(&o.BatchRows, 4096)
	setDefault(&o.BatchBytes, 512<<10)
	setDefault(&o.ReadBytes, min(defaultReadBytes, max(minReadBytes, readBudget/max(1, partitions))))
	setDefault(&o.EpochRows, 512<<10)
	setDefault(&o.EpochBytes, 1<<20)
	if o.EpochInterval <= 0 {
		o.EpochInterval = 200 * time.Millisecond
	}
	setDefault(&o.Workers, runtime.GOMAXPROCS(0))
	setDefault(&o.LeadBytes, 64<<20)
	setDefault(&o.StateLimit, 1<<30)
	setDefault(&o.StateChunkBytes, 256<<10)
	setDefault(&o.StateLogBytes, 1<<20)
	o.BatchRows, o.BatchBytes = min(o.BatchRows, 4096), min(o.BatchBytes, 512<<10)
	o.EpochBytes, o.StateChunkBytes = min(o.EpochBytes, 1<<20), min(o.StateChunkBytes, 256<<10)
	return o
}

func setDefault[T int | int64](n *T, value T) {
	if *n <= 0 {
		*n = value
	}
}
