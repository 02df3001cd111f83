// Package formatstest holds registered schemas in memory, for tests of what reads them.
package formatstest

import (
	"context"
	"sync"

	"leat/codecs/formats"
	"leat/internal/fault"
)

var _ formats.Registry = (*Registry)(nil)

// Registry is a formats.Registry of one process. What is registered is known to all but
// those who look while it lags: they know it once they have asked for the last id. It is
// safe for concurrent use.
type Registry struct {
	mu       sync.Mutex
	schemas  []formats.Schema // id k+1 is the k-th
	subjects map[string][]formats.Version
	seen     int   // ids that Lag has left known
	lags     bool  //
	down     error // of LastID
	asked    int
	reasons  []string // of Compare
}

// New makes an empty registry.
func New() *Registry { return &Registry{subjects: map[string][]formats.Version{}} }

// Register adds a version to a subject and returns its id.
func (r *Registry) Register(subject, language, text string, sources ...formats.Source) (id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := formats.Schema{ID: len(r.schemas) + 1, Language: language, Text: text, Sources: sources}
	r.schemas = append(r.schemas, s)
	r.subjects[subject] = append(r.subjects[subject], formats.Version{
		Subject: subject, Number: len(r.subjects[subject]) + 1, Schema: s,
	})
	return s.ID
}

// Add implements formats.Registry. A schema is the same as another if its text is.
func (r *Registry) Add(_ context.Context, subject string, s formats.Schema) (formats.Version, error) {
	r.mu.Lock()
	for _, v := range r.subjects[subject] {
		if v.Schema.Language == s.Language && v.Schema.Text == s.Text {
			r.mu.Unlock()
			return v, nil
		}
	}
	r.mu.Unlock()
	r.Register(subject, s.Language, s.Text, s.Sources...)
	return r.At(subject, formats.Latest)
}

// Refuse has Compare tell the reasons.
func (r *Registry) Refuse(reasons ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons = reasons
}

// Compare implements formats.Registry. It takes everything, but for what Refuse tells.
func (r *Registry) Compare(context.Context, string, formats.Schema) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reasons, nil
}

// Lag has everything that is registered from now on be unknown until LastID is asked.
func (r *Registry) Lag() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lags, r.seen = true, len(r.schemas)
}

// Break has LastID fail; nil mends it.
func (r *Registry) Break(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = err
}

// Asked is how often LastID has been asked.
func (r *Registry) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *Registry) known() int {
	if r.lags {
		return r.seen
	}
	return len(r.schemas)
}

// ByID implements formats.Registry.
func (r *Registry) ByID(id int) (formats.Schema, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id < 1 || id > r.known() {
		return formats.Schema{}, fault.New(fault.NotFound, "schema_not_found", "there is no schema %d", id)
	}
	return r.schemas[id-1], nil
}

// At implements formats.Registry.
func (r *Registry) At(subject string, number int) (formats.Version, error) {
	versions, _ := r.Every(subject)
	switch {
	case len(versions) == 0:
		return formats.Version{}, fault.New(fault.NotFound, "subject_not_found", "there is no subject %q", subject)
	case number == formats.Latest:
		number = len(versions)
	case number < 1 || number > len(versions):
		return formats.Version{}, fault.New(fault.NotFound, "version_not_found", "there is no version %d of %q", number, subject)
	}
	return versions[number-1], nil
}

// Every implements formats.Registry.
func (r *Registry) Every(subject string) ([]formats.Version, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var known []formats.Version
	for _, v := range r.subjects[subject] {
		if v.Schema.ID <= r.known() {
			known = append(known, v)
		}
	}
	return known, nil
}

// LastID implements formats.Registry.
func (r *Registry) LastID(ctx context.Context) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.down != nil {
		return 0, r.down
	}
	r.seen = len(r.schemas)
	return len(r.schemas), ctx.Err()
}

// State implements formats.Registry.
func (r *Registry) State() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(r.known())
}
