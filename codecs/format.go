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
	// Written is the text of the Avro schema that records without a frame are written with,
	// as a file has it; "" = they are of Schema.
	Written string
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
	// TypeAt is TypeOf with what is inside of objects and arrays.
	TypeAt(path Path) (*Type, error)
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
	// Misfits tell, a sentence each, what of the paths records of other schemas than the
	// topic's have not had as it does: there they have been read as they are written. They
	// are those since the decoder was made, each once, at most MaxMisfits, and belong to
	// the decoder until the next call of Prepare or Decode.
	Misfits() []string
}

// MaxMisfits is how many sentences FramedDecoder.Misfits tells at most.
const MaxMisfits = 20

// RowFormat writes rows as records of a schema. Safe for concurrent use.
type RowFormat interface {
	// String is one line for people: "avro, schema orders-value version 2".
	String() string
	// Register has the schema registered, where it is not yet, and returns the pin that
	// names the format for later.
	Register(ctx context.Context) (pin string, err error)
	// Notice tells what registering the schema changes for others; "" for nothing.
	Notice() string
	// Writer makes a writer, which one goroutine uses, of rows with the given members; nil
	// are rows whose members all have the names of their fields. Before the schema is
	// registered there is none.
	Writer(members []string) (RowWriter, error)
}

// RowWriter appends a row, which is JSON text, as a record behind the frame of its schema.
// On an error, which says what of the row has no place in the schema, it appends nothing.
type RowWriter interface {
	Append(dst, row []byte) ([]byte, error)
}

// FieldName is the name that a member of a row has as a field of a schema: characters
// other than letters of ASCII, digits and _ become _, and there is one in front of a digit.
func FieldName(member string) string {
	var b []byte
	for _, c := range member {
		switch {
		case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case '0' <= c && c <= '9':
			if len(b) == 0 {
				b = append(b, '_')
			}
		default:
			c = '_'
		}
		b = append(b, byte(c))
	}
	return string(b)
}
