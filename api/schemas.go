package api

import (
	"context"
	"net/http"
	"slices"

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

// checkSubject asks that the grants cover the topic of a subject.
func (c *call) checkSubject(subject string, scopes Scope) error {
	if !allows(c.grants, scopes, registry.Topic(subject)) {
		return fault.New(fault.Forbidden, "forbidden", "The token lacks the scope %s for subject %q", scopes, clip(subject))
	}
	return nil
}

func (c *call) reads(subject string) bool { return c.checkSubject(subject, readsSchemas) == nil }

// listSubjects answers GET /subjects with those the token covers.
func (c *call) listSubjects() error {
	a := schemaArguments{call: c}
	hidden := a.hidden()
	prefix, _ := c.params.get("subjectPrefix")
	return answerSchemasPage(&a, func(ctx context.Context) ([]string, error) {
		all, err := c.server.schemas.Subjects(ctx, prefix, hidden)
		return slices.DeleteFunc(all, func(name string) bool { return !c.reads(name) }), err
	})
}

// lookupSchema answers POST /subjects/{subject}.
func (c *call) lookupSchema() error {
	a := schemaArguments{call: c}
	subject, deleted, draft := a.subject(readsSchemas), a.flag("deleted"), a.draft()
	return answerSchemas(&a, func(ctx context.Context) (schemaAnswer, error) {
		v, err := c.server.schemas.Lookup(ctx, subject, draft, deleted)
		if err != nil {
			return schemaAnswer{}, err
		}
		return versionAnswer(v), nil
	})
}

// registerSchema answers POST /subjects/{subject}/versions.
func (c *call) registerSchema() error {
	type registered struct {
		ID int `json:"id"`
	}
	a := schemaArguments{call: c}
	subject, draft := a.subject(writesSchemas), a.draft()
	return answerSchemas(&a, func(ctx context.Context) (registered, error) {
		v, err := c.server.schemas.Register(ctx, subject, draft)
		if err != nil {
			return registered{}, err
		}
		return registered{v.Schema.ID}, nil
	})
}

// listVersions answers GET /subjects/{subject}/versions.
func (c *call) listVersions() error {
	a := schemaArguments{call: c}
	subject, hidden := a.subject(readsSchemas), a.hidden()
	return answerSchemasPage(&a, func(ctx context.Context) ([]int, error) {
		return c.server.schemas.Numbers(ctx, subject, hidden)
	})
}

// findVersion finds the version of the path.
func (c *call) findVersion() (registry.Version, error) {
	a := schemaArguments{call: c}
	subject, number, deleted := a.subject(readsSchemas), a.version(), a.flag("deleted")
	return askSchemas(&a, func(ctx context.Context) (registry.Version, error) {
		return c.server.schemas.Version(ctx, subject, number, deleted)
	})
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
	a := schemaArguments{call: c}
	subject, number, deleted := a.subject(readsSchemas), a.version(), a.flag("deleted")
	return answerSchemasPage(&a, func(ctx context.Context) ([]int, error) {
		return c.server.schemas.ReferencedBy(ctx, subject, number, deleted)
	})
}

// deleteSubject answers DELETE /subjects/{subject}.
func (c *call) deleteSubject() error {
	a := schemaArguments{call: c}
	subject, permanent := a.subject(ScopeAdmin), a.flag("permanent")
	return answerSchemas(&a, func(ctx context.Context) ([]int, error) {
		return c.server.schemas.DeleteSubject(ctx, subject, permanent)
	})
}

// deleteVersion answers DELETE /subjects/{subject}/versions/{version}.
func (c *call) deleteVersion() error {
	a := schemaArguments{call: c}
	subject, number, permanent := a.subject(ScopeAdmin), a.version(), a.flag("permanent")
	return answerSchemas(&a, func(ctx context.Context) (int, error) {
		return c.server.schemas.DeleteVersion(ctx, subject, number, permanent)
	})
}
