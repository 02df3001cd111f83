package queries

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
)

// TestPlanGolden shows plans in their three forms.
func TestPlanGolden(t *testing.T) {
	t.Parallel()
	golden(t, "testdata/plans.txt", func(input string) string {
		_, plan, _, problems := Compile(context.Background(), []byte(input), specTopics{})
		if plan == nil {
			return problems.String()
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, plan.JSON(), "", "  "); err != nil {
			t.Errorf("%s: its JSON form: %v", plan.Name, err)
		}
		return plan.String() + "\n" + indented.String() + "\n\n" + plan.Mermaid()
	})
}
