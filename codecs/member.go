package codecs

import "fmt"

// Member is a named value of a row that is to be encoded.
type Member struct {
	Name  string
	Value Value
}

// MemberError says which part of a row a schema has no place for.
type MemberError struct {
	Path   string // the members on the way, as a path is written; empty for the row itself
	Reason string
	// Unknown tells that nothing is known of the type of the values there, and NoField that
	// the schema has no field for them.
	Unknown, NoField bool
}

// Error names the member and the reason.
func (e *MemberError) Error() string {
	if e.Path == "" {
		return "the row: " + e.Reason
	}
	return fmt.Sprintf("member %q: %s", e.Path, e.Reason)
}

// Within puts the step that leads to the value with the error in front of its path.
func (e *MemberError) Within(s Step) *MemberError {
	before := NewPath(s).String()
	switch {
	case e.Path == "":
		e.Path = before
	case e.Path[0] == '[':
		e.Path = before + e.Path
	default:
		e.Path = before + "." + e.Path
	}
	return e
}
