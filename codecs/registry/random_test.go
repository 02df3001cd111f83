package registry

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"leat/internal/fault"
	"leat/internal/testenv"
)

// sound checks what holds between the documents.
func (d *desk) sound() {
	d.Helper()
	var have head
	d.each(headKey, func(_ string, value []byte) { d.parse(value, &have) })
	want := head{LastID: have.LastID}
	uses, referrers, hashes := map[string]bool{}, map[string]bool{}, map[string]string{}
	want.Subjects = d.each(subjectPrefix, func(subject string, value []byte) { d.soundSubject(subject, value, uses) })
	d.each(idPrefix, func(rest string, value []byte) {
		var r record
		d.parse(value, &r)
		want.Bytes += len(r.Text)
		hashes[rest] = r.Hash
		var id int
		_, _ = fmt.Sscanf(rest, "%d", &id)
		if s := (&session{docs: d.docs}); id > have.LastID || len(s.keys(usesOf(id))) == 0 {
			d.Errorf("id %d has no use, or is above %d", id, have.LastID)
		}
		for _, reference := range r.References {
			referrers[referrerKey(reference.Subject, reference.Version, id)] = true
		}
	})
	d.each(hashPrefix, func(hash string, value []byte) {
		var same identity
		d.parse(value, &same)
		for _, id := range same.IDs {
			if rest := fmt.Sprintf("%010d", id); hashes[rest] != hash {
				d.Errorf("identity %s has id %d, which has %s", hash, id, hashes[rest])
			} else {
				delete(hashes, rest)
			}
		}
	})
	if have != want || len(hashes) > 0 {
		d.Errorf("head %+v, want %+v; without identity: %v", have, want, hashes)
	}
	for prefix, keys := range map[string]map[string]bool{usePrefix: uses, referrerPrefix: referrers} {
		n := d.each(prefix, func(rest string, _ []byte) {
			if !keys[prefix+rest] {
				d.Errorf("%q is there and should not be", prefix+rest)
			}
		})
		if n != len(keys) {
			d.Errorf("%d of %s, want %d", n, prefix, len(keys))
		}
	}
}

// soundSubject checks a subject and notes the uses that it has to have.
func (d *desk) soundSubject(subject string, value []byte, uses map[string]bool) {
	var record subjectRecord
	d.parse(value, &record)
	last := 0
	for _, v := range record.Versions {
		if v.Number <= last {
			d.Errorf("%s: versions %+v", subject, record)
		}
		last = v.Number
		uses[useKey(v.ID, subject)] = true
		if d.docs.docs[idKey(v.ID)].Version == 0 {
			d.Errorf("%s version %d has id %d, which is not there", subject, v.Number, v.ID)
		}
	}
	if last == 0 {
		d.Errorf("%s has no versions", subject)
	}
}

// each visits the documents below a prefix and counts them.
func (d *desk) each(prefix string, visit func(rest string, value []byte)) (n int) {
	for key, doc := range d.docs.docs {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			visit(rest, doc.Value)
			n++
		}
	}
	return n
}

func (d *desk) parse(value []byte, v any) {
	if err := json.Unmarshal(value, v); err != nil {
		d.Fatalf("%s: %v", value, err)
	}
}

// Whatever is done, the documents agree, everything that is there can be read, and two
// registries that do the same have the same documents.
func TestRandomChanges(t *testing.T) {
	t.Parallel()
	n := testenv.Seed(t)
	for round := range 30 {
		a, b := newDesk(t, Limits{}), newDesk(t, Limits{})
		one, two := rand.New(rand.NewPCG(n, uint64(round))), rand.New(rand.NewPCG(n, uint64(round)))
		for range 150 {
			what, err := a.step(one)
			if whatToo, errToo := b.step(two); what != whatToo || fmt.Sprint(err) != fmt.Sprint(errToo) {
				t.Fatalf("%s: %v; %s: %v", what, err, whatToo, errToo)
			}
			if k := fault.KindOf(err); err != nil && k != fault.NotFound && k != fault.Unprocessable && k != fault.Conflict {
				t.Fatalf("%s: %v", what, err)
			}
			a.sound()
			if t.Failed() {
				t.Fatalf("after %s", what)
			}
		}
		for key, doc := range a.docs.docs {
			if string(doc.Value) != string(b.docs.docs[key].Value) {
				t.Fatalf("%s: %s and %s", key, doc.Value, b.docs.docs[key].Value)
			}
		}
		a.readAll()
	}
}

// step makes one random change.
func (d *desk) step(r *rand.Rand) (what string, err error) {
	ctx := d.Context()
	subjects := []string{"a", "b", "a/b", "c"}
	subject := subjects[r.IntN(len(subjects))]
	switch r.IntN(10) {
	case 0:
		permanent := r.IntN(2) == 0
		_, err = d.DeleteSubject(ctx, subject, permanent)
		return fmt.Sprint("delete ", subject, permanent), err
	case 1, 2:
		version, permanent := r.IntN(5), r.IntN(2) == 0
		if version == 0 {
			version = Latest
		}
		_, err = d.DeleteVersion(ctx, subject, version, permanent)
		return fmt.Sprint("delete ", subject, version, permanent), err
	case 3:
		levels := []Level{LevelNone, LevelNone, LevelBackward, LevelFullTransitive}
		level := levels[r.IntN(len(levels))]
		return fmt.Sprint("level ", subject, level), d.SetLevel(ctx, subject, level)
	case 4:
		mode := []Mode{ReadWrite, ReadWrite, Import}[r.IntN(3)]
		return fmt.Sprint("mode ", subject, mode), d.SetMode(ctx, subject, mode, true)
	}
	draft := Draft{Text: strings.Repeat("w", 1+r.IntN(6))}
	if r.IntN(3) == 0 {
		draft.References = []Reference{{"R", subjects[r.IntN(len(subjects))], 1 + r.IntN(3)}}
	}
	if r.IntN(3) == 0 {
		draft.ID, draft.Version = 1+r.IntN(20), r.IntN(5)
	}
	_, err = d.Register(ctx, subject, draft)
	return fmt.Sprint("register ", subject, draft), err
}

// readAll reads everything that is there.
func (d *desk) readAll() {
	d.Helper()
	names, err := d.Subjects(d.Context(), "", WithDeleted)
	if err != nil {
		d.Fatal(err)
	}
	all, err := d.All(d.Context(), "", true, false, func(string) bool { return true }, 0, 1000)
	if err != nil {
		d.Fatal(err)
	}
	for _, v := range all {
		if !slices.Contains(names, v.Subject) {
			d.Errorf("%+v of no subject", v)
		}
		if len(v.Schema.Sources) < min(1, len(v.Schema.References)) {
			d.Errorf("%+v lacks its sources", v)
		}
	}
}
