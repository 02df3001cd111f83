package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"leat/internal/fault"
)

// maxReasons is how many reasons of one schema are told.
const maxReasons = 100

// Check tells whether a draft is compatible with a version of a subject, or, where
// number is 0, with the versions that the level of the subject asks for; where it is not,
// the reasons say why. A subject without versions, asked for its Latest or as a whole,
// takes anything.
//
// Errors are faults: NotFound, Unprocessable, and those of the documents.
func (r *Registry) Check(ctx context.Context, subject string, number int, d Draft) (ok bool, reasons []string, err error) {
	if err := CheckSubject(subject); err != nil {
		return false, nil, err
	}
	err = r.read(ctx, func(s *session) error {
		draft, err := s.prepare(r, d)
		if err != nil {
			return err
		}
		record, err := s.subject(subject)
		if err != nil {
			return err
		}
		versions := record.live(false)
		level, err := s.effectiveLevel(subject)
		if err != nil {
			return err
		}
		if number > 0 || number == Latest && len(versions) > 0 {
			v, err := s.versionOf(subject, number, false)
			if err != nil {
				return err
			}
			versions = []versionRecord{v}
		}
		reasons, err = s.compare(ctx, r, draft, level, versions)
		return err
	})
	return err == nil && len(reasons) == 0, reasons, err
}

// compare finds out why a draft is not compatible with versions before it. It stops at
// the first, beginning with the last of them.
func (s *session) compare(ctx context.Context, r *Registry, d *draft, level Level, versions []versionRecord) ([]string, error) {
	if level == LevelNone {
		return nil, nil
	}
	if !level.transitive() && len(versions) > 0 {
		versions = versions[len(versions)-1:]
	}
	for _, v := range slices.Backward(versions) {
		if ctx.Err() != nil {
			return nil, fault.New(fault.Unavailable, codeOverloaded, "There is no time to compare the schema with all versions")
		}
		old, err := s.schema(r, v.ID)
		if err != nil {
			return nil, err
		}
		var reasons []string
		if old.Type != d.Type {
			reasons = []string{fmt.Sprintf("{errorType:'SCHEMA_TYPE', description:'The new schema is of type %s and the old one of type %s'}", d.Type, old.Type)}
		} else {
			form, err := s.form(r, v.ID)
			if err != nil {
				return nil, err
			}
			if level.backward() {
				reasons = append(reasons, capped(d.parsed.reads(form, roles{"new", "old"}))...)
			}
			if level.forward() {
				reasons = append(reasons, capped(form.reads(d.parsed, roles{"old", "new"}))...)
			}
		}
		if len(reasons) > 0 {
			return append(reasons,
				fmt.Sprintf("{oldSchemaVersion: %d}", v.Number),
				fmt.Sprintf("{oldSchema: '%s'}", clip(old.Text, maxTextInMessage)),
				fmt.Sprintf("{compatibility: '%s'}", level)), nil
		}
	}
	return nil, nil
}

func capped(reasons []string) []string {
	if len(reasons) > maxReasons {
		return append(slices.Clip(reasons[:maxReasons]), fmt.Sprintf("and %d more", len(reasons)-maxReasons))
	}
	return reasons
}

func joined(reasons []string) string { return "[" + strings.Join(reasons, ", ") + "]" }
