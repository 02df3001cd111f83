package api

import (
	"context"
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
	fetchMaxID, err := c.params.flag("fetchMaxId")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	schema, err := c.findSchema(ctx)
	if err != nil {
		return err
	}
	a := answerOf(schema)
	if fetchMaxID {
		if a.MaxID, err = c.server.schemas.LastID(ctx); err != nil {
			return err
		}
	}
	return c.sendSchemas(a)
}

// getSchemaText answers GET /schemas/ids/{id}/schema.
func (c *call) getSchemaText() error {
	ctx, cancel := c.deadline()
	defer cancel()
	schema, err := c.findSchema(ctx)
	if err != nil {
		return err
	}
	return c.sendText(schema)
}

// schemaUses lists the versions that have the schema of the path and that the token
// covers.
func (c *call) schemaUses() ([]registry.Use, error) {
	deleted, err := c.params.flag("deleted")
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.deadline()
	defer cancel()
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
	uses, err := c.schemaUses()
	if err != nil {
		return err
	}
	var subjects []string
	for _, use := range uses { // sorted by subject
		if len(subjects) == 0 || subjects[len(subjects)-1] != use.Subject {
			subjects = append(subjects, use.Subject)
		}
	}
	if subjects, err = pageOf(c, subjects); err != nil {
		return err
	}
	return c.sendSchemas(subjects)
}

// schemaVersions answers GET /schemas/ids/{id}/versions.
func (c *call) schemaVersions() error {
	uses, err := c.schemaUses()
	if err != nil {
		return err
	}
	type version struct {
		Subject string `json:"subject"`
		Version int    `json:"version"`
	}
	var list []version
	for _, use := range uses {
		list = append(list, version{use.Subject, use.Number})
	}
	if list, err = pageOf(c, list); err != nil {
		return err
	}
	return c.sendSchemas(list)
}

// schemaTypes answers GET /schemas/types.
func (c *call) schemaTypes() error { return c.sendSchemas(c.server.schemas.Types()) }

// listSchemas answers GET /schemas with those the token covers.
func (c *call) listSchemas() error {
	deleted, err := c.params.flag("deleted")
	if err != nil {
		return err
	}
	latest, err := c.params.flag("latestOnly")
	if err != nil {
		return err
	}
	offset, err := c.params.integer("offset", 0, 1<<31, 0)
	if err != nil {
		return err
	}
	limit, err := c.schemaLimit(maxSchemas)
	if err != nil {
		return err
	}
	prefix, _ := c.params.get("subjectPrefix")
	ctx, cancel := c.deadline()
	defer cancel()
	all, err := c.server.schemas.All(ctx, prefix, deleted, latest, c.reads, int(offset), int(min(limit, maxSchemas)))
	if err != nil {
		return err
	}
	list := make([]schemaAnswer, len(all))
	for i, v := range all {
		list[i] = versionAnswer(v)
	}
	return c.sendSchemas(list)
}
