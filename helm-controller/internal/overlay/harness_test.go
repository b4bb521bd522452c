package overlay_test

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/overlay"
)

// owner is the HelmRelease of all tests that need none in particular.
var owner = types.NamespacedName{Namespace: "flux-system", Name: "demo"}

// ownerLabels are what each object gets, as YAML at the indent of labels.
const ownerLabels = "    helm.toolkit.fluxcd.io/name: demo\n    helm.toolkit.fluxcd.io/namespace: flux-system\n"

// rendered is what the SDK makes of templates: the hooks, and the text of all else.
func rendered(t testing.TB, templates map[string]string) ([]*release.Hook, *bytes.Buffer) {
	t.Helper()
	files := make(map[string]string, len(templates))
	for name, content := range templates {
		files[path.Join("demo/templates", name)] = content
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, m := range manifests {
		out.WriteString("---\n# Source: " + m.Name + "\n" + m.Content + "\n")
	}
	return hooks, &out
}

// layOver lays over templates what spec says, and returns the release as it would be stored.
func layOver(t testing.TB, spec overlay.Spec, templates map[string]string) (*release.Release, error) {
	t.Helper()
	if spec.Owner.Name == "" {
		spec.Owner = owner
	}
	o, err := overlay.New(spec)
	if err != nil {
		return nil, err
	}
	hooks, text := rendered(t, templates)
	out, err := o.Manifests().Run(text)
	if err != nil {
		return nil, err
	}
	r := &release.Release{Name: "demo", Manifest: out.String(), Hooks: hooks}
	return r, o.Hooks(r)
}

// must is layOver where nothing may fail.
func must(t testing.TB, spec overlay.Spec, templates map[string]string) *release.Release {
	t.Helper()
	r, err := layOver(t, spec, templates)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// patches is a post-renderer of patches without targets.
func patches(texts ...string) helmv2.PostRenderer {
	k := &helmv2.Kustomize{}
	for _, text := range texts {
		k.Patches = append(k.Patches, kustomize.Patch{Patch: text})
	}
	return helmv2.PostRenderer{Kustomize: k}
}

// targeted is a post-renderer of one patch with a target.
func targeted(text string, target kustomize.Selector) helmv2.PostRenderer {
	return helmv2.PostRenderer{Kustomize: &helmv2.Kustomize{Patches: []kustomize.Patch{{Patch: text, Target: &target}}}}
}

// configMap is a template of one ConfigMap; more follows its name.
func configMap(name string, more ...string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n" + strings.Join(more, "")
}

// hook is a template of a ConfigMap that is a hook.
func hook(name, events string, more ...string) string {
	return configMap(name, "  annotations: {helm.sh/hook: \""+events+"\"}\n", strings.Join(more, ""))
}

// names of a map, sorted.
func names[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
