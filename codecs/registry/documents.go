package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// The registry lies in documents of the metadata shard, each one JSON object:
//
//	schema/head                               head; every change writes it and is fenced by it
//	schema/id/{id}                            a schema: record. {id} has ten digits
//	schema/hash/{sha256}                      which ids have a schema of this identity: identity
//	schema/subject/{subject}                  the versions of a subject: subjectRecord
//	schema/use/{id}/{subject}                 a subject has a version with this id: {}
//	schema/referrer/{subject}\0{version}\0{id}  the schema of this id refers to the version: {}
//	schema/config/{subject}                   levelRecord; the global one where {subject} is empty
//	schema/mode/{subject}                     modeRecord; the global one where {subject} is empty
//
// docs/formats/schemas.md says what holds between them.

const (
	headKey        = "schema/head"
	idPrefix       = "schema/id/"
	hashPrefix     = "schema/hash/"
	subjectPrefix  = "schema/subject/"
	usePrefix      = "schema/use/"
	referrerPrefix = "schema/referrer/"
	levelPrefix    = "schema/config/"
	modePrefix     = "schema/mode/"
)

// head is what all changes have in common.
type head struct {
	LastID   int `json:"last_id"`  // the largest id ever given out
	Subjects int `json:"subjects"` // how many there are
	Bytes    int `json:"bytes"`    // of the texts of all schemas
}

// record is a schema. Hash is the name of its identity.
type record struct {
	Type       Type        `json:"type"`
	Hash       string      `json:"hash"`
	References []Reference `json:"references,omitempty"`
	Text       string      `json:"schema"`
}

type identity struct {
	IDs []int `json:"ids"` // more than one only where they were imported so
}

// subjectRecord is a subject: its versions, ascending.
type subjectRecord struct {
	Versions []versionRecord `json:"versions"`
}

type versionRecord struct {
	Number  int  `json:"version"`
	ID      int  `json:"id"`
	Deleted bool `json:"deleted,omitempty"`
}

type levelRecord struct {
	Level Level `json:"compatibility"`
}

type modeRecord struct {
	Mode Mode `json:"mode"`
}

func idKey(id int) string { return fmt.Sprintf("%s%010d", idPrefix, id) }

func usesOf(id int) string { return fmt.Sprintf("%s%010d/", usePrefix, id) }

func useKey(id int, subject string) string { return usesOf(id) + subject }

func referrersOf(subject string, version int) string {
	return referrerPrefix + subject + "\x00" + strconv.Itoa(version) + "\x00"
}

func referrerKey(subject string, version, id int) string {
	return fmt.Sprintf("%s%010d", referrersOf(subject, version), id)
}

// encode is the one way in which a document is written.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // the records are of this package, of text and numbers
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// live are the versions that are not deleted, or all of them.
func (s *subjectRecord) live(deletedToo bool) []versionRecord {
	var list []versionRecord
	for _, v := range s.Versions {
		if deletedToo || !v.Deleted {
			list = append(list, v)
		}
	}
	return list
}

// find is the index of a version, -1 where there is none.
func (s *subjectRecord) find(number int) int {
	for i := range s.Versions {
		if s.Versions[i].Number == number {
			return i
		}
	}
	return -1
}

// next is the number of the version that comes after those there are.
func (s *subjectRecord) next() int {
	if len(s.Versions) == 0 {
		return 1
	}
	return s.Versions[len(s.Versions)-1].Number + 1
}

// has tells whether a version has the id.
func (s *subjectRecord) has(id int) bool {
	for i := range s.Versions {
		if s.Versions[i].ID == id {
			return true
		}
	}
	return false
}
