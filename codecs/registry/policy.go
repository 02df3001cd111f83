package registry

import (
	"context"
	"fmt"

	"leat/internal/bus"
	"leat/internal/fault"
)

// Level says which versions before it a new version of a subject has to be compatible
// with, and how.
type Level string

// The levels. Backward: the new schema reads what was written with the version before.
// Forward: the version before reads what is written with the new one. Full: both.
// Transitive: the same for all versions before.
const (
	LevelNone               Level = "NONE"
	LevelBackward           Level = "BACKWARD"
	LevelBackwardTransitive Level = "BACKWARD_TRANSITIVE"
	LevelForward            Level = "FORWARD"
	LevelForwardTransitive  Level = "FORWARD_TRANSITIVE"
	LevelFull               Level = "FULL"
	LevelFullTransitive     Level = "FULL_TRANSITIVE"

	defaultLevel = LevelBackward
)

func (l Level) valid() bool {
	switch l {
	case LevelNone, LevelBackward, LevelBackwardTransitive, LevelForward, LevelForwardTransitive, LevelFull, LevelFullTransitive:
		return true
	}
	return false
}

func (l Level) backward() bool {
	return l == LevelBackward || l == LevelBackwardTransitive || l == LevelFull || l == LevelFullTransitive
}

func (l Level) forward() bool {
	return l == LevelForward || l == LevelForwardTransitive || l == LevelFull || l == LevelFullTransitive
}

func (l Level) transitive() bool {
	return l == LevelBackwardTransitive || l == LevelForwardTransitive || l == LevelFullTransitive
}

// Mode says what may be done with a subject.
type Mode string

// The modes. ReadOnly and ReadOnlyOverride refuse every change of schemas; Import takes
// schemas with the ids they have elsewhere, and does not check them.
const (
	ReadWrite        Mode = "READWRITE"
	ReadOnly         Mode = "READONLY"
	ReadOnlyOverride Mode = "READONLY_OVERRIDE"
	Import           Mode = "IMPORT"
)

func (m Mode) valid() bool {
	return m == ReadWrite || m == ReadOnly || m == ReadOnlyOverride || m == Import
}

// setting reads a value of the subject, else, where fallback is set, the global one;
// found tells whether it was the subject's, or the global one where subject is "".
func setting[T any](s *session, prefix, subject string, fallback bool) (value T, found bool, err error) {
	found, err = s.load(prefix+subject, &value)
	if err == nil && !found && fallback && subject != "" {
		_, err = s.load(prefix, &value)
	}
	return value, found, err
}

func (s *session) effectiveLevel(subject string) (Level, error) {
	record, _, err := setting[levelRecord](s, levelPrefix, subject, true)
	if record.Level == "" {
		record.Level = defaultLevel
	}
	return record.Level, err
}

// effectiveMode is the mode of a subject. The global READONLY_OVERRIDE is above those of
// the subjects.
func (s *session) effectiveMode(subject string) (Mode, error) {
	global, _, err := setting[modeRecord](s, modePrefix, "", false)
	if err != nil || global.Mode == ReadOnlyOverride {
		return global.Mode, err
	}
	record, _, err := setting[modeRecord](s, modePrefix, subject, true)
	if record.Mode == "" {
		record.Mode = ReadWrite
	}
	return record.Mode, err
}

// Level answers the level of a subject; "" is the global one. A subject without its own
// is NotFound "subject_compatibility_not_configured", or has the global one where
// fallback is set.
func (r *Registry) Level(ctx context.Context, subject string, fallback bool) (level Level, err error) {
	err = r.read(ctx, func(s *session) (err error) {
		_, found, err := setting[levelRecord](s, levelPrefix, subject, false)
		if err == nil && !found && subject != "" && !fallback {
			return fault.New(fault.NotFound, CodeNoSubjectLevel, "Subject '%s' does not have subject-level compatibility configured", subject)
		}
		if err == nil {
			level, err = s.effectiveLevel(subject)
		}
		return err
	})
	return level, err
}

// SetLevel sets the level of a subject, or the global one.
func (r *Registry) SetLevel(ctx context.Context, subject string, level Level) error {
	if !level.valid() {
		return fault.New(fault.Unprocessable, CodeInvalidLevel,
			"Invalid compatibility level. Valid values are NONE, BACKWARD, FORWARD, FULL, BACKWARD_TRANSITIVE, FORWARD_TRANSITIVE, and FULL_TRANSITIVE")
	}
	return r.set(ctx, subject, levelPrefix, levelRecord{level})
}

// ResetLevel takes the level of a subject away, or sets the global one to BACKWARD, and
// answers the one that was.
func (r *Registry) ResetLevel(ctx context.Context, subject string) (was Level, err error) {
	err = r.change(ctx, func(s *session) error {
		record, found, err := setting[levelRecord](s, levelPrefix, subject, false)
		if was = record.Level; !found {
			was = defaultLevel
		}
		if err == nil && !found && subject != "" {
			return fault.New(fault.NotFound, CodeNoSubjectLevel, "Subject '%s' does not have subject-level compatibility configured", subject)
		}
		if found {
			s.drop(levelPrefix + subject)
		}
		return err
	})
	return was, err
}

// Mode is Level for the mode: NotFound "subject_mode_not_configured".
func (r *Registry) Mode(ctx context.Context, subject string, fallback bool) (mode Mode, err error) {
	err = r.read(ctx, func(s *session) (err error) {
		_, found, err := setting[modeRecord](s, modePrefix, subject, false)
		if err == nil && !found && subject != "" && !fallback {
			return fault.New(fault.NotFound, CodeNoSubjectMode, "Subject '%s' does not have subject-level mode configured", subject)
		}
		if err == nil {
			mode, err = s.effectiveMode(subject)
		}
		return err
	})
	return mode, err
}

// SetMode sets the mode of a subject, or the global one. Where there are schemas that
// are not deleted the mode becomes IMPORT only with force.
func (r *Registry) SetMode(ctx context.Context, subject string, mode Mode, force bool) error {
	if !mode.valid() {
		return fault.New(fault.Unprocessable, CodeInvalidMode, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT")
	}
	return r.set(ctx, subject, modePrefix, modeRecord{mode}, func(s *session) error {
		if mode != Import || force {
			return nil
		}
		names := []string{subject}
		if subject == "" {
			names = s.keys(subjectPrefix)
		}
		for _, name := range names {
			record, err := s.subject(name)
			if err != nil {
				return err
			}
			if len(record.live(false)) > 0 {
				return errNotPermitted("Cannot import since found existing subjects")
			}
		}
		return nil
	})
}

// ResetMode is ResetLevel for the mode.
func (r *Registry) ResetMode(ctx context.Context, subject string) (was Mode, err error) {
	err = r.change(ctx, func(s *session) error {
		record, found, err := setting[modeRecord](s, modePrefix, subject, false)
		if was = record.Mode; !found {
			was = ReadWrite
		}
		if err == nil && !found && subject != "" {
			return fault.New(fault.NotFound, CodeNoSubjectMode, "Subject '%s' does not have subject-level mode configured", subject)
		}
		if found {
			s.drop(modePrefix + subject)
		}
		return err
	})
	return was, err
}

// set writes a setting of a subject, or the global one, unless a check refuses.
func (r *Registry) set(ctx context.Context, subject, prefix string, value any, checks ...func(*session) error) error {
	if subject != "" {
		if err := CheckSubject(subject); err != nil {
			return err
		}
	}
	err := r.change(ctx, func(s *session) error {
		for _, check := range checks {
			if err := check(s); err != nil {
				return err
			}
		}
		if subject != "" {
			if err := s.countSetting(r, prefix+subject); err != nil {
				return err
			}
		}
		s.put(prefix+subject, value)
		return nil
	})
	if err != nil {
		return fmt.Errorf("configure %q: %w", clip(subject, 80), err)
	}
	return nil
}

// countSetting refuses more settings than there may be subjects: they may be made for
// subjects that have no schemas.
func (s *session) countSetting(r *Registry, key string) error {
	if _, there := s.docs.Doc(bus.MetaShard, key); there {
		return nil
	}
	prefix := levelPrefix
	if key[:len(modePrefix)] == modePrefix {
		prefix = modePrefix
	}
	keys := s.keys(prefix)
	if len(keys) > 0 && keys[0] == "" { // the global one
		keys = keys[1:]
	}
	if len(keys) >= r.limits.Subjects {
		return errQuota("There are %d subjects with settings, and that is the limit", r.limits.Subjects)
	}
	return nil
}
