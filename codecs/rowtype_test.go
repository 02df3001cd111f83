package codecs

import "testing"

func TestTypes(t *testing.T) {
	t.Parallel()
	fields := []TypeField{{Name: "a", Type: ScalarType(Kinds(Int))}}
	object := &Type{Kinds: Kinds(Object), Fields: fields}
	other := &Type{Kinds: Kinds(Object), Fields: []TypeField{{Name: "a", Type: ScalarType(Kinds(Int))}}}
	dict := &Type{Kinds: Kinds(Object), Values: ScalarType(Kinds(Int))}
	list := func(items *Type) *Type { return &Type{Kinds: Kinds(Array), Items: items} }
	for name, c := range map[string]struct {
		t     *Type
		kinds string
		known bool
	}{
		"two kinds":              {ScalarType(Kinds(Int)).Or(ScalarType(Kinds(String, Null))), "int, string or null", true},
		"anything":               {UnknownType(), AnyKind.String(), false},
		"anything but null":      {UnknownType().Without(Kinds(Null, Missing)), AnyKind.Values().String(), false},
		"an object":              {object, "object", true},
		"an object, or missing":  {object.With(Kinds(Missing)), "object or missing", true},
		"an object or a number":  {object.Or(ScalarType(Kinds(Int))), "int or object", true},
		"a number or an object":  {ScalarType(Kinds(Int)).Or(object), "int or object", true},
		"the same object":        {object.Or(object.With(Kinds(Null))), "object or null", true},
		"two objects":            {object.Or(other), "object", false},
		"an object or a map":     {object.Or(dict), "object", false},
		"the same map":           {dict.Or(dict), "object", true},
		"any object":             {ScalarType(Kinds(Object)), "object", false},
		"an array":               {list(object), "array", true},
		"arrays of scalars":      {list(ScalarType(Kinds(Int))).Or(list(ScalarType(Kinds(String)))), "array", true},
		"two arrays of objects":  {list(object).Or(list(other)), "array", false},
		"any array":              {ScalarType(Kinds(Array)), "array", false},
		"an array or an object":  {list(object).Or(object), "object or array", true},
		"an object without any":  {&Type{Kinds: Kinds(Object), Fields: []TypeField{}}, "object", true},
		"an array or a number 2": {ScalarType(Kinds(Int)).Or(list(object)), "int or array", true},
	} {
		if got := c.t.Kinds.String(); got != c.kinds || c.t.Known() != c.known {
			t.Errorf("%s: %s, known %v; want %s, %v", name, got, c.t.Known(), c.kinds, c.known)
		}
	}
	if both := list(ScalarType(Kinds(Int))).Or(list(ScalarType(Kinds(String)))); both.Items.Kinds != Kinds(Int, String) {
		t.Errorf("items %s", both.Items.Kinds)
	}
}

func TestFieldName(t *testing.T) {
	t.Parallel()
	for member, want := range map[string]string{
		"a": "a", "aB_9": "aB_9", "a.b[0]": "a_b_0_", "2x": "_2x", "avg delay": "avg_delay", "ü😀": "__", "": "",
	} {
		if got := FieldName(member); got != want {
			t.Errorf("%q: %q, want %q", member, got, want)
		}
	}
}
