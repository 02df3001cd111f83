package avrocodec

// kind is one of Avro's types.
type kind uint8

const (
	null kind = iota
	boolean
	intType
	long
	float
	double
	bytesType
	stringType
	record
	enum
	array
	mapType
	union
	fixed
)

var kindNames = [...]string{
	"null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "enum", "array", "map", "union", "fixed",
}

func (k kind) String() string { return kindNames[k] }

// primitive is the kind of a primitive type's name.
func primitive(name string) (kind, bool) {
	for k := null; k <= stringType; k++ {
		if kindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// logical is what a type means beyond its kind. A logical type that this package does
// not know, or that does not fit the type it stands at, is none, as the specification
// demands.
type logical uint8

const (
	none logical = iota
	decimal
	uuid
	date
	timeMillis
	timeMicros
	timestampMillis // and local-timestamp-millis
	timestampMicros
	timestampNanos
	duration
)

var logicalNames = [...]string{
	"", "decimal", "uuid", "date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "duration",
}

func (l logical) String() string { return logicalNames[l] }

// The largest decimals: what a float64 can come near to. 128 bytes hold 308 digits.
const (
	maxPrecision    = 308
	maxDecimalBytes = 128
)

// node is a type of a schema. The nodes of a recursive schema form cycles. Immutable
// once the schema is parsed.
type node struct {
	kind    kind
	logical logical
	meant   string // the name of the logical type, as it is written
	isError bool   // a record declared as an error, which only the canonical form tells

	name    string          // full name of a record, enum or fixed
	aliases []string        // full names
	also    map[string]bool // the aliases without their namespaces

	fields     []field  // of a record
	symbols    []string // of an enum
	symbolElse string   // an enum's default
	hasElse    bool
	items      *node   // of an array, the values of a map
	branches   []*node // of a union
	size       int     // of a fixed
	scale      int     // of a decimal
	digits     int     // a decimal's precision
}

// field is a field of a record.
type field struct {
	name       string
	aliases    []string
	node       *node
	hasDefault bool
	written    any    // the default as it is written in the schema, with json.Number
	binary     []byte // the default as a record of node
}

// typeName is what a union calls its branch: the full name of a named type, else the
// kind.
func (n *node) typeName() string {
	if n.name != "" {
		return n.name
	}
	return n.kind.String()
}

// child is the field of the given name.
func (n *node) child(name string) *field {
	for i := range n.fields {
		if n.fields[i].name == name {
			return &n.fields[i]
		}
	}
	return nil
}

// nests reports whether values of n may have others inside.
func (n *node) nests() bool {
	return n.kind == record || n.kind == array || n.kind == mapType || n.kind == union
}

// children are the types right inside n.
func (n *node) children() []*node {
	switch n.kind {
	case record:
		inside := make([]*node, len(n.fields))
		for i := range n.fields {
			inside[i] = n.fields[i].node
		}
		return inside
	case array, mapType:
		return []*node{n.items}
	case union:
		return n.branches
	}
	return nil
}

// expandedSize counts the types of n with every use of a named type counted anew,
// those inside of itself but once; it stops counting beyond the limit.
func expandedSize(n *node) int { return expansion(n, map[*node]int{}) }

func expansion(n *node, sizes map[*node]int) int {
	if size, known := sizes[n]; known {
		return size
	}
	sizes[n] = 1
	size := 1
	for _, c := range n.children() {
		size = min(size+expansion(c, sizes), MaxExpandedTypes+1)
	}
	sizes[n] = size
	return size
}
