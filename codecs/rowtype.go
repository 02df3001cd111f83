package codecs

// Type is what is known of a value before there is one: the kinds that it can have and,
// of an object or array, what can be in it. The types of recursive schemas form cycles.
// Immutable once it is made; safe for concurrent use.
type Type struct {
	Kinds KindSet
	// Fields are the members of an object that has these alone, in their order; nil if
	// the members are not known.
	Fields []TypeField
	// Items are what an array has as elements, and Values what an object of any members
	// has; nil if that is not known.
	Items, Values *Type
}

// TypeField is a member of an object.
type TypeField struct {
	Name string
	Type *Type // with Missing among its kinds if the member may be left out
}

// ScalarType is the type of values of the given kinds.
func ScalarType(kinds KindSet) *Type { return &Type{Kinds: kinds} }

// UnknownType is the type of a value of which nothing is known.
func UnknownType() *Type { return &Type{Kinds: AnyKind} }

// Known reports whether it is known what values of t look like, but for what is inside
// of objects and arrays.
func (t *Type) Known() bool {
	switch {
	case t.Anything():
		return false
	case t.Kinds.Has(Object) && t.Fields == nil && t.Values == nil:
		return false
	}
	return !t.Kinds.Has(Array) || t.Items != nil
}

// Anything reports whether nothing is known of the values of t but, perhaps, that they are
// not null.
func (t *Type) Anything() bool { return t.Kinds.Values() == AnyKind.Values() }

// With is t with further kinds, t itself where it has them.
func (t *Type) With(kinds KindSet) *Type {
	if t.Kinds|kinds == t.Kinds {
		return t
	}
	more := *t
	more.Kinds |= kinds
	return &more
}

// Without is a copy of t without some kinds.
func (t *Type) Without(kinds KindSet) *Type {
	less := *t
	less.Kinds &^= kinds
	return &less
}

// Or is the type of values of which each has one type or the other. What is inside of two
// different kinds of objects, or of arrays of objects or arrays, is not known.
func (t *Type) Or(other *Type) *Type {
	both := &Type{Kinds: t.Kinds | other.Kinds}
	switch a, b := t.Kinds.Has(Object), other.Kinds.Has(Object); {
	case a && b && (!sameFields(t.Fields, other.Fields) || t.Values != other.Values):
	case a:
		both.Fields, both.Values = t.Fields, t.Values
	case b:
		both.Fields, both.Values = other.Fields, other.Values
	}
	switch a, b := t.Kinds.Has(Array), other.Kinds.Has(Array); {
	case a && b && t.Items != nil && other.Items != nil && t.Items.isScalar() && other.Items.isScalar():
		both.Items = t.Items.Or(other.Items)
	case a && b && t.Items != other.Items:
	case a:
		both.Items = t.Items
	case b:
		both.Items = other.Items
	}
	return both
}

func (t *Type) isScalar() bool { return !t.Kinds.Has(Object) && !t.Kinds.Has(Array) }

func sameFields(a, b []TypeField) bool {
	if len(a) != len(b) || (a == nil) != (b == nil) {
		return false
	}
	return len(a) == 0 || &a[0] == &b[0]
}
