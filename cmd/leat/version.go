package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build tells what the binary was made of.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Time     string `json:"time"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func newVersion(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say what this binary was built from",
		Example: "  leat version\n  leat version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := readBuild()
			body, err := json.Marshal(b)
			if err != nil {
				return fmt.Errorf("encode the version: %w", err)
			}
			return s.answer(body, func(w io.Writer) error {
				revision := orText(b.Revision, "unknown revision")
				if b.Modified {
					revision += ", modified"
				}
				_, err := fmt.Fprintf(w, "leat %s (%s) %s %s\n", b.Version, revision, b.Go, b.Platform)
				return err
			})
		},
	}
}
