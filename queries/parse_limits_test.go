package queries

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// repeated is n texts made by format of 0, 1, 2, …, joined by commas.
func repeated(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

// TestSpecLimits holds every limit of a spec on both sides.
func TestSpecLimits(t *testing.T) {
	t.Parallel()
	const window = `,"window":{"tumbling":"1h"},"aggregate":{"n":"count()"}`
	nested := func(n int) string {
		return `,"filter":[` + strings.Repeat(`{"not":`, n-1) + `{"field":"a","op":"exists"}` + strings.Repeat("}", n-1) + "]"
	}
	for _, c := range []struct {
		limit   int
		members func(n int) string
		want    string
	}{
		{maxGroupBy, func(n int) string { return window + `,"group_by":[` + repeated(n, `"f%d"`) + "]" }, `"group_by" has more than 64 fields`},
		{
			maxAggregates,
			func(n int) string {
				return `,"window":{"tumbling":"1h"},"aggregate":{` + repeated(n, `"a%d":"count()"`) + "}"
			},
			`"aggregate" has more than 256 members`,
		},
		{maxSelect, func(n int) string { return `,"select":{` + repeated(n, `"s%d":"x"`) + "}" }, `"select" has more than 1024 members`},
		{
			maxFields,
			func(n int) string {
				return `,"filter":[` + repeated(1, `{"field":"x%d","op":"exists"}`) + `],"select":{` + repeated(n-1, `"s%[1]d":"f%[1]d"`) + "}"
			},
			"a query of more than 1024 different fields",
		},
		{maxConditions, func(n int) string { return `,"filter":[` + repeated(n, `{"field":"x","op":"eq","value":%d}`) + "]" }, "more than 1000 conditions in one filter"},
		{maxNesting, nested, "conditions nested more than 64 deep"},
		{maxInValues, func(n int) string { return `,"filter":[{"field":"x","op":"in","value":[` + repeated(n, "%d") + "]}]" }, `the list of "in" has more than 10000 values`},
		{
			MaxSpecBytes - len(`{"name":"q","source":{"topic":"flights"}}`),
			func(n int) string { return strings.Repeat(" ", n) },
			"the query spec is longer than 1048576 bytes",
		},
	} {
		for _, n := range []int{c.limit, c.limit + 1} {
			body := `{"name":"q","source":{"topic":"flights"}` + c.members(n) + "}"
			_, plan, _, problems := Compile(context.Background(), []byte(body), specTopics{})
			switch {
			case n == c.limit && plan == nil:
				t.Errorf("%s: refused at the limit: %s", c.want, problems)
			case n > c.limit && (len(problems) == 0 || !strings.Contains(problems.String(), c.want)):
				t.Errorf("%s: accepted beyond the limit: %s", c.want, problems)
			}
		}
	}
}
