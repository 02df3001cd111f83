package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/codecs/registry"
	"leat/internal/fault"
)

// The calls of the schema registry: those of the Confluent Schema Registry, with its
// media type and its form of errors (schemaerrors.go).

const (
	typeSchemas = "application/vnd.schemaregistry.v1+json"

	maxSchemaBody = 4 << 20 // a schema of the size it may have, in a JSON string

	readsSchemas  = ScopeAdmin | ScopeProduce | ScopeConsume | ScopeQuery
	writesSchemas = ScopeAdmin | ScopeProduce
)

// Schemas is what the calls of the schema registry need. Every method is safe for
// concurrent use; errors are faults with the codes of package registry.
type Schemas interface {
	Types() []registry.Type
	Register(ctx context.Context, subject string, d registry.Draft) (registry.Version, error)
	Lookup(ctx context.Context, subject string, d registry.Draft, deletedToo bool) (registry.Version, error)
	Check(ctx context.Context, subject string, number int, d registry.Draft) (ok bool, reasons []string, err error)

	Subjects(ctx context.Context, prefix string, hidden registry.Hidden) ([]string, error)
	Numbers(ctx context.Context, subject string, hidden registry.Hidden) ([]int, error)
	Version(ctx context.Context, subject string, number int, deletedToo bool) (registry.Version, error)
	All(ctx context.Context, prefix string, deletedToo, latest bool, keep func(subject string) bool, offset, limit int) ([]registry.Version, error)
	Schema(ctx context.Context, id int) (*registry.Schema, error)
	Uses(ctx context.Context, id int, deletedToo bool) ([]registry.Use, error)
	ReferencedBy(ctx context.Context, subject string, number int, deletedToo bool) ([]int, error)
	LastID(ctx context.Context) (int, error)

	DeleteSubject(ctx context.Context, subject string, permanent bool) ([]int, error)
	DeleteVersion(ctx context.Context, subject string, number int, permanent bool) (int, error)

	// The subject "" is that of the global settings.
	Level(ctx context.Context, subject string, fallback bool) (registry.Level, error)
	SetLevel(ctx context.Context, subject string, level registry.Level) error
	ResetLevel(ctx context.Context, subject string) (registry.Level, error)
	Mode(ctx context.Context, subject string, fallback bool) (registry.Mode, error)
	SetMode(ctx context.Context, subject string, mode registry.Mode, force bool) error
	ResetMode(ctx context.Context, subject string) (registry.Mode, error)

	// At reads what this node knows.
	At(subject string, number int) (registry.Version, error)
}

// schemaAnswer is a schema, or a version of a subject, in an answer.
type schemaAnswer struct {
	Subject    string               `json:"subject,omitempty"`
	Version    int                  `json:"version,omitempty"`
	ID         int                  `json:"id,omitempty"`
	MaxID      int                  `json:"maxId,omitempty"`
	Type       registry.Type        `json:"schemaType,omitempty"` // left out for Avro
	References []registry.Reference `json:"references,omitempty"`
	Schema     string               `json:"schema"`
	Deleted    bool                 `json:"deleted,omitempty"`
}

func answerOf(s *registry.Schema) schemaAnswer {
	a := schemaAnswer{Type: s.Type, References: s.References, Schema: s.Text}
	if s.Type == registry.Avro {
		a.Type = ""
	}
	return a
}

func versionAnswer(v registry.Version) schemaAnswer {
	a := answerOf(v.Schema)
	a.Subject, a.Version, a.ID, a.Deleted = v.Subject, v.Number, v.Schema.ID, v.Deleted
	return a
}

// sendSchemas makes a value the answer.
func (c *call) sendSchemas(value any) error {
	text, err := marshal(value)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, typeSchemas, append(c.out(), text...))
}

// sendText makes the text of a schema the answer.
func (c *call) sendText(s *registry.Schema) error {
	mediaType := typeSchemas
	if s.Type == registry.Protobuf {
		mediaType = typeText
	}
	return c.send(http.StatusOK, mediaType, append(c.out(), s.Text...))
}

// subject decodes and checks the subject of the path, and that the token covers it.
func (c *call) subject(scopes Scope) (string, error) {
	subject, ok := c.text("subject")
	if !ok {
		return "", fault.New(fault.Unprocessable, registry.CodeInvalidSubject, "The subject is not percent-encoded correctly")
	}
	if err := registry.CheckSubject(subject); err != nil {
		return "", err
	}
	return subject, c.checkSubject(subject, scopes)
}

// checkSubject asks that the grants cover the topic of a subject.
func (c *call) checkSubject(subject string, scopes Scope) error {
	if !allows(c.grants, scopes, registry.Topic(subject)) {
		return fault.New(fault.Forbidden, "forbidden", "The token lacks the scope %s for subject %q", scopes, clip(subject))
	}
	return nil
}

func (c *call) reads(subject string) bool { return c.checkSubject(subject, readsSchemas) == nil }

// subjectVersion is subject and the version of the path.
func (c *call) subjectVersion(scopes Scope) (subject string, number int, err error) {
	if subject, err = c.subject(scopes); err != nil {
		return "", 0, err
	}
	text, _ := c.text("version")
	number, err = registry.ParseVersion(text)
	return subject, number, err
}

// draft reads the body that has a schema.
func (c *call) draft() (registry.Draft, error) {
	var sent struct {
		Schema     string               `json:"schema"`
		Type       registry.Type        `json:"schemaType"`
		ID         int                  `json:"id"`
		Version    int                  `json:"version"`
		References []registry.Reference `json:"references"`
	}
	if err := c.readSchemaBody(&sent); err != nil {
		return registry.Draft{}, err
	}
	for _, reference := range sent.References {
		if err := c.checkSubject(reference.Subject, readsSchemas); err != nil {
			return registry.Draft{}, err
		}
	}
	// -1 is how clients leave a number to the registry.
	return registry.Draft{Type: sent.Type, Text: sent.Schema, References: sent.References, ID: max(sent.ID, 0), Version: max(sent.Version, 0)}, nil
}

// readSchemaBody reads a JSON body. Members that it does not know are ignored: clients
// send more than is kept here.
func (c *call) readSchemaBody(into any) error {
	body, err := c.readBody(min(maxSchemaBody, c.server.limits.BodyBytes), "body_too_large")
	if err != nil {
		return err
	}
	if !utf8.Valid(body) {
		return fault.New(fault.Invalid, "invalid_json", "The body is not UTF-8")
	}
	if err := json.Unmarshal(body, into); err != nil {
		var wrong *json.UnmarshalTypeError
		switch is := errors.As(err, &wrong); {
		case is && wrong.Field == "":
			return fault.New(fault.Invalid, "invalid_json", "The body has to be a JSON object, not %s", wrong.Value)
		case is:
			return fault.New(fault.Invalid, "invalid_member", "Member %q cannot be of the kind %s", clip(wrong.Field), wrong.Value)
		}
		return fault.New(fault.Invalid, "invalid_json", "The body is not a JSON object: %s", err)
	}
	return nil
}

// hidden reads what the call asks for of deleted versions.
func (c *call) hidden() (registry.Hidden, error) {
	deleted, err := c.params.flag("deleted")
	if err != nil {
		return 0, err
	}
	only, err := c.params.flag("deletedOnly")
	switch {
	case only:
		return registry.OnlyDeleted, err
	case deleted:
		return registry.WithDeleted, err
	}
	return registry.WithoutDeleted, err
}

// pageOf cuts a list to what offset and limit ask for; a limit below 1 is none.
func pageOf[T any](c *call, list []T) ([]T, error) {
	offset, err := c.params.integer("offset", 0, 1<<31, 0)
	if err != nil {
		return nil, err
	}
	limit, err := c.schemaLimit(int64(len(list)))
	if err != nil {
		return nil, err
	}
	list = list[min(offset, int64(len(list))):]
	list = list[:min(limit, int64(len(list)))]
	if list == nil {
		list = []T{}
	}
	return list, nil
}

// schemaLimit reads the parameter limit, which clients send as -1 for none.
func (c *call) schemaLimit(absent int64) (int64, error) {
	if text, ok := c.params.get("limit"); ok && strings.HasPrefix(text, "-") {
		if n, err := strconv.Atoi(text); err == nil && n < 0 {
			return absent, nil
		}
	}
	return c.params.integer("limit", 0, 1<<31, absent)
}

// listSubjects answers GET /subjects with those the token covers.
func (c *call) listSubjects() error {
	hidden, err := c.hidden()
	if err != nil {
		return err
	}
	prefix, _ := c.params.get("subjectPrefix")
	ctx, cancel := c.deadline()
	defer cancel()
	all, err := c.server.schemas.Subjects(ctx, prefix, hidden)
	if err != nil {
		return err
	}
	var names []string
	for _, name := range all {
		if c.reads(name) {
			names = append(names, name)
		}
	}
	names, err = pageOf(c, names)
	if err != nil {
		return err
	}
	return c.sendSchemas(names)
}

// lookupSchema answers POST /subjects/{subject}.
func (c *call) lookupSchema() error {
	subject, err := c.subject(readsSchemas)
	if err != nil {
		return err
	}
	deleted, err := c.params.flag("deleted")
	if err != nil {
		return err
	}
	draft, err := c.draft()
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	v, err := c.server.schemas.Lookup(ctx, subject, draft, deleted)
	if err != nil {
		return err
	}
	return c.sendSchemas(versionAnswer(v))
}

// registerSchema answers POST /subjects/{subject}/versions.
func (c *call) registerSchema() error {
	subject, err := c.subject(writesSchemas)
	if err != nil {
		return err
	}
	draft, err := c.draft()
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	v, err := c.server.schemas.Register(ctx, subject, draft)
	if err != nil {
		return err
	}
	return c.sendSchemas(struct {
		ID int `json:"id"`
	}{v.Schema.ID})
}

// listVersions answers GET /subjects/{subject}/versions.
func (c *call) listVersions() error {
	subject, err := c.subject(readsSchemas)
	if err != nil {
		return err
	}
	hidden, err := c.hidden()
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	numbers, err := c.server.schemas.Numbers(ctx, subject, hidden)
	if err != nil {
		return err
	}
	if numbers, err = pageOf(c, numbers); err != nil {
		return err
	}
	return c.sendSchemas(numbers)
}

// findVersion finds the version of the path.
func (c *call) findVersion() (registry.Version, error) {
	subject, number, err := c.subjectVersion(readsSchemas)
	if err != nil {
		return registry.Version{}, err
	}
	deleted, err := c.params.flag("deleted")
	if err != nil {
		return registry.Version{}, err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	return c.server.schemas.Version(ctx, subject, number, deleted)
}

// getVersion answers GET /subjects/{subject}/versions/{version}.
func (c *call) getVersion() error {
	v, err := c.findVersion()
	if err != nil {
		return err
	}
	return c.sendSchemas(versionAnswer(v))
}

// getVersionText answers GET /subjects/{subject}/versions/{version}/schema.
func (c *call) getVersionText() error {
	v, err := c.findVersion()
	if err != nil {
		return err
	}
	return c.sendText(v.Schema)
}

// referencedBy answers GET /subjects/{subject}/versions/{version}/referencedby.
func (c *call) referencedBy() error {
	subject, number, err := c.subjectVersion(readsSchemas)
	if err != nil {
		return err
	}
	deleted, err := c.params.flag("deleted")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	ids, err := c.server.schemas.ReferencedBy(ctx, subject, number, deleted)
	if err != nil {
		return err
	}
	if ids, err = pageOf(c, ids); err != nil {
		return err
	}
	return c.sendSchemas(ids)
}

// deleteSubject answers DELETE /subjects/{subject}.
func (c *call) deleteSubject() error {
	subject, err := c.subject(ScopeAdmin)
	if err != nil {
		return err
	}
	permanent, err := c.params.flag("permanent")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	numbers, err := c.server.schemas.DeleteSubject(ctx, subject, permanent)
	if err != nil {
		return err
	}
	return c.sendSchemas(numbers)
}

// deleteVersion answers DELETE /subjects/{subject}/versions/{version}.
func (c *call) deleteVersion() error {
	subject, number, err := c.subjectVersion(ScopeAdmin)
	if err != nil {
		return err
	}
	permanent, err := c.params.flag("permanent")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	deleted, err := c.server.schemas.DeleteVersion(ctx, subject, number, permanent)
	if err != nil {
		return err
	}
	return c.sendSchemas(deleted)
}
