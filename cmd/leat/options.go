package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An option has up to three names: a flag, environment variables, and a key of the
// configuration file. What is nearest to the command wins: flag, environment, file,
// default.

// envAnnotation marks a flag that environment variables can set, and the
// configuration file under the flag's name with underscores.
const envAnnotation = "leat-env"

// haPrefix begins the variables that count only where RF_HA_ENABLED is on.
const haPrefix = "RF_HA_"

// tokensKey is the option without a flag: a command line is no place for secrets.
const tokensKey = "tokens"

// configurable lets variables, the first before the next, and the configuration
// file set the flag where it is not given.
func configurable(flags *pflag.FlagSet, name string, variables ...string) {
	flag := flags.Lookup(name)
	flag.Usage += " [" + strings.Join(variables, ", ") + "]"
	if flag.Annotations == nil {
		flag.Annotations = make(map[string][]string)
	}
	flag.Annotations[envAnnotation] = variables
}

// configKey is the name of a flag in a file.
func configKey(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// configKeys are the keys that a file for any command can have, sorted.
func configKeys(root *cobra.Command) []string {
	keys := []string{tokensKey}
	visitOptions(root, func(_ *cobra.Command, f *pflag.Flag) {
		if f.Name != configFlag {
			keys = append(keys, configKey(f.Name))
		}
	})
	slices.Sort(keys)
	return slices.Compact(keys)
}

// visitOptions calls visit for every configurable flag of every command.
func visitOptions(c *cobra.Command, visit func(*cobra.Command, *pflag.Flag)) {
	each := func(f *pflag.Flag) {
		if len(f.Annotations[envAnnotation]) > 0 {
			visit(c, f)
		}
	}
	if c.HasParent() {
		c.LocalNonPersistentFlags().VisitAll(each)
	} else {
		c.PersistentFlags().VisitAll(each)
	}
	for _, inner := range c.Commands() {
		visitOptions(inner, visit)
	}
}

// configure sets the flags of a command that were not given, from the environment
// and the configuration file.
func (s *session) configure(c *cobra.Command) error {
	flags := c.Flags()
	named := flags.Lookup(configFlag)
	if err := s.setFromEnvironment(named); err != nil {
		return err
	}
	if name := named.Value.String(); name != "" {
		file, err := readConfig(name, configKeys(c.Root()))
		if err != nil {
			return err
		}
		s.file = file
	}
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || failed != nil || len(f.Annotations[envAnnotation]) == 0 {
			return
		}
		// The value of a file first, so that a variable replaces it.
		if set, known := s.file.find(configKey(f.Name)); known {
			if err := f.Value.Set(set.value); err != nil {
				failed = usage("%s: %q is no value for %q, which is of type %s", s.file.position(set), set.value, set.key, f.Value.Type())
				return
			}
		}
		failed = s.setFromEnvironment(f)
	})
	return failed
}

// setFromEnvironment sets a flag that was not given from its variables. Two that
// differ are refused.
func (s *session) setFromEnvironment(f *pflag.Flag) error {
	if f.Changed {
		return nil
	}
	var from, value string
	for _, variable := range f.Annotations[envAnnotation] {
		text := s.getenv(variable)
		if text == "" || strings.HasPrefix(variable, haPrefix) && !switchedOn(s.getenv(haEnabled)) {
			continue
		}
		if from != "" && text != value {
			return usage("%s and %s are both set and differ; unset one", from, variable)
		}
		from, value = variable, text
	}
	if from == "" {
		return nil
	}
	if err := f.Value.Set(value); err != nil {
		return usage("environment variable %s: %q is no value for --%s, which is of type %s", from, value, f.Name, f.Value.Type())
	}
	return nil
}

// switchedOn reads a switch as the environment writes it.
func switchedOn(value string) bool {
	switch strings.ToLower(value) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}
