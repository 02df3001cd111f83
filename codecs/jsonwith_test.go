package codecs

import "testing"

func TestAppendJSONWith(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ object, want string }{
		{`{}`, `{"a":7}`},
		{"\t{ \n} ", `{"a":7}`},
		{`{"b":1}`, `{"b":1,"a":7}`},
		{`{"a":1}`, `{"a":7}`},
		{` { "a" : [ 1 , "a" ] , "b" : { "a" : "x y" } , "a":2 } `, `{"b":{"a":"x y"},"a":7}`},
		{`{"\u0061":1,"aa":"\"a","":null}`, `{"aa":"\"a","":null,"a":7}`},
		{`{"b":"{\"a\":1}","c":1.50}`, `{"b":"{\"a\":1}","c":1.50,"a":7}`},
	} {
		if got := string(AppendJSONWith([]byte("x"), ObjectValue(c.object), "a", IntValue(7))); got != "x"+c.want {
			t.Errorf("%s with a: %s, want %s", c.object, got, c.want)
		}
	}
	if got := string(AppendJSONWith(nil, ObjectValue(`{"q\"":1}`), `q"`, Value{})); got != `{"q\"":null}` {
		t.Errorf("got %s", got)
	}
}
