package queries

import (
	"slices"
	"testing"
)

func TestSpecDifferences(t *testing.T) {
	t.Parallel()
	const base = `{"name":"q","source":{"topic":"in","start":"earliest"},"group_by":["a","b"],"aggregate":{"n":"count()","m":"max(x)"},"filter":"x > 1"}`
	for _, c := range []struct {
		other string
		want  []string
	}{
		{base, nil},
		{`{ "filter":"x \u003e 1", "name":"q","source":{"start":"earliest","topic":"in"},"aggregate":{"n":"count()","m":"max(x)"},"group_by":["a", "b"]}`, nil},
		{`{"name":"q","source":{"topic":"in","start":"latest"},"group_by":["a","b"],"aggregate":{"n":"count()","m":"max(x)"},"filter":"x > 1"}`, []string{"/source/start"}},
		{`{"name":"q","source":{"topic":"in"},"group_by":["a","b"],"aggregate":{"n":"count()","m":"max(x)"},"filter":"x > 1"}`, []string{"/source/start"}},
		{`{"name":"q","source":{"topic":"in","start":"earliest"},"group_by":["b","a"],"aggregate":{"n":"count()","m":"max(x)"},"filter":"x > 1"}`, []string{"/group_by/0", "/group_by/1"}},
		{`{"name":"q","source":{"topic":"in","start":"earliest"},"group_by":["a"],"aggregate":{"n":"count()","m":"max(x)"},"filter":"x > 1"}`, []string{"/group_by"}},
		{`{"name":"q","source":{"topic":"in","start":"earliest"},"group_by":["a","b"],"aggregate":{"m":"max(x)","n":"count()"},"filter":"x > 1"}`, []string{"/aggregate"}},
		{`{"name":"q","source":{"topic":"in","start":"earliest"},"group_by":["a","b"],"aggregate":{"n":"count()","m":"max(x)"},"filter":[],"emit":"final"}`, []string{"/filter", "/emit"}},
		{`{"name":"q","source":{"topic":"in","start":"earliest"},"group_by":["a","b"],"aggregate":{"n":"count()","m":"max(x)"},"filter":"x > 1","ttl":"1d","emit":"changes","having":"n > 1"}`, []string{"/ttl", "/emit", "/having"}},
	} {
		if got := specDifferences([]byte(base), []byte(c.other)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.other, got, c.want)
		}
	}
}
