package build

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// elsewhere notices when a build leaves the source: it is a web server, and a git command.
type elsewhere struct {
	*httptest.Server
	requests atomic.Int32
	cloned   string // exists once git was started
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{cloned: filepath.Join(t.TempDir(), "cloned")}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		e.requests.Add(1)
		fmt.Fprintln(w, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: remote}")
	}))
	t.Cleanup(e.Close)
	bin := t.TempDir()
	script := "#!/bin/sh\n: > " + e.cloned + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	return e
}

func (e *elsewhere) reached() bool {
	_, err := os.Stat(e.cloned)
	return e.requests.Load() > 0 || !errors.Is(err, fs.ErrNotExist)
}

// Each of these is where kustomize looks for a base on its own.
func TestRemoteBasesAreRefused(t *testing.T) {
	e := newElsewhere(t)
	addresses := []string{
		e.URL + "/base.yaml", "HTTP" + strings.TrimPrefix(e.URL, "http") + "/base.yaml", "https://127.0.0.1:1/org/repo",
		"https://example.invalid/org/repo.git/path?ref=v1", "ssh://git@example.invalid/org/repo", "file:///tmp/org/repo",
		"git::https://example.invalid/org/repo", "git::file:///tmp/repo", "git@example.invalid:org/repo", "me@example.invalid/org/repo/path",
		"github.com/org/repo", "GitHub.com/org/repo//path", "github.com:org/repo.git", "gh:org/repo", "oci://example.invalid/org/repo",
	}
	lists := map[string]string{
		"resources": "resources[0]", "bases": "bases[0]", "components": "components[0]", "crds": "crds[0]", "configurations": "configurations[0]",
		"generators": "generators[0]", "transformers": "transformers[0]", "validators": "validators[0]",
		"openapi: {path: %q}":                             "openapi.path",
		"patches: [{path: %q}]":                           "patches[0].path",
		"patchesStrategicMerge: [%q]":                     "patchesStrategicMerge[0]",
		"patchesJson6902: [{path: %q}]":                   "patchesJson6902[0].path",
		"replacements: [{path: %q}]":                      "replacements[0].path",
		"configMapGenerator: [{name: x, files: [%q]}]":    "configMapGenerator[0].files[0]",
		"configMapGenerator: [{name: x, envs: [%q]}]":     "configMapGenerator[0].envs[0]",
		"configMapGenerator: [{name: x, env: %q}]":        "configMapGenerator[0].env",
		"secretGenerator: [{name: x, files: [\"k=%s\"]}]": "secretGenerator[0].files[0]",
	}
	for _, address := range addresses {
		for form, at := range lists {
			if !strings.Contains(form, "%") {
				form += ": [%q]"
			}
			src := newMemory(map[string]string{
				"app/kustomization.yaml":  "resources: [../base]\n",
				"base/kustomization.yaml": "namePrefix: x-\n" + fmt.Sprintf(form, address) + "\n",
			})
			_, err := Run(src, Spec{Path: "app"}, nil)
			want := fmt.Sprintf("base/kustomization.yaml:2: %s %q is remote: put a copy into the source, or write ./ in front if it is a path in the source", at, address)
			if err == nil || err.Error() != want {
				t.Errorf("%s: %v\nwant %s", fmt.Sprintf(form, address), err, want)
			}
		}
		_, err := Run(newMemory(map[string]string{"a.yaml": ""}), Spec{Components: []string{address}}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "spec.components[0] ") {
			t.Errorf("component %q: %v", address, err)
		}
	}
	if e.reached() {
		t.Error("a build left the source")
	}
}

// A plugin that kustomize comes with reads files that its configuration names.
func TestRemotePathsOfPluginsAreRefused(t *testing.T) {
	e := newElsewhere(t)
	configs := map[string]string{
		"PatchTransformer":               "path: %q\ntarget: {kind: ConfigMap}",
		"PatchJson6902Transformer":       "path: %q\ntarget: {kind: ConfigMap, name: cm}",
		"PatchStrategicMergeTransformer": "Paths: [%q]",
		"ReplacementTransformer":         "replacements: [{path: %q}]",
		"ConfigMapGenerator":             "files: [\"key=%s\"]",
		"SecretGenerator":                "envs: [%q]",
		"ValueAddTransformer":            "targetFilePath: %q",
	}
	trees := map[string]map[string]string{
		"text":          {"kustomization.yaml": "transformers: [%q]"},
		"file":          {"kustomization.yaml": "generators: [config.yaml]", "config.yaml": "%s"},
		"directory":     {"kustomization.yaml": "validators: [dir]", "dir/kustomization.yaml": "resources: [c.yaml]", "dir/c.yaml": "%s"},
		"list":          {"kustomization.yaml": "transformers: [c.yaml]", "c.yaml": "apiVersion: v1\nkind: List\nitems:\n- %s"},
		"two levels":    {"kustomization.yaml": "transformers: [a]", "a/kustomization.yaml": "resources: [b]", "a/b/kustomization.yaml": "resources: [../../c.yaml]", "c.yaml": "%s"},
		"in components": {"kustomization.yaml": "components: [a]", "a/kustomization.yaml": "kind: Component\ntransformers: [c.yaml]", "a/c.yaml": "%s"},
	}
	for kind, fields := range configs {
		config := "apiVersion: builtin\nkind: " + kind + "\nmetadata: {name: x}\n" + fmt.Sprintf(fields, e.URL+"/x.yaml")
		for name, files := range trees {
			src := newMemory(nil)
			for file, content := range files {
				text := config
				if strings.Contains(content, "- %s") {
					text = strings.ReplaceAll(config, "\n", "\n  ")
				}
				if strings.Contains(content, "%") {
					content = fmt.Sprintf(content, text)
				}
				src = src.with(map[string]string{file: content})
			}
			_, err := Run(src, Spec{}, nil)
			if err == nil || !strings.Contains(err.Error(), "is remote") {
				t.Errorf("%s in %s: %v", kind, name, err)
			}
		}
	}
	if e.reached() {
		t.Error("a build left the source")
	}
}

// Without the checks, these tests would see kustomize leave.
func TestKustomizeAloneLeaves(t *testing.T) {
	for name, entry := range map[string]string{"git": "github.com/org/repo", "http": "%s/base.yaml"} {
		t.Run(name, func(t *testing.T) {
			e := newElsewhere(t)
			files := filesys.MakeFsInMemory()
			if err := files.WriteFile("/kustomization.yaml", []byte("resources: ["+strings.Replace(entry, "%s", e.URL, 1)+"]")); err != nil {
				t.Fatal(err)
			}
			_, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/")
			if !e.reached() {
				t.Errorf("kustomize stayed: %v", err)
			}
		})
	}
}

func TestIsRemote(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   []string
		want bool
	}{
		"paths": {
			why: "the source may have files of odd names",
			in: []string{"web.yaml", "./github.com/org/repo", "../base", "app@v1.yaml", "app@v1/web.yaml", "a:b.yaml", "C:x",
				"teams/me@example.com/web", "httpd.yaml", "github.community/x/y", "ssh", "git"},
		},
		"addresses": {
			why:  "kustomize would fetch these, or nobody means a path by them",
			in:   []string{"http:x", "https:/x", "HTTPS://x", "me@host/org/repo", "me@host:repo.git", "s3::bucket", "github.com/x"},
			want: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, entry := range tc.in {
				if got := isRemote(entry); got != tc.want {
					t.Errorf("isRemote(%q) = %v (%s)", entry, got, tc.why)
				}
			}
		})
	}
}
