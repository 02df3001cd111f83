package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestManual holds docs/cli.md to the commands; -update writes it anew.
func TestManual(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# The command\n\nMade from the help of the commands by `go test ./cmd/leat -run TestManual -update`.\n")
	manual(&b, newRoot(&session{shell: osShell()}))
	const path = "../../docs/cli.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != b.String() {
		t.Error("docs/cli.md is not what the commands say; run the command in its first lines")
	}
}

// manual writes a command and those in it.
func manual(b *strings.Builder, c *cobra.Command) {
	if c.Name() == "help" {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", c.CommandPath(), c.Short)
	if !c.HasSubCommands() {
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
	}
	if c.Long != "" {
		fmt.Fprintf(b, "\n%s\n", c.Long)
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\nExamples:\n\n```sh\n")
		for line := range strings.Lines(c.Example) {
			fmt.Fprintf(b, "%s\n", strings.TrimSpace(line))
		}
		b.WriteString("```\n")
	}
	if flags := strings.TrimRight(c.LocalFlags().FlagUsages(), "\n"); flags != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", flags)
	}
	for _, inner := range c.Commands() {
		manual(b, inner)
	}
}

// TestConfigurationIsDocumented: docs/configuration.md has a row for every option
// and no other; -update writes the rows.
func TestConfigurationIsDocumented(t *testing.T) {
	t.Parallel()
	const path, head = "../../docs/configuration.md", "| key | flag | environment | default | meaning |\n|---|---|---|---|---|\n"
	rows := append(configRows(newRoot(&session{shell: osShell()})),
		"| `tokens` | | `LEAT_TOKENS`, `RF_BEARER_TOKENS` | none | the bearer tokens and their scopes, `token1@scope+scope=prefix:token2`; in a file also a list |\n",
		"| | `--config` | `LEAT_CONFIG` | none | file with the configuration: YAML, JSON or TOML |\n")
	slices.Sort(rows)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), head)
	end := strings.Index(rest, "\n\n")
	if !found || end < 0 {
		t.Fatalf("%s has no table", path)
	}
	want := strings.Join(rows, "")
	if *update {
		if err := os.WriteFile(path, []byte(before+head+want+rest[end+1:]), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if rest[:end+1] != want {
		t.Errorf("the table should be\n%s", want)
	}
	for _, name := range append(haVariables(), haEnabled, "XDG_STATE_HOME") {
		if !strings.Contains(rest[end:], "`"+name+"`") {
			t.Errorf("%s is not explained", name)
		}
	}
}

func configRows(root *cobra.Command) []string {
	rows := make(map[string]string)
	visitOptions(root, func(c *cobra.Command, f *pflag.Flag) {
		if f.Name == configFlag || c.Name() == "doctor" || c.Name() == "rejoin" {
			return
		}
		fallback := "none"
		if f.DefValue != "" {
			fallback = "`" + f.DefValue + "`"
		}
		usage, _, _ := strings.Cut(f.Usage, " [")
		rows[f.Name] = fmt.Sprintf("| `%s` | `--%s` | `%s` | %s | %s |\n", configKey(f.Name), f.Name,
			strings.Join(f.Annotations[envAnnotation], "`, `"), fallback, usage)
	})
	var sorted []string
	for _, row := range rows {
		sorted = append(sorted, row)
	}
	return sorted
}
