package codecs

// Incompatibility is a reason why some value written with one schema cannot be read with
// another of the same format.
type Incompatibility struct {
	Kind   string // a word for programs: "TYPE_MISMATCH"
	Path   string // of the place in the reader's schema, as the format writes it
	Detail string // what is missing or differs; "" where Fault says it all
	// Where begins a sentence about the place, and Fault ends it: `The field 'a'`, "has no
	// default value and is missing in the writer's schema".
	Where, Fault string
}
