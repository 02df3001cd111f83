package codecs

// ShapeKind is what a Shape describes.
type ShapeKind uint8

// The kinds of shapes.
const (
	ShapeScalar ShapeKind = iota // a value of one of Kinds
	ShapeRecord                  // an object with Fields
	ShapeMap                     // an object of any members, all like Items
	ShapeArray                   // an array of Items
	ShapeUnion                   // one of Branches
)

// Shape is how a schema would have the JSON text of its values. The shapes of recursive
// schemas form cycles. Immutable; safe for concurrent use.
type Shape struct {
	Kind     ShapeKind
	Kinds    KindSet // of a scalar; a whole number may stand for a Float
	Text     ShapeText
	Nullable bool // null is the same as a member that is not there
	Fields   []ShapeField
	Items    *Shape
	Branches []ShapeBranch
}

// ShapeText is what a text may stand for where a number is meant.
type ShapeText uint8

// The meanings of a text.
const (
	TextIsText     ShapeText = iota
	TextIsInteger            // decimal digits
	TextIsInstant            // RFC 3339, for milliseconds since 1970
	TextIsDuration           // seconds and an s, for milliseconds
)

// ShapeField is a member of a record.
type ShapeField struct {
	Name    string
	Also    string // another name that it may have; "" for none
	Shape   *Shape
	Default string // JSON text of the value where it is left out; "" for none
}

// ShapeBranch is a branch of a union, by the name that may stand in front of its values:
// {"string": "x"}.
type ShapeBranch struct {
	Name  string
	Shape *Shape
}
