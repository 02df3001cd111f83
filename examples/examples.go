// Package examples holds real data and query specs to try Leat on, built into
// the binary. The directory nyc2013 says where the data comes from.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed *.json nyc2013/*.ndjson.gz formats/*
var files embed.FS

// Topic is a topic of the example data.
type Topic struct {
	Name string
	// Lines is NDJSON, one record a line, compressed with gzip, in the order of
	// the events.
	Lines []byte
}

// Topics returns the example data.
func Topics() ([]Topic, error) {
	var topics []Topic
	for _, name := range []string{"flights", "weather"} {
		lines, err := files.ReadFile("nyc2013/" + name + ".ndjson.gz")
		if err != nil {
			return nil, fmt.Errorf("read the example data: %w", err)
		}
		topics = append(topics, Topic{Name: name, Lines: lines})
	}
	return topics, nil
}

// Spec is a query spec over the example topics.
type Spec struct {
	Name string // of the query, and of its file without .json
	File string
	JSON []byte
}

// Specs returns the example specs by name.
func Specs() ([]Spec, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("list the example specs: %w", err)
	}
	specs := make([]Spec, 0, len(names))
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the example spec: %w", err)
		}
		specs = append(specs, Spec{Name: strings.TrimSuffix(name, path.Ext(name)), File: name, JSON: text})
	}
	return specs, nil
}

// Format returns a file of the directory formats: a schema, or a spec over topics whose
// records have one.
func Format(name string) ([]byte, error) {
	text, err := files.ReadFile("formats/" + name)
	if err != nil {
		return nil, fmt.Errorf("read the example: %w", err)
	}
	return text, nil
}
