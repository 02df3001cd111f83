package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionTimeout bounds how long the Tab key waits for the server.
const completionTimeout = 2 * time.Second

func newCompletion(s *session) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the script that completes commands in a shell",
		Long: `Print the script that makes the Tab key complete commands, flags, and the names of
topics, queries, subjects and keys, which it asks the server for. SHELL is bash, zsh, fish or
powershell. For this session of bash:

  source <(leat completion bash)

and for every one, write it to where the shell looks for such scripts:

  leat completion bash > ~/.local/share/bash-completion/completions/leat
  leat completion zsh > "${fpath[1]}/_leat"
  leat completion fish > ~/.config/fish/completions/leat.fish
  leat completion powershell >> $PROFILE`,
		Example:           "  leat completion bash > leat.bash",
		ValidArgs:         shells,
		Args:              exactArgs("SHELL"),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(s.out, true)
			case "zsh":
				return root.GenZshCompletion(s.out)
			case "fish":
				return root.GenFishCompletion(s.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(s.out)
			}
			return usage("%q knows bash, zsh, fish and powershell, not %q", cmd.CommandPath(), args[0])
		},
	}
}

// names asks a server for what an argument can be. args are the arguments before it.
type names func(ctx context.Context, c *client, args []string, begin string) ([]string, error)

// completions tells for every command what its arguments can be. A command that is
// not listed takes none that could be known.
func (s *session) completions(root *cobra.Command) {
	arguments := map[string][]names{
		"produce": {topicNames}, "consume": {topicNames},
		"topic describe": {topicNames}, "topic delete": {topicNames}, "topic retention": {topicNames}, "topic delete-before": {topicNames},
		"group list": {topicNames}, "group show": {nil, topicNames}, "group commit": {nil, topicNames},
		"bench produce": {topicNames}, "bench consume": {topicNames},
		"query show": {queryNames}, "query results": {queryNames}, "query plan": {queryNames}, "query late": {queryNames},
		"query dead-letters": {queryNames}, "query view": {queryNames}, "query delete": {queryNames},
		"schema list": {subjectNames}, "schema show": {subjectNames}, "schema register": {subjectNames}, "schema check": {subjectNames},
		"schema delete": {subjectNames}, "schema config": {subjectNames},
		"kv put": {nil, keyNames}, "kv get": {nil, keyNames}, "kv meta": {nil, keyNames}, "kv delete": {nil, keyNames},
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		path := strings.TrimPrefix(c.CommandPath(), root.Name()+" ")
		if !c.HasSubCommands() && c.ValidArgsFunction == nil {
			c.ValidArgsFunction = s.complete(arguments[path])
		}
		for _, inner := range c.Commands() {
			visit(inner)
		}
	}
	visit(root)
	forms := cobra.FixedCompletions([]string{formatTable, formatJSON, formatYAML}, cobra.ShellCompDirectiveNoFileComp)
	// It fails only for a flag that is not there or has a completion.
	_ = root.RegisterFlagCompletionFunc("output", forms)
}

// complete asks the server for the names that begin as what was typed. What goes
// wrong completes to nothing: there is no place to say why.
func (s *session) complete(arguments []names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(arguments) || arguments[len(args)] == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if s.configure(cmd) != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		c, err := s.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		defer c.close()
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTimeout)
		defer cancel()
		found, err := arguments[len(args)](ctx, c, args, begin)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.DeleteFunc(found, func(name string) bool { return !strings.HasPrefix(name, begin) }), cobra.ShellCompDirectiveNoFileComp
	}
}

func topicNames(ctx context.Context, c *client, _ []string, _ string) ([]string, error) {
	body, err := c.get(ctx, "/broker/topics", nil)
	if err != nil {
		return nil, err
	}
	var list struct {
		Topics []struct {
			Topic string `json:"topic"`
		} `json:"topics"`
	}
	if err := readAnswer(body, &list); err != nil {
		return nil, err
	}
	found := make([]string, len(list.Topics))
	for i := range list.Topics {
		found[i] = list.Topics[i].Topic
	}
	return found, nil
}

func subjectNames(ctx context.Context, c *client, _ []string, _ string) (found []string, err error) {
	body, err := c.get(ctx, "/subjects", nil)
	if err != nil {
		return nil, err
	}
	return found, readAnswer(body, &found)
}

func queryNames(ctx context.Context, c *client, _ []string, _ string) ([]string, error) {
	body, err := c.get(ctx, "/queries", nil)
	if err != nil {
		return nil, err
	}
	var list struct {
		Queries []standing `json:"queries"`
	}
	if err := readAnswer(body, &list); err != nil {
		return nil, err
	}
	found := make([]string, len(list.Queries))
	for i := range list.Queries {
		found[i] = list.Queries[i].Name
	}
	return found, nil
}

func keyNames(ctx context.Context, c *client, args []string, begin string) ([]string, error) {
	page, err := c.keys(ctx, keyRange{namespace: args[0], prefix: begin, limit: 100, stale: true})
	if err != nil {
		return nil, err
	}
	found := make([]string, len(page.Keys))
	for i, key := range page.Keys {
		var meta keyMeta
		if err := readAnswer(key, &meta); err != nil {
			return nil, err
		}
		found[i] = meta.Key
	}
	return found, nil
}
