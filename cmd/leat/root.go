package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// session is one run of the command: where it reads and writes, and what the
// flags common to all commands say.
type session struct {
	*shell
	format string
	server string
	token  string
	ca     string // file, "" = only the CAs of the system
	file   configFile
}

// run runs one command line and returns the exit code.
func run(ctx context.Context, sh *shell, args []string) int {
	s := &session{shell: sh}
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(sh.in)
	root.SetOut(sh.out)
	root.SetErr(sh.err)
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitOK
	}
	s.format = formatOf(args, s.getenv("LEAT_OUTPUT"), s.format)
	return s.report(err)
}

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "leat",
		Short: "A stream engine with its own durable log",
		Long: `Leat keeps records in a durable, partitioned log and runs continuous queries
over them. "leat demo" shows it at work on real data; "leat serve" starts a node;
the other commands talk to a node over HTTP.

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 conflict, 5 unavailable.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := s.configure(c); err != nil {
				return err
			}
			return checkFormat(s.format)
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%v; see %q", err, c.CommandPath()+" --help")
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&s.format, "output", "o", formatTable, "form of the output: table, json or yaml")
	flags.String(configFlag, "", "file with the configuration: YAML, JSON or TOML")
	configurable(flags, "output", "LEAT_OUTPUT")
	configurable(flags, configFlag, "LEAT_CONFIG")
	root.AddCommand(newServe(s), newDemo(s), newTopic(s), newProduce(s), newConsume(s), newGroupCommands(s), newQuery(s), newSchema(s),
		newKV(s), newCluster(s), newBench(s), newDoctor(s), newCompletion(s), newVersion(s))
	s.completions(root)
	return root
}

// commandGroup makes a command that only holds others.
func commandGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{Use: use, Short: short, Args: noArgs, RunE: func(c *cobra.Command, _ []string) error {
		return c.Help()
	}}
	group.AddCommand(commands...)
	return group
}

// noArgs refuses arguments, and names the command nearest to what was typed.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !c.HasSubCommands() {
		return usage("%q takes %s; see %q", c.CommandPath(), form(c, "no arguments"), c.CommandPath()+" --help")
	}
	message := ""
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		message = ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage("unknown command %q for %q%s", args[0], c.CommandPath(), message)
}

// exactArgs asks for as many arguments as there are names.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usage("%q takes %s; see %q", c.CommandPath(), form(c, strings.Join(names, " ")), c.CommandPath()+" --help")
	}
}

// form is what a command is given, with the flags that it needs.
func form(c *cobra.Command, otherwise string) string {
	_, form, _ := strings.Cut(c.Use, " ")
	return orText(form, otherwise)
}

// clientFlags gives a command the flags of those that talk to a server.
func (s *session) clientFlags(commands ...*cobra.Command) {
	for _, c := range commands {
		c.Flags().StringVar(&s.server, "server", "http://127.0.0.1:1109", "address of the server")
		configurable(c.Flags(), "server", "LEAT_SERVER")
		s.tokenFlag(c)
	}
}

func (s *session) tokenFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.token, "token", "", "bearer token")
	c.Flags().StringVar(&s.ca, "ca", "", "file with the certificate of a CA to trust besides those of the system, in PEM, for a server under https://")
	configurable(c.Flags(), "token", "LEAT_TOKEN")
	configurable(c.Flags(), "ca", "LEAT_CA")
}
