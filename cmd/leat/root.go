package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// session is one run of the command: where it reads and writes, and what the
// flags common to all commands say.
type session struct {
	*shell
	format string
	server string
	token  string
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
	s.format = formatOf(args)
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
			if err := applyEnvironment(c.Flags(), s.getenv); err != nil {
				return err
			}
			return checkFormat(s.format)
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%v; see %q", err, c.CommandPath()+" --help")
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&s.format, "output", "o", formatTable, "form of the output: table, json or yaml")
	root.AddCommand(newServe(s), newDemo(s), newTopic(s), newProduce(s), newConsume(s), newQuery(s), newVersion(s))
	return root
}

// newGroup makes a command that only holds others.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
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
		return usage("%q takes no arguments; see %q", c.CommandPath(), c.CommandPath()+" --help")
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
		return usage("%q takes %s; see %q", c.CommandPath(), strings.Join(names, " "), c.CommandPath()+" --help")
	}
}

// envAnnotation marks a flag that an environment variable can set.
const envAnnotation = "leat-env"

// fromEnvironment lets variable set the flag where it is not given.
func fromEnvironment(flags *pflag.FlagSet, name, variable string) {
	flag := flags.Lookup(name)
	flag.Usage += " [" + variable + "]"
	flag.Annotations = map[string][]string{envAnnotation: {variable}}
}

// applyEnvironment sets the flags that were not given from their variables.
func applyEnvironment(flags *pflag.FlagSet, getenv func(string) string) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		variables := f.Annotations[envAnnotation]
		if f.Changed || len(variables) == 0 || failed != nil {
			return
		}
		if value := getenv(variables[0]); value != "" {
			if err := f.Value.Set(value); err != nil {
				failed = usage("environment variable %s: %q is no value for --%s, which is of type %s", variables[0], value, f.Name, f.Value.Type())
			}
		}
	})
	return failed
}

// clientFlags gives a command the flags of those that talk to a server.
func (s *session) clientFlags(commands ...*cobra.Command) {
	for _, c := range commands {
		flags := c.Flags()
		flags.StringVar(&s.server, "server", "http://127.0.0.1:1109", "address of the server")
		flags.StringVar(&s.token, "token", "", "bearer token")
		fromEnvironment(flags, "server", "LEAT_SERVER")
		fromEnvironment(flags, "token", "LEAT_TOKEN")
	}
}
