package registry

import (
	"strings"

	"leat/internal/fault"
)

// The codes of the registry's faults.
const (
	CodeSubjectNotFound       = "subject_not_found"
	CodeVersionNotFound       = "version_not_found"
	CodeSchemaNotFound        = "schema_not_found"
	CodeSubjectDeleted        = "subject_soft_deleted"
	CodeSubjectNotDeleted     = "subject_not_soft_deleted"
	CodeVersionDeleted        = "version_soft_deleted"
	CodeVersionNotDeleted     = "version_not_soft_deleted"
	CodeNoSubjectLevel        = "subject_compatibility_not_configured"
	CodeNoSubjectMode         = "subject_mode_not_configured"
	CodeIncompatible          = "incompatible_schema"
	CodeInvalidSchema         = "invalid_schema"
	CodeInvalidVersion        = "invalid_version"
	CodeInvalidLevel          = "invalid_compatibility_level"
	CodeInvalidMode           = "invalid_mode"
	CodeNotPermitted          = "operation_not_permitted"
	CodeReferenceExists       = "reference_exists"
	CodeInvalidSubject        = "invalid_subject"
	CodeSchemaTooLarge        = "schema_too_large"
	codeQuota                 = "quota_exceeded"
	codeCorrupt               = "corrupt_record"
	codeOverloaded            = "overloaded"
	maxTextInMessage      int = 1024
)

func errSubjectNotFound(subject string) error {
	return fault.New(fault.NotFound, CodeSubjectNotFound, "Subject '%s' not found.", subject)
}

func errVersionNotFound(version int) error {
	return fault.New(fault.NotFound, CodeVersionNotFound, "Version %d not found.", version)
}

func errIDNotFound(id int) error {
	return fault.New(fault.NotFound, CodeSchemaNotFound, "Schema %d not found", id)
}

func errSchemaNotFound() error {
	return fault.New(fault.NotFound, CodeSchemaNotFound, "Schema not found")
}

func errInvalidSchema(format string, args ...any) error {
	return fault.New(fault.Unprocessable, CodeInvalidSchema, format, args...)
}

func errNotPermitted(format string, args ...any) error {
	return fault.New(fault.Unprocessable, CodeNotPermitted, format, args...)
}

func errQuota(format string, args ...any) error {
	return fault.New(fault.Exhausted, codeQuota, format, args...)
}

func errCorrupt(key string, err error) error {
	return fault.New(fault.Corrupt, codeCorrupt, "document %q: %w", key, err)
}

// clip shortens a text to what is worth repeating.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
