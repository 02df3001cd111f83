package codecs

import "context"

// The names of formats in specs.
const (
	FormatJSON     = "json"
	FormatAvro     = "avro"
	FormatProtobuf = "protobuf"
)

// FormatSpec is what somebody says of the format of a topic's records.
type FormatSpec struct {
	Topic string
	Name  string // one of the names of formats; "" = that of the schema, or JSON
	// Schema is a subject, subject:version, or the text of a schema; "" = the topic's
	// subject, if there is one.
	Schema string
	// Pin is what Format.Pin has been: the same format again, whatever has been
	// registered since. "" looks anew.
	Pin string
}

// Format reads the records of a topic: those with a frame in front by the schema that the
// frame names, others by the topic's. Immutable; safe for concurrent use.
type Format interface {
	// String is one line for people: "avro, schema orders-value version 2".
	String() string
	// Pin names the format for later; "" if the spec alone does.
	Pin() string
	// TypeOf is what the cells of a path can be; AnyKind without a schema. The error is
	// a *NoFieldError if no record has the path.
	TypeOf(path Path) (KindSet, error)
	// Decoder makes a decoder whose k-th column is the value at paths[k]. What else the
	// records have does not have to fit the topic's schema.
	Decoder(paths []Path) FramedDecoder
}

// FramedDecoder is a Decoder of records that name their schemas.
type FramedDecoder interface {
	Decoder
	// Prepare makes sure that every schema which had been registered when the values
	// were written is known to Decode. It may ask other nodes, and fails as they do.
	Prepare(ctx context.Context, values [][]byte) error
}

// RowFormat writes rows as records of a registered schema. Immutable; safe for concurrent
// use.
type RowFormat interface {
	// String, Pin and TypeOf are those of Format.
	String() string
	Pin() string
	TypeOf(path Path) (KindSet, error)
	// Writer makes a writer, which one goroutine uses.
	Writer() RowWriter
}

// RowWriter appends a row, which is JSON text, as a record behind the frame of its schema.
// On an error, which says what of the row has no place in the schema, it appends nothing.
type RowWriter interface {
	Append(dst, row []byte) ([]byte, error)
}
