package api

import (
	"context"
	"slices"
	"strconv"

	"leat/codecs/registry"
	"leat/internal/fault"
)

// maxSchemas is how many schemas GET /schemas lists at a time.
const maxSchemas = 1000

// schemaID reads the id of the path and checks that the token covers a subject that has
// it.
func (c *call) schemaID(ctx context.Context) (int, error) {
	text, _ := c.text("id")
	id, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fault.New(fault.NotFound, registry.CodeSchemaNotFound, "Schema %s not found", clip(text))
	}
	if !limited(c.grants, readsSchemas) {
		return int(id), nil
	}
	uses, err := c.server.schemas.Uses(ctx, int(id), true)
	if err != nil {
		return 0, err
	}
	for _, use := range uses {
		if c.reads(use.Subject) {
			return int(id), nil
		}
	}
	return 0, fault.New(fault.Forbidden, "forbidden", "The token lacks the scope %s for a subject with the schema %d", readsSchemas, id)
}

// findSchema finds the schema of the path.
func (c *call) findSchema(ctx context.Context) (*registry.Schema, error) {
	id, err := c.schemaID(ctx)
	if err != nil {
		return nil, err
	}
	return c.server.schemas.Schema(ctx, id)
}

// getSchema answers GET /schemas/ids/{id}.
func (c *call) getSchema() error {
	a := schemaArguments{call: c}
	fetchMaxID := a.flag("fetchMaxId")
	return answerSchemas(&a, func(ctx context.Context) (schemaAnswer, error) {
		schema, err := c.findSchema(ctx)
		if err != nil {
			return schemaAnswer{}, err
		}
		found := answerOf(schema)
		if fetchMaxID {
			found.MaxID, err = c.server.schemas.LastID(ctx)
		}
		return found, err
	})
}

// getSchemaText answers GET /schemas/ids/{id}/schema.
func (c *call) getSchemaText() error {
	schema, err := askSchemas(&schemaArguments{call: c}, c.findSchema)
	if err != nil {
		return err
	}
	return c.sendText(schema)
}

// schemaUses lists the versions that have the schema of the path and that the token
// covers, sorted by subject.
func (c *call) schemaUses(ctx context.Context, deleted bool) ([]registry.Use, error) {
	id, err := c.schemaID(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.server.schemas.Uses(ctx, id, deleted)
	if err != nil {
		return nil, err
	}
	only, filtered := c.params.get("subject")
	var uses []registry.Use
	for _, use := range all {
		if c.reads(use.Subject) && (!filtered || use.Subject == only) {
			uses = append(uses, use)
		}
	}
	return uses, nil
}

// schemaSubjects answers GET /schemas/ids/{id}/subjects.
func (c *call) schemaSubjects() error {
	a := schemaArguments{call: c}
	deleted := a.flag("deleted")
	return answerSchemasPage(&a, func(ctx context.Context) (subjects []string, err error) {
		uses, err := c.schemaUses(ctx, deleted)
		for _, use := range uses {
			subjects = append(subjects, use.Subject)
		}
		return slices.Compact(subjects), err
	})
}

// schemaVersions answers GET /schemas/ids/{id}/versions.
func (c *call) schemaVersions() error {
	type version struct {
		Subject string `json:"subject"`
		Version int    `json:"version"`
	}
	a := schemaArguments{call: c}
	deleted := a.flag("deleted")
	return answerSchemasPage(&a, func(ctx context.Context) (list []version, err error) {
		uses, err := c.schemaUses(ctx, deleted)
		for _, use := range uses {
			list = append(list, version{use.Subject, use.Number})
		}
		return list, err
	})
}

// schemaTypes answers GET /schemas/types.
func (c *call) schemaTypes() error { return c.sendSchemas(c.server.schemas.Types()) }

// listSchemas answers GET /schemas with those the token covers.
func (c *call) listSchemas() error {
	a := schemaArguments{call: c}
	deleted, latest, offset, limit := a.flag("deleted"), a.flag("latestOnly"), a.offset(), a.limit(maxSchemas)
	prefix, _ := c.params.get("subjectPrefix")
	return answerSchemas(&a, func(ctx context.Context) ([]schemaAnswer, error) {
		all, err := c.server.schemas.All(ctx, prefix, deleted, latest, c.reads, int(offset), int(limit))
		list := make([]schemaAnswer, len(all))
		for i, v := range all {
			list[i] = versionAnswer(v)
		}
		return list, err
	})
}
