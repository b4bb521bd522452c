package install_test

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/install"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

// options are those of an installation from a registry of the tests.
func options(change func(*install.Options)) install.Options {
	o := install.Default()
	o.Version, o.Registry = "v1.2.3", "registry.example.com/weir"
	change(&o)
	return o
}

func profile(t *testing.T, names ...string) install.Options {
	t.Helper()
	o := options(func(*install.Options) {})
	for _, name := range names {
		var err error
		if o, err = o.With(name); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func objects(t *testing.T, o install.Options) []*unstructured.Unstructured {
	t.Helper()
	objs, err := install.Objects(o)
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

func find(t *testing.T, objs []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, obj := range objs {
		if obj.GetKind() == kind && obj.GetName() == name {
			return obj
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}

// TestRender compares whole manifests, without the definitions, which are generated.
func TestRender(t *testing.T) {
	t.Parallel()
	tests := map[string]install.Options{
		"default":          profile(t),
		"all":              profile(t, install.ProfileAll),
		"source-kustomize": profile(t, install.ProfileSourceKustomize),
		"sharded":          profile(t, install.ProfileSharded),
		"lockdown":         profile(t, install.ProfileAll, install.ProfileLockdown),
		"everything-else": options(func(o *install.Options) {
			o.Namespace, o.ImagePullSecret, o.NetworkPolicy, o.WatchAllNamespaces = "gitops", "pull", false, false
			o.ClusterDomain, o.TolerationKeys, o.LogLevel = "example.internal", []string{"node.example.com/infra"}, "debug"
			o.EventsAddr = "http://notification-controller.gitops.svc.example.internal./"
			o.WorkloadIdentity, o.Beside = true, []string{"notification-controller", "source-watcher"}
		}),
	}
	for name, o := range tests {
		got, err := install.Render(o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := install.Render(o)
		if err != nil || !bytes.Equal(got, again) {
			t.Errorf("%s: another time, another manifest (%v)", name, err)
		}
		golden(t, name, withoutDefinitions(string(got)))
	}
}

// withoutDefinitions leaves one line of each CRD.
func withoutDefinitions(text string) string {
	docs := strings.Split(text, "\n---\n")
	for i, doc := range docs {
		var crd struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if yaml.Unmarshal([]byte(doc), &crd) == nil && crd.Kind == "CustomResourceDefinition" {
			head, _, _ := strings.Cut(doc, "apiVersion:")
			docs[i] = head + "# definition: " + crd.Metadata.Name
		}
	}
	return strings.Join(docs, "\n---\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".yaml")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
	}
}

// TestManifestReadsBack: what bootstrap writes, the kustomize-controller must read.
func TestManifestReadsBack(t *testing.T) {
	t.Parallel()
	o := profile(t, install.ProfileAll, install.ProfileSharded)
	data, err := install.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	read, err := manifest.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(objects(t, o), read); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	for _, obj := range read {
		if labels := obj.GetLabels(); labels["app.kubernetes.io/part-of"] != "flux" || labels["app.kubernetes.io/instance"] != "flux-system" || labels["app.kubernetes.io/version"] != "v1.2.3" || labels["app.kubernetes.io/component"] == "" {
			t.Errorf("%s has labels %v", manifest.IDOf(obj), labels)
		}
	}
}

// TestBasesListTheirFiles: kustomize builds what kustomization.yaml lists, and Render what
// there is.
func TestBasesListTheirFiles(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob("bases/*")
	if err != nil || len(dirs) < 7 {
		t.Fatalf("bases are %v, %v", dirs, err)
	}
	for _, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		var k struct{ Resources []string }
		if err := yaml.Unmarshal(data, &k); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		var have []string
		err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && path != "kustomization.yaml" {
				have = append(have, path)
			}
			return err
		})
		slices.Sort(k.Resources)
		if diff := cmp.Diff(have, k.Resources); err != nil || diff != "" {
			t.Errorf("%s: %v; files that are there, and that are listed (-there +listed):\n%s", dir, err, diff)
		}
	}
}

func TestParseComponents(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		names []string
		want  []string
		says  string
	}{
		"in the order of all":  {names: []string{"helm-controller", "source-controller"}, want: []string{"source-controller", "helm-controller"}},
		"each once":            {names: []string{"helm-controller", "helm-controller"}, want: []string{"helm-controller"}},
		"both halves of one":   {why: "flags for Flux go on to work", names: []string{"image-reflector-controller", "image-automation-controller"}, want: []string{"image-controller"}},
		"blanks":               {names: []string{" source-controller"}, want: []string{"source-controller"}},
		"what another one has": {why: "it must not go away silently", names: []string{"source-controller", "notification-controller"}, says: "goes on to work beside"},
		"and another":          {names: []string{"source-watcher"}, says: "weir has no source-watcher"},
		"what nobody has":      {names: []string{"sauce-controller"}, says: `"sauce-controller" is no component: there are source-controller, kustomize-controller`},
		"none":                 {says: "there are no components"},
	}
	for name, tc := range tests {
		got, err := install.ParseComponents(tc.names)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", name, diff, tc.why)
		}
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: the error is %v; want it to say %q (%s)", name, err, tc.says, tc.why)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*install.Options)
		says   string
	}{
		"no registry":            {func(o *install.Options) { o.Registry = "" }, "make images REGISTRY="},
		"a URL":                  {func(o *install.Options) { o.Registry = "https://registry.example.com" }, "without a scheme"},
		"a slash at the end":     {func(o *install.Options) { o.Registry = "registry.example.com/" }, "--registry"},
		"a namespace of none":    {func(o *install.Options) { o.Namespace = "Flux System" }, "--namespace"},
		"a domain of none":       {func(o *install.Options) { o.ClusterDomain = "cluster.local." }, "--cluster-domain"},
		"a version of none":      {func(o *install.Options) { o.Version = "v1 2" }, "--version"},
		"a level of none":        {func(o *install.Options) { o.LogLevel = "loud" }, "--log-level"},
		"a key of none":          {func(o *install.Options) { o.TolerationKeys = []string{"a b"} }, "--toleration-keys"},
		"a Secret of none":       {func(o *install.Options) { o.ImagePullSecret = "a b" }, "--image-pull-secret"},
		"a shard of none":        {func(o *install.Options) { o.Shards = []string{"Shard 1"} }, "--shards"},
		"a component of none":    {func(o *install.Options) { o.Components = []string{"x"} }, "no component"},
		"a registry with a port": {func(o *install.Options) { o.Registry = "127.0.0.1:5000" }, ""},
		"a registry with a path": {func(o *install.Options) { o.Registry = "registry.example.com/a/b_c" }, ""},
	}
	for name, tc := range tests {
		_, err := install.Render(options(tc.change))
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: the error is %v; want it to say %q", name, err, tc.says)
		}
	}
	if err := install.Default().Validate(); !errors.Is(err, install.ErrNoRegistry) {
		t.Errorf("without a registry: %v", err)
	}
	if _, err := install.Default().With("tiny"); err == nil || !strings.Contains(err.Error(), "lockdown") {
		t.Errorf("a profile of none: %v; want it to name those that there are", err)
	}
}

// help asks a program for help, by arguments that come before.
func help(t *testing.T, program string, args []string) ([]byte, error) {
	t.Helper()
	path := filepath.Join(testplane.Root(t), "bin", program)
	return exec.CommandContext(t.Context(), path, append(slices.Clone(args), "--help")...).CombinedOutput()
}
