package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigFormats: the three formats say the same, and are refused for the same.
func TestConfigFormats(t *testing.T) {
	t.Parallel()
	known := []string{"port", "dev", "host", "tokens", "nodes"}
	for name, text := range map[string]string{
		"a.yaml": "# a node\nport: 1200\ndev: true\nhost: \"::1\"\ntokens: [a@consume, b]\nnodes: a:h:1:1\n",
		"a.yml":  "{port: 1200, dev: true, host: '::1', tokens: 'a@consume:b', nodes: ['a:h:1:1']}",
		"a.json": "{\n\t\"port\": 1200, \"dev\": true, \"host\": \"::1\", \"tokens\": [\"a@consume\", \"b\"], \"nodes\": \"a:h:1:1\"}",
		"a.toml": "port = 1200\ndev = true\nhost = '::1'\ntokens = ['a@consume', 'b']\nnodes = 'a:h:1:1'\n",
	} {
		file, err := readConfig(write(t, name, text), known)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for key, want := range map[string]string{"port": "1200", "dev": "true", "host": "::1", "tokens": "a@consume:b", "nodes": "a:h:1:1"} {
			if got, ok := file.find(key); !ok || got.value != want {
				t.Errorf("%s: %s is %q, not %q", name, key, got.value, want)
			}
		}
		if !file.exposed {
			t.Errorf("%s: everybody can read it", name)
		}
	}
	for text, want := range map[string]string{
		"a.yaml|hots: x":          `a.yaml:1: unknown key "hots", did you mean "host"?`,
		"a.yaml|port: 1\nport: 2": `already`, // or set twice
		"a.yaml|- port":           `expected keys`,
		"a.yaml|port: [1]":        `has to be a text`,
		"a.yaml|port:\n  x: 1":    `has to be a text`,
		"a.yaml|port:":            `has to be a text`,
		"a.yaml|port: 'x":         `yaml`,
		"a.json|{\"port\": null}": `has to be a text`,
		"a.json|{\"port\": {}}":   `has to be a text`,
		"a.json|{\"port\": 1,}":   `invalid character`,
		"a.json|{\"prot\": 1}":    `did you mean "port"?`,
		"a.json|[]":               `not a JSON object`,
		"a.toml|[port]\nx = 1":    `has to be a text`,
		"a.toml|port = ":          `line 1`,
		"a.toml|prot = 1":         `did you mean "port"?`,
		"a.ini|port = 1":          `.yaml, .yml, .json or .toml`,
	} {
		name, content, _ := strings.Cut(text, "|")
		_, err := readConfig(write(t, name, content), known)
		if err == nil || classify(err).exit != exitUsage || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "set twice") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if file, err := readConfig(write(t, "empty.yaml", ""), known); err != nil || len(file.settings) != 0 {
		t.Errorf("%+v, %v", file, err)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPrecedence: flag, environment, file, default, for every option of a node.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "leat.yaml", "host: file\nport: 1\ntoken: file\nnode_id: file\n")
	for _, c := range []struct {
		env  map[string]string
		args []string
		want string // host, port, node-id
	}{
		{nil, nil, "127.0.0.1 1109 "},
		{nil, []string{"--config", file}, "file 1 file"},
		{map[string]string{"LEAT_CONFIG": file}, nil, "file 1 file"},
		{map[string]string{"LEAT_CONFIG": file, "LEAT_PORT": "2", "RF_HA_NODE_ID": "env"}, nil, "file 2 file"},
		{map[string]string{"LEAT_CONFIG": file, haEnabled: "1", "RF_HA_NODE_ID": "env"}, []string{"--host", "flag"}, "flag 1 env"},
		{map[string]string{"LEAT_CONFIG": "gone.yaml", "LEAT_PORT": "2"}, []string{"--config", file, "--port", "3"}, "file 3 file"},
		{map[string]string{"LEAT_NODE_ID": "a", "RF_HA_NODE_ID": "b", haEnabled: "1"}, nil, "differ"},
	} {
		s := &session{shell: &shell{getenv: func(name string) string { return c.env[name] }}}
		serve, args, err := newRoot(s).Find(append([]string{"serve"}, c.args...))
		if err == nil {
			err = serve.ParseFlags(args)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.configure(serve); err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		flags := serve.Flags()
		got := flags.Lookup("host").Value.String() + " " + flags.Lookup("port").Value.String() + " " + flags.Lookup("node-id").Value.String()
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
