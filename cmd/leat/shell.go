package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// shell is what a command sees of its surroundings.
type shell struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

func osShell() *shell {
	return &shell{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
}

// terminal tells whether a stream of the shell is a terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
