package registry

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/internal/fault"
)

const (
	// Latest stands for the last version of a subject that is not deleted.
	Latest = -1

	maxSubjectBytes   = 512
	maxReferenceBytes = 1024
	maxID             = math.MaxInt32
)

// CheckSubject refuses a name that no subject can have: Unprocessable "invalid_subject".
func CheckSubject(subject string) error {
	reason := ""
	switch {
	case subject == "":
		reason = "is empty"
	case len(subject) > maxSubjectBytes:
		reason = "is over " + strconv.Itoa(maxSubjectBytes) + " bytes"
	case !utf8.ValidString(subject):
		reason = "is not UTF-8"
	case strings.ContainsFunc(subject, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		reason = "has a control character"
	default:
		return nil
	}
	return fault.New(fault.Unprocessable, CodeInvalidSubject, "The subject %q %s", clip(subject, 80), reason)
}

// ParseVersion reads the number of a version: from 1, or "latest" or -1 for Latest.
func ParseVersion(text string) (int, error) {
	if text == "latest" || text == "-1" {
		return Latest, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 || text[0] == '+' {
		return 0, fault.New(fault.Unprocessable, CodeInvalidVersion,
			"The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"", clip(text, 80))
	}
	return int(n), nil
}

// Topic is the topic that a subject belongs to by the usual rules: what is before
// "-value" or "-key" at the end of its name, else the name.
func Topic(subject string) string {
	for _, suffix := range [...]string{"-value", "-key"} {
		if topic, ok := strings.CutSuffix(subject, suffix); ok {
			return topic
		}
	}
	return subject
}
