package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// configFlag names the file; it is the one option that a file cannot set.
const configFlag = "config"

// maxConfigBytes bounds what is read of a configuration file.
const maxConfigBytes = 1 << 20

// configFile is what a configuration file sets. The zero configFile sets nothing.
type configFile struct {
	name     string
	settings []setting
	exposed  bool // anybody on the machine can read it
}

// setting is one key of a file with its value as text. A list is its elements
// joined as the environment joins them.
type setting struct {
	key, value string
	line       int // 0 = not known
}

// separators join the elements of the keys that take a list.
func separators() map[string]string { return map[string]string{tokensKey: ":", "nodes": ","} }

// find returns the setting of a key.
func (f *configFile) find(key string) (setting, bool) {
	for _, s := range f.settings {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// position names a setting for a person.
func (f *configFile) position(s setting) string {
	if s.line == 0 {
		return f.name
	}
	return fmt.Sprintf("%s:%d", f.name, s.line)
}

// readConfig reads a file of one level of keys, in the format its name ends with.
// A key that is not known is refused, with the one nearest to it.
func readConfig(name string, known []string) (configFile, error) {
	file := configFile{name: name}
	in, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return file, &failure{exit: exitUsage, code: "usage", text: fmt.Sprintf("--config: %v", err)}
	}
	if err != nil {
		return file, fmt.Errorf("read the configuration: %w", err)
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxConfigBytes+1))
	if err != nil {
		return file, fmt.Errorf("read the configuration: %w", err)
	}
	if len(text) > maxConfigBytes {
		return file, usage("%s is over %d bytes", name, maxConfigBytes)
	}
	if info, err := in.Stat(); err == nil {
		file.exposed = info.Mode().Perm()&0o004 != 0
	}
	read := map[string]func([]byte) ([]setting, error){
		".yaml": yamlSettings, ".yml": yamlSettings, ".json": jsonSettings, ".toml": tomlSettings,
	}[strings.ToLower(filepath.Ext(name))]
	if read == nil {
		return file, usage("%s: the name of a configuration file ends with .yaml, .yml, .json or .toml", name)
	}
	if file.settings, err = read(text); err != nil {
		return file, usage("%s: %v", name, err)
	}
	seen := make(map[string]bool)
	for _, s := range file.settings {
		if !slices.Contains(known, s.key) {
			return file, usage("%s: unknown key %q, did you mean %q?", file.position(s), s.key, nearest(s.key, known))
		}
		if seen[s.key] {
			return file, usage("%s: %q is set twice", file.position(s), s.key)
		}
		seen[s.key] = true
	}
	return file, nil
}

func yamlSettings(text []byte) ([]setting, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: expected keys with values", root.Line)
	}
	var out []setting
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		var parts []string
		elements := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			elements = value.Content
		}
		for _, e := range elements {
			if e.Kind != yaml.ScalarNode || e.Tag == "!!null" {
				return nil, notPlain(key.Value, key.Line)
			}
			parts = append(parts, e.Value)
		}
		s, err := newSetting(key.Value, parts, value.Kind == yaml.SequenceNode, key.Line)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func jsonSettings(text []byte) ([]setting, error) {
	if !json.Valid(text) {
		var into any
		return nil, json.Unmarshal(text, &into)
	}
	fields, err := members(text)
	if err != nil {
		return nil, err
	}
	var out []setting
	for _, m := range fields {
		var elements []json.RawMessage
		list := bytes.HasPrefix(m.value, []byte("["))
		if !list {
			elements = []json.RawMessage{m.value}
		} else if err := json.Unmarshal(m.value, &elements); err != nil {
			return nil, err
		}
		var parts []string
		for _, e := range elements {
			if e[0] == '{' || e[0] == '[' || e[0] == 'n' {
				return nil, notPlain(m.name, 0)
			}
			text, _ := cellText(e)
			parts = append(parts, text)
		}
		s, err := newSetting(m.name, parts, list, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func tomlSettings(text []byte) ([]setting, error) {
	var fields map[string]any
	if err := toml.Unmarshal(text, &fields); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, column := at.Position()
			return nil, fmt.Errorf("line %d, column %d: %w", line, column, err)
		}
		return nil, err
	}
	var out []setting
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		elements, list := fields[key].([]any)
		if !list {
			elements = []any{fields[key]}
		}
		var parts []string
		for _, e := range elements {
			switch e.(type) {
			case string, int64, bool, float64:
				parts = append(parts, fmt.Sprint(e))
			default:
				return nil, notPlain(key, 0)
			}
		}
		s, err := newSetting(key, parts, list, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func newSetting(key string, parts []string, list bool, line int) (setting, error) {
	separator, lists := separators()[key]
	if list && !lists {
		return setting{}, notPlain(key, line)
	}
	return setting{key: key, value: strings.Join(parts, separator), line: line}, nil
}

func notPlain(key string, line int) error {
	if line > 0 {
		return fmt.Errorf("line %d: %q has to be a text, a number or a truth value", line, key)
	}
	return fmt.Errorf("%q has to be a text, a number or a truth value", key)
}

// nearest is the candidate with the fewest letters to change.
func nearest(word string, candidates []string) string {
	best, least := "", -1
	for _, c := range candidates {
		if d := editDistance(word, c); least < 0 || d < least {
			best, least = c, d
		}
	}
	return best
}

// editDistance is the distance of Levenshtein.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
