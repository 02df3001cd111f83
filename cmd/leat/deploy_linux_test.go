package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"leat/internal/testenv"

	"go.yaml.in/yaml/v3"
)

const deploy = "../../deploy"

// TestDashboardKnowsTheMetrics: every metric of the dashboard is documented, and
// every documented one is on it.
func TestDashboardKnowsTheMetrics(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]string) // name → kind
	for _, row := range regexp.MustCompile("(?m)^\\| `(leat_\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(doc), -1) {
		known[row[1]] = row[2]
	}
	if len(known) < 15 {
		t.Fatalf("only %d metrics are documented", len(known))
	}
	text, err := os.ReadFile(filepath.Join(deploy, "grafana/dashboards/leat.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			for _, name := range regexp.MustCompile(`leat_\w+`).FindAllString(target.Expr, -1) {
				base := strings.TrimSuffix(name, "_bucket")
				if kind, ok := known[base]; !ok || (kind == "histogram") != (base != name) {
					t.Errorf("panel %q: %s is not a metric (%q)", panel.Title, name, kind)
				}
			}
		}
	}
}

// readDeployed reads a YAML file of the folder.
func readDeployed(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, name))
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// composeFile is what the tests read of docker-compose.yml.
type composeFile struct {
	Services map[string]struct {
		Environment map[string]string
		Volumes     []string
		Ports       []string
		Image       string
		Secrets     []string
	}
	Secrets map[string]struct{ Environment string }
	Volumes map[string]any
}

// TestComposeFile: nothing starts without tokens or is open to everybody, and all
// that is mounted is there.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	var compose composeFile
	readDeployed(t, "docker-compose.yml", &compose)
	if tokens := compose.Services["leat"].Environment["RF_BEARER_TOKENS"]; strings.Count(tokens, ":?") != 2 {
		t.Errorf("the compose file starts without tokens: %q", tokens)
	}
	for name, service := range compose.Services {
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s to everybody", name, port)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(filepath.Join(deploy, source)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, ok := compose.Volumes[source]; !ok {
				t.Errorf("%s: volume %q is not declared", name, source)
			}
		}
		if _, tag, _ := strings.Cut(service.Image, ":"); name != "leat" && (tag == "" || tag == "latest") {
			t.Errorf("%s is not pinned: %s", name, service.Image)
		}
		for _, secret := range service.Secrets {
			if compose.Secrets[secret].Environment == "" {
				t.Errorf("%s: secret %q is not declared", name, secret)
			}
		}
	}
}

// TestWatchersAgree: Prometheus reaches the node with a token it is given, and
// Grafana reaches Prometheus and finds the dashboard.
func TestWatchersAgree(t *testing.T) {
	t.Parallel()
	var compose composeFile
	readDeployed(t, "docker-compose.yml", &compose)
	var prometheus struct {
		Scrape []struct {
			Path          string `yaml:"metrics_path"`
			Authorization struct {
				File string `yaml:"credentials_file"`
			}
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readDeployed(t, "prometheus.yml", &prometheus)
	if s := prometheus.Scrape; len(s) != 1 || s[0].Path != "/metrics" || s[0].Static[0].Targets[0] != "leat:1109" ||
		!slices.Contains(compose.Services["prometheus"].Secrets, filepath.Base(s[0].Authorization.File)) {
		t.Errorf("prometheus does not reach the node: %+v", s)
	}
	var sources struct{ Datasources []struct{ UID, URL string } }
	readDeployed(t, "grafana/provisioning/datasources/prometheus.yml", &sources)
	text, err := os.ReadFile(filepath.Join(deploy, "grafana/dashboards/leat.json"))
	if err != nil || !strings.Contains(string(text), `"uid": "`+sources.Datasources[0].UID+`"`) {
		t.Errorf("the dashboard does not use the data source %+v, %v", sources, err)
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	readDeployed(t, "grafana/provisioning/dashboards/leat.yml", &providers)
	mounted := func(volume string) bool { return strings.Contains(volume, ":"+providers.Providers[0].Options.Path+":") }
	if !slices.ContainsFunc(compose.Services["grafana"].Volumes, mounted) {
		t.Errorf("the dashboards are not mounted at %s", providers.Providers[0].Options.Path)
	}
}

// TestContainerFile: the image is the binary alone, as an ordinary user, and what it
// is told is understood.
func TestContainerFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(deploy, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	_, final, found := strings.Cut(string(text), "\nFROM scratch\n")
	if !found || !strings.Contains(string(text), "CGO_ENABLED=0 go build") {
		t.Fatal("the image is not the static binary alone")
	}
	for _, want := range []string{"\nUSER 65532:65532\n", "\nEXPOSE 1109\n", "\nVOLUME [\"/data\"]\n", "\nENTRYPOINT [\"/leat\"]\n", "\nCMD [\"serve\"]\n",
		`CMD ["/leat", "doctor", "--ready"]`} {
		if !strings.Contains(final, want) {
			t.Errorf("the image lacks %q", strings.TrimSpace(want))
		}
	}
	if strings.Contains(final, "RUN ") {
		t.Error("nothing can run in an image without a shell")
	}
	variables := regexp.MustCompile(`(LEAT_\w+)=(\S+)`).FindAllStringSubmatch(final, -1)
	environment := map[string]string{"RF_BEARER_TOKENS": "a"}
	for _, v := range variables {
		environment[v[1]] = v[2]
	}
	if environment["LEAT_HOST"] != "0.0.0.0" || environment["LEAT_PORT"] != "1109" || environment["LEAT_DATA_DIR"] != "/data" {
		t.Errorf("the environment of the image is %v", environment)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if image := regexp.MustCompile(`FROM golang:([\d.]+) `).FindSubmatch(text); image == nil || !strings.Contains(string(mod), "\ngo "+string(image[1])) {
		t.Errorf("go.mod wants another Go than %q", image)
	}
}

// TestRunsInAnEmptyRoot builds the binary as the image does, and runs it where there
// is nothing but itself and its data, as an ordinary user.
func TestRunsInAnEmptyRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(root, "leat"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary, err := elf.Open(filepath.Join(root, "leat"))
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := binary.ImportedLibraries()
	if len(libraries) > 0 || binary.Section(".interp") != nil {
		t.Fatalf("the binary is not static: %v, %v", libraries, err)
	}
	_ = binary.Close()
	attributes := emptyRoot(t, root)
	dir := filepath.Join(root, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if attributes.Credential != nil {
		for _, path := range []string{root, filepath.Dir(root), dir, filepath.Join(root, "leat")} {
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(dir, int(attributes.Credential.Uid), int(attributes.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	c := testenv.Start(t, &exec.Cmd{
		Path: "/leat", Args: []string{"/leat", "serve"}, Dir: "/", SysProcAttr: attributes,
		Env: []string{"LEAT_HOST=0.0.0.0", "LEAT_PORT=0", "LEAT_DATA_DIR=/data", "RF_BEARER_TOKENS=secret"},
	})
	url := strings.Replace(c.Ready(t), "0.0.0.0", "127.0.0.1", 1)
	for _, args := range [][]string{{"topic", "create", "t"}, {"produce", "t", "x"}, {"consume", "t"}, {"doctor", "--ready"}} {
		got := leat(context.Background(), "", map[string]string{"LEAT_SERVER": url, "LEAT_TOKEN": "secret"}, args...)
		if got.exit != exitOK {
			t.Errorf("%q: exit %d, %s", args, got.exit, got.err)
		}
	}
	if exit, _ := c.Terminate(t); exit != exitOK {
		t.Errorf("exit %d\n%s", exit, c.Logs)
	}
}

// emptyRoot makes a process see nothing but root: as the user of the image where
// the test may do that, else in a user namespace of its own.
func emptyRoot(t *testing.T, root string) *syscall.SysProcAttr {
	t.Helper()
	attributes := &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		attributes.Credential = &syscall.Credential{Uid: 65532, Gid: 65532}
		return attributes
	}
	attributes.Cloneflags = syscall.CLONE_NEWUSER
	attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	return attributes
}
