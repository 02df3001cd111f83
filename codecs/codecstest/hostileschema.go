package codecstest

import (
	"fmt"
	"strings"

	"leat/codecs"
)

// HostileSchema is the text of a schema that is made to cost who reads it time, memory or
// its stack, or to have it read what it should not.
type HostileSchema struct {
	Name, Format, Text string
	// Good tells that it is a schema all the same: its limits bound what it costs.
	Good bool
}

// HostileSchemas are those of Avro, Protobuf and JSON Schema (as codecs.FormatJSON). file
// and address are what no schema may have opened or called.
func HostileSchemas(file, address string) []HostileSchema {
	list := append(hostileAvroSchemas(file, address), hostileProtoSchemas(file, address)...)
	add := func(good bool, name, text string) {
		list = append(list, HostileSchema{name, codecs.FormatJSON, text, good})
	}
	add(true, "refers to an address", `{"type":"object","properties":{"a":{"$ref":"`+address+`/a.json"}}}`)
	add(true, "refers to a file", `{"$ref":"file://`+file+`","$dynamicRef":"`+file+`"}`)
	add(true, "a dialect at an address", `{"$schema":"`+address+`/schema","$id":"`+address+`/id"}`)
	add(true, "refers to itself", `{"$ref":"#","allOf":[{"$ref":"#/allOf/0"}]}`)
	add(true, "a pattern that takes for ever", `{"type":"string","pattern":"^(a+)+$","const":"`+strings.Repeat("a", 10_000)+`!"}`)
	add(true, "100,000 branches", `{"anyOf":[`+strings.Repeat("{},", 100_000)+`{}]}`)
	add(false, "10,000 inside each other", strings.Repeat(`{"not":`, 10_000)+"{}"+strings.Repeat("}", 10_000))
	add(false, "a list", "[]")
	add(false, "10 MB", `{"a":"`+strings.Repeat("x", 10<<20)+`"}`)
	return list
}

func hostileAvroSchemas(file, address string) []HostileSchema {
	var list []HostileSchema
	add := func(good bool, name, text string) {
		list = append(list, HostileSchema{name, codecs.FormatAvro, text, good})
	}
	record := func(name, fields string) string {
		return `{"type":"record","name":"` + name + `","fields":[` + fields + `]}`
	}
	add(true, "contains itself", record("R", `{"name":"a","type":["null","R"]},{"name":"b","type":{"type":"map","values":{"type":"array","items":"R"}}}`))
	add(true, "cannot exist", record("R", `{"name":"a","type":"R"}`))
	add(false, "10,000 arrays inside each other", strings.Repeat(`{"type":"array","items":`, 10_000)+`"int"`+strings.Repeat("}", 10_000))
	add(false, "10,000 types around a type", strings.Repeat(`{"type":`, 10_000)+`"int"`+strings.Repeat("}", 10_000))
	add(false, "10,000 open brackets", strings.Repeat("[", 10_000))
	add(true, "10,000 symbols", record("R", `{"name":"a","type":{"type":"enum","name":"E","symbols":[`+numbered(10_000, `"S%d"`)+`]}}`))
	add(false, "50,000 symbols", `{"type":"enum","name":"E","symbols":[`+numbered(50_000, `"S%d"`)+`]}`)
	add(false, "50,000 branches", `[`+numbered(50_000, `{"type":"fixed","name":"F%d","size":1}`)+`]`)
	add(false, "a union in a union", `[["null","int"],"string"]`)
	add(true, "a union of many records that contain each other", "["+numbered(300, `{"type":"record","name":"R%[1]d","fields":[{"name":"f%[1]d","type":["null","R%[1]d"]}]}`)+"]")
	// Each record has two of the one before it: 2^40 in all.
	doubled := record("R0", `{"name":"a","type":"int"}`)
	for k := range 40 {
		doubled = record(fmt.Sprintf("R%d", k+1), fmt.Sprintf(`{"name":"a","type":%s},{"name":"b","type":"R%d"}`, doubled, k))
	}
	add(false, "types twice in each other", doubled)
	defaults := record("R0", `{"name":"a","type":"int","default":1}`)
	for k := range 14 {
		defaults = record(fmt.Sprintf("R%d", k+1), fmt.Sprintf(`{"name":"a","type":%s,"default":{}},{"name":"b","type":"R%d","default":{}}`, defaults, k))
	}
	add(false, "defaults in defaults", defaults)
	add(false, "a default of itself", record("R", `{"name":"a","type":"R","default":{}}`))
	add(false, "a default for each of many", `{"type":"record","name":"T","fields":[{"name":"d","type":{"type":"array","items":{"type":"record","name":"W","fields":[`+
		numbered(2000, `{"name":"f%d","type":"string","default":"xxxxxxxxxxxxxxxx"}`)+`]}},"default":[`+strings.TrimSuffix(strings.Repeat("{},", 2000), ",")+`]}]}`)
	// Defaults of few values and many bytes, each of which stands for itself many times.
	wide := func(field string) string {
		return record("T", `{"name":"d","type":{"type":"array","items":`+record("W", field)+`},"default":[`+strings.TrimSuffix(strings.Repeat("{},", 20_000), ",")+`]}`)
	}
	large := strings.Repeat("x", 400_000)
	add(false, "a large fixed as a default for each of many", wide(`{"name":"f","type":{"type":"fixed","name":"F","size":400000},"default":"`+large+`"}`))
	add(false, "a large key in a default for each of many", wide(`{"name":"f","type":{"type":"map","values":"null"},"default":{"`+large+`":null}}`))
	add(false, "a number of many digits as a default for each of many", wide(`{"name":"f","type":"double","default":1.`+strings.Repeat("5", 400_000)+`}`))
	add(false, "a large default and many branches that it does not fit",
		record("T", `{"name":"d","type":[`+numbered(10_000, `{"type":"fixed","name":"F%d","size":400001}`)+`],"default":"`+large+`"}`))
	add(false, "a list of branches that a large default does not fit",
		record("T", `{"name":"d","type":[`+numbered(10_000, `{"type":"fixed","name":"F%d","size":1}`)+`],"default":["`+large+`"]}`))
	add(false, "a name of 2,000 letters", record(strings.Repeat("a", 2000), ""))
	add(false, "a type of a large name", `"`+large+`"`)
	add(false, "a size of 2^63", `{"type":"fixed","name":"F","size":9223372036854775808}`)
	add(false, "a size of -1", `{"type":"fixed","name":"F","size":-1}`)
	add(false, "a size of 1e400", `{"type":"fixed","name":"F","size":1e400}`)
	add(false, "a lone surrogate", `{"type":"enum","name":"E","symbols":["A"],"doc":"\ud800"}`)
	add(false, "a type at an address", `"`+address+`/a.avsc"`)
	add(false, "a type in a file", `{"type":"file://`+file+`"}`)
	add(false, "10 MB", `{"type":"int","doc":"`+strings.Repeat("x", 10<<20)+`"}`)
	add(false, "2 MB", `{"type":"int","doc":"`+strings.Repeat("x", 2<<20)+`"}`)
	return list
}

func hostileProtoSchemas(file, address string) []HostileSchema {
	var list []HostileSchema
	add := func(good bool, name, text string) {
		list = append(list, HostileSchema{name, codecs.FormatProtobuf, text, good})
	}
	for _, path := range []string{file, "file://" + file, "../../../../../../" + file, address + "/a.proto", "schema.proto", "google/protobuf/../../" + file} {
		add(false, "imports "+path, fmt.Sprintf("syntax = \"proto3\"; import %q; message M {}", path))
		add(false, "publicly imports "+path, fmt.Sprintf("syntax = \"proto3\"; import public %q; message M {}", path))
	}
	add(true, "contains itself", `syntax = "proto3"; message M { M m = 1; repeated M l = 2; map<string, M> map = 3; }`)
	add(false, "requires itself, misspelt", `syntax = "proto2"; message M { required N m = 1; }`)
	add(false, "10,001 messages inside each other", `syntax = "proto3";`+strings.Repeat("message M{", 10_001)+strings.Repeat("}", 10_001))
	add(false, "10,001 brackets in an option", `syntax = "proto3"; option (a) = `+strings.Repeat("{a:", 10_001)+strings.Repeat("}", 10_001)+"; message M {}")
	add(false, "10,001 brackets behind a comment", `/*/ */`+strings.Repeat("message A {", 10_001))
	add(true, "20,000 values", `syntax = "proto3"; message M { E e = 1; } enum E {`+spaced(20_000, "E%[1]d=%[1]d;")+`}`)
	add(true, "10,000 fields", `syntax = "proto3"; message M {`+spaced(10_000, "int32 f%[1]d=1%05[1]d;")+`}`)
	add(false, "more oneofs than are allowed", `syntax = "proto3"; message M {`+spaced(16_385, "oneof o%[1]d{int32 f%[1]d=1%05[1]d;}")+`}`)
	add(false, "a name of 2,000 letters", `syntax = "proto3"; message `+strings.Repeat("a", 2000)+` {}`)
	add(false, "long names inside each other", `syntax = "proto3";`+strings.Repeat("message "+strings.Repeat("m", 900)+"{", 40)+spaced(20_000, "int32 f%[1]d=1%05[1]d;")+strings.Repeat("}", 40))
	add(false, "options for each of many ranges", "message M { extensions "+numbered(20_000, "1%05d")+" ["+strings.Repeat("(o)=1,", 50_000)+"(o)=1]; }")
	add(false, "2 MB", "syntax = \"proto3\"; message M {} //"+strings.Repeat("x", 2<<20))
	add(false, "10 MB", "syntax = \"proto3\"; message M {} //"+strings.Repeat("x", 10<<20))
	add(false, "a zero byte", "syntax = \"proto3\"; message M {\x00}")
	return list
}

// numbered repeats a part, with the number of each, with commas between.
func numbered(n int, format string) string { return joined(n, format, ",") }

func spaced(n int, format string) string { return joined(n, format, " ") }

func joined(n int, format, separator string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, separator)
}
