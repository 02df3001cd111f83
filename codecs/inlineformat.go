package codecs

// CodeNoMessage is the code of a fault about InlineFormat.Message.
const CodeNoMessage = "no_message"

// InlineFormat is how records are written as a request says it by itself, with the schema
// in it.
type InlineFormat struct {
	Format  string // "avro" or "protobuf"
	Schema  string // its text, or a JSON string literal of it
	Message string // of a Protobuf schema; "" = the first
	// JSON tells that the records are JSON text of the schema's shape, else they are
	// binary.
	JSON bool
	// Defaults tells that members which JSON text leaves out have the schema's defaults.
	Defaults bool
	// Aliases are other names that members may have in JSON text.
	Aliases map[string][]string
}
