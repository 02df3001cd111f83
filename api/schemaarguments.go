package api

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/codecs/registry"
	"leat/internal/fault"
)

// schemaArguments reads what a call of the schema registry sent, in the order in which
// its methods are called. The first error stays: from then on nothing is read and what
// the methods return means nothing. askSchemas and what answers with it return that error
// in place of asking the registry.
type schemaArguments struct {
	*call
	err error
}

// subject is the subject of the path. The token has to cover it.
func (a *schemaArguments) subject(scopes Scope) string {
	if a.err != nil {
		return ""
	}
	subject, ok := a.text("subject")
	if !ok {
		a.err = fault.New(fault.Unprocessable, registry.CodeInvalidSubject, "The subject is not percent-encoded correctly")
		return ""
	}
	if a.err = registry.CheckSubject(subject); a.err == nil {
		a.err = a.checkSubject(subject, scopes)
	}
	return subject
}

// setting is the subject of a path that may have none, "" for the global setting.
func (a *schemaArguments) setting(scopes Scope) string {
	if text, ok := a.text("subject"); a.err != nil || !ok || text != "" {
		return a.subject(scopes)
	}
	if limited(a.grants, scopes) && scopes == ScopeAdmin {
		a.err = forbidden(scopes, "")
	}
	return ""
}

// version is the version of the path.
func (a *schemaArguments) version() (number int) {
	if a.err == nil {
		text, _ := a.text("version")
		number, a.err = registry.ParseVersion(text)
	}
	return number
}

// flag is a parameter that is 1 or 0, false where it is left out.
func (a *schemaArguments) flag(name string) (set bool) {
	if a.err == nil {
		set, a.err = a.params.flag(name)
	}
	return set
}

// hidden is which of the deleted versions are asked for.
func (a *schemaArguments) hidden() registry.Hidden {
	deleted, only := a.flag("deleted"), a.flag("deletedOnly")
	switch {
	case only:
		return registry.OnlyDeleted
	case deleted:
		return registry.WithDeleted
	}
	return registry.WithoutDeleted
}

// offset is how many entries of a list are passed over.
func (a *schemaArguments) offset() (n int64) {
	if a.err == nil {
		n, a.err = a.params.integer("offset", 0, 1<<31, 0)
	}
	return n
}

// limit is how many entries of a list are wanted, most where that is left out or is
// below zero, which is how clients ask for all.
func (a *schemaArguments) limit(most int64) (n int64) {
	if a.err != nil {
		return 0
	}
	if text, ok := a.params.get("limit"); ok && strings.HasPrefix(text, "-") {
		if n, err := strconv.Atoi(text); err == nil && n < 0 {
			return most
		}
	}
	n, a.err = a.params.integer("limit", 0, 1<<31, most)
	return min(n, most)
}

// draft is the body that has a schema. The token has to cover what it refers to.
func (a *schemaArguments) draft() registry.Draft {
	var sent struct {
		Schema     string               `json:"schema"`
		Type       registry.Type        `json:"schemaType"`
		ID         int                  `json:"id"`
		Version    int                  `json:"version"`
		References []registry.Reference `json:"references"`
	}
	a.body(&sent)
	for _, reference := range sent.References {
		if a.err == nil {
			a.err = a.checkSubject(reference.Subject, readsSchemas)
		}
	}
	// -1 is how clients leave a number to the registry.
	return registry.Draft{Type: sent.Type, Text: sent.Schema, References: sent.References, ID: max(sent.ID, 0), Version: max(sent.Version, 0)}
}

// body reads a JSON body. Members that it does not know are ignored: clients send more
// than is kept here.
func (a *schemaArguments) body(into any) {
	if a.err != nil {
		return
	}
	body, err := a.readBody(min(maxSchemaBody, a.server.limits.BodyBytes), "body_too_large")
	if err != nil {
		a.err = err
		return
	}
	if !utf8.Valid(body) {
		a.err = fault.New(fault.Invalid, "invalid_json", "The body is not UTF-8")
		return
	}
	err = json.Unmarshal(body, into)
	var wrong *json.UnmarshalTypeError
	switch is := errors.As(err, &wrong); {
	case is && wrong.Field == "":
		a.err = fault.New(fault.Invalid, "invalid_json", "The body has to be a JSON object, not %s", wrong.Value)
	case is:
		a.err = fault.New(fault.Invalid, "invalid_member", "Member %q cannot be of the kind %s", clip(wrong.Field), wrong.Value)
	case err != nil:
		a.err = fault.New(fault.Invalid, "invalid_json", "The body is not a JSON object: %s", err)
	}
}

// askSchemas makes a call of the registry, within the time that the client's may take.
func askSchemas[T any](a *schemaArguments, call func(context.Context) (T, error)) (found T, err error) {
	if a.err != nil {
		return found, a.err
	}
	ctx, cancel := a.deadline()
	defer cancel()
	return call(ctx)
}

// answerSchemas answers with what the registry says.
func answerSchemas[T any](a *schemaArguments, call func(context.Context) (T, error)) error {
	found, err := askSchemas(a, call)
	if err != nil {
		return err
	}
	return a.sendSchemas(found)
}

// answerSchemasPage answers with those entries of a list that offset and limit ask for.
func answerSchemasPage[T any](a *schemaArguments, call func(context.Context) ([]T, error)) error {
	list, err := askSchemas(a, call)
	if err != nil {
		return err
	}
	length := int64(len(list))
	offset := min(a.offset(), length)
	limit := min(a.limit(length), length-offset)
	if a.err != nil {
		return a.err
	}
	if limit == 0 {
		return a.sendSchemas([]T{})
	}
	return a.sendSchemas(list[offset : offset+limit])
}
