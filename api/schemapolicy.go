package api

import (
	"errors"
	"strings"

	"leat/codecs/registry"
	"leat/internal/fault"
)

// checkCompatibility answers POST /compatibility/subjects/{subject}/versions/{version},
// and without a version.
func (c *call) checkCompatibility() error {
	subject, err := c.subject(readsSchemas)
	if err != nil {
		return err
	}
	number := 0
	if text, _ := c.text("version"); text != "" {
		if number, err = registry.ParseVersion(text); err != nil {
			return err
		}
	}
	verbose, err := c.params.flag("verbose")
	if err != nil {
		return err
	}
	draft, err := c.draft()
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	ok, reasons, err := c.server.schemas.Check(ctx, subject, number, draft)
	// A schema that cannot be read is compatible with nothing, and who asks for the
	// reasons is told why.
	if f := fault.As(err); verbose && f != nil && f.Code == registry.CodeInvalidSchema {
		ok, reasons, err = false, []string{f.Message}, nil
	}
	if err != nil {
		return err
	}
	answer := struct {
		Compatible bool      `json:"is_compatible"`
		Messages   *[]string `json:"messages,omitempty"`
	}{Compatible: ok}
	if reasons == nil {
		reasons = []string{}
	}
	if verbose {
		answer.Messages = &reasons
	}
	return c.sendSchemas(answer)
}

// setting decodes the subject of a path that may have none, "" for the global setting.
func (c *call) setting(scopes Scope) (string, error) {
	if text, ok := c.text("subject"); ok && text == "" {
		if limited(c.grants, scopes) && scopes == ScopeAdmin {
			return "", forbidden(scopes, "")
		}
		return "", nil
	}
	return c.subject(scopes)
}

// levelAnswer has the level under the names by which it is read and written.
type levelAnswer struct {
	Read    registry.Level `json:"compatibilityLevel,omitempty"`
	Written registry.Level `json:"compatibility,omitempty"`
}

// getLevel answers GET /config and /config/{subject}.
func (c *call) getLevel() error {
	subject, err := c.setting(readsSchemas)
	if err != nil {
		return err
	}
	fallback, err := c.params.flag("defaultToGlobal")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	level, err := c.server.schemas.Level(ctx, subject, fallback)
	if err != nil {
		return err
	}
	return c.sendSchemas(levelAnswer{Read: level})
}

// putLevel answers PUT /config and /config/{subject}.
func (c *call) putLevel() error {
	subject, err := c.setting(ScopeAdmin)
	if err != nil {
		return err
	}
	var sent struct {
		Compatibility string `json:"compatibility"`
	}
	if err := c.readSchemaBody(&sent); err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	level := registry.Level(strings.ToUpper(sent.Compatibility))
	if err := c.server.schemas.SetLevel(ctx, subject, level); err != nil {
		return err
	}
	return c.sendSchemas(levelAnswer{Written: level})
}

// deleteLevel answers DELETE /config and /config/{subject} with the level that was.
func (c *call) deleteLevel() error {
	subject, err := c.setting(ScopeAdmin)
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	level, err := c.server.schemas.ResetLevel(ctx, subject)
	if err != nil {
		return err
	}
	return c.sendSchemas(levelAnswer{Read: level, Written: level})
}

type modeAnswer struct {
	Mode registry.Mode `json:"mode"`
}

// getMode answers GET /mode and /mode/{subject}.
func (c *call) getMode() error {
	subject, err := c.setting(readsSchemas)
	if err != nil {
		return err
	}
	fallback, err := c.params.flag("defaultToGlobal")
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	mode, err := c.server.schemas.Mode(ctx, subject, fallback)
	if err != nil {
		return err
	}
	return c.sendSchemas(modeAnswer{mode})
}

// putMode answers PUT /mode and /mode/{subject}.
func (c *call) putMode() error {
	subject, err := c.setting(ScopeAdmin)
	if err != nil {
		return err
	}
	force, err := c.params.flag("force")
	if err != nil {
		return err
	}
	var sent struct {
		Mode string `json:"mode"`
	}
	if err := c.readSchemaBody(&sent); err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	mode := registry.Mode(strings.ToUpper(sent.Mode))
	if err := c.server.schemas.SetMode(ctx, subject, mode, force); err != nil {
		return err
	}
	return c.sendSchemas(modeAnswer{mode})
}

// deleteMode answers DELETE /mode and /mode/{subject} with the mode that was.
func (c *call) deleteMode() error {
	subject, err := c.setting(ScopeAdmin)
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline()
	defer cancel()
	mode, err := c.server.schemas.ResetMode(ctx, subject)
	if err != nil {
		return err
	}
	return c.sendSchemas(modeAnswer{mode})
}

// topicSchema is the newest schema of a topic's values as this node knows it, in JSON.
func (c *call) topicSchema(topic string) ([]byte, error) {
	v, err := c.server.schemas.At(topic+"-value", registry.Latest)
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.NotFound {
		return []byte("null"), nil
	}
	if err != nil {
		return nil, err
	}
	return marshal(struct {
		Subject string        `json:"subject"`
		Version int           `json:"version"`
		ID      int           `json:"id"`
		Type    registry.Type `json:"type"`
	}{v.Subject, v.Number, v.Schema.ID, v.Schema.Type})
}
