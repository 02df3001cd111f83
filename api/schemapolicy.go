package api

import (
	"context"
	"errors"
	"strings"

	"leat/codecs/registry"
	"leat/internal/fault"
)

// checkCompatibility answers POST /compatibility/subjects/{subject}/versions/{version},
// and without a version.
func (c *call) checkCompatibility() error {
	type compatibility struct {
		Compatible bool      `json:"is_compatible"`
		Messages   *[]string `json:"messages,omitempty"`
	}
	a := schemaArguments{call: c}
	subject, number := a.subject(readsSchemas), 0
	if text, _ := c.text("version"); text != "" {
		number = a.version()
	}
	verbose, draft := a.flag("verbose"), a.draft()
	return answerSchemas(&a, func(ctx context.Context) (compatibility, error) {
		ok, reasons, err := c.server.schemas.Check(ctx, subject, number, draft)
		// A schema that cannot be read is compatible with nothing, and who asks for the
		// reasons is told why.
		if f := fault.As(err); verbose && f != nil && f.Code == registry.CodeInvalidSchema {
			ok, reasons, err = false, []string{f.Message}, nil
		}
		if !verbose {
			return compatibility{Compatible: ok}, err
		}
		if reasons == nil {
			reasons = []string{}
		}
		return compatibility{Compatible: ok, Messages: &reasons}, err
	})
}

// levelAnswer has the level under the names by which it is read and written.
type levelAnswer struct {
	Read    registry.Level `json:"compatibilityLevel,omitempty"`
	Written registry.Level `json:"compatibility,omitempty"`
}

// getLevel answers GET /config and /config/{subject}.
func (c *call) getLevel() error {
	a := schemaArguments{call: c}
	subject, fallback := a.setting(readsSchemas), a.flag("defaultToGlobal")
	return answerSchemas(&a, func(ctx context.Context) (levelAnswer, error) {
		level, err := c.server.schemas.Level(ctx, subject, fallback)
		return levelAnswer{Read: level}, err
	})
}

// putLevel answers PUT /config and /config/{subject}.
func (c *call) putLevel() error {
	var sent struct {
		Compatibility string `json:"compatibility"`
	}
	a := schemaArguments{call: c}
	subject := a.setting(ScopeAdmin)
	a.body(&sent)
	level := registry.Level(strings.ToUpper(sent.Compatibility))
	return answerSchemas(&a, func(ctx context.Context) (levelAnswer, error) {
		return levelAnswer{Written: level}, c.server.schemas.SetLevel(ctx, subject, level)
	})
}

// deleteLevel answers DELETE /config and /config/{subject} with the level that was.
func (c *call) deleteLevel() error {
	a := schemaArguments{call: c}
	subject := a.setting(ScopeAdmin)
	return answerSchemas(&a, func(ctx context.Context) (levelAnswer, error) {
		level, err := c.server.schemas.ResetLevel(ctx, subject)
		return levelAnswer{Read: level, Written: level}, err
	})
}

type modeAnswer struct {
	Mode registry.Mode `json:"mode"`
}

// getMode answers GET /mode and /mode/{subject}.
func (c *call) getMode() error {
	a := schemaArguments{call: c}
	subject, fallback := a.setting(readsSchemas), a.flag("defaultToGlobal")
	return answerSchemas(&a, func(ctx context.Context) (modeAnswer, error) {
		mode, err := c.server.schemas.Mode(ctx, subject, fallback)
		return modeAnswer{mode}, err
	})
}

// putMode answers PUT /mode and /mode/{subject}.
func (c *call) putMode() error {
	var sent struct {
		Mode string `json:"mode"`
	}
	a := schemaArguments{call: c}
	subject, force := a.setting(ScopeAdmin), a.flag("force")
	a.body(&sent)
	mode := registry.Mode(strings.ToUpper(sent.Mode))
	return answerSchemas(&a, func(ctx context.Context) (modeAnswer, error) {
		return modeAnswer{mode}, c.server.schemas.SetMode(ctx, subject, mode, force)
	})
}

// deleteMode answers DELETE /mode and /mode/{subject} with the mode that was.
func (c *call) deleteMode() error {
	a := schemaArguments{call: c}
	subject := a.setting(ScopeAdmin)
	return answerSchemas(&a, func(ctx context.Context) (modeAnswer, error) {
		mode, err := c.server.schemas.ResetMode(ctx, subject)
		return modeAnswer{mode}, err
	})
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
