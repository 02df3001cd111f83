package registry

import (
	"fmt"
	"strings"

	"leat/codecs"
)

// format knows one language of schemas. Its errors are sentences for the one who sent
// the schema.
type format interface {
	// parse reads a schema; sources are what it may refer to, each after what it needs
	// itself.
	parse(text string, sources []Source) (parsed, error)
}

// parsed is a schema that has been read. It is immutable.
type parsed interface {
	// identity is the same text for two schemas if and only if they are registered as
	// one, but for what they refer to.
	identity() string
	// reads lists what in values of the writer's schema cannot be read with this one,
	// a line each; none where all can be. The writer has the same type.
	reads(writer parsed, as roles) []string
}

// roles are what the reader's and the writer's schema are to the one who is told: "new"
// and "old", or the other way round.
type roles struct{ reader, writer string }

// errOtherType is why a schema of one type cannot read another's.
const errOtherType = "{errorType:'SCHEMA_TYPE', description:'The two schemas are of different types'}"

// reasons says incompatibilities to the one who is told.
func reasons(list []codecs.Incompatibility, as roles) []string {
	var lines []string
	for _, i := range list {
		detail := ""
		if i.Detail != "" {
			detail = ", additionalInfo:'" + i.Detail + "'"
		}
		lines = append(lines, fmt.Sprintf("{errorType:'%s', description:'%s at path '%s' in the %s schema %s'%s}",
			i.Kind, i.Where, i.Path, as.reader, strings.ReplaceAll(i.Fault, "the writer's schema", "the "+as.writer+" schema"), detail))
	}
	return lines
}

// formats are all there are.
func formats() map[Type]format {
	return map[Type]format{Avro: avroFormat{}, Protobuf: protoFormat{}, JSON: jsonFormat{}}
}

// Types lists the types of schemas that can be registered, by name.
func (r *Registry) Types() []Type {
	var list []Type
	for _, t := range []Type{Avro, JSON, Protobuf} {
		if r.formats[t] != nil {
			list = append(list, t)
		}
	}
	return list
}
