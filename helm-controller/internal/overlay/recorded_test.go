package overlay_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	kubefake "helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/overlay"
)

// stored returns the releases that Flux has stored, by the names of their Secrets.
func stored(t *testing.T) map[string]*release.Release {
	t.Helper()
	text, err := os.ReadFile("testdata/release-secrets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Data     struct{ Release []byte }
		}
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]*release.Release)
	for _, item := range list.Items {
		zipped, err := base64.StdEncoding.DecodeString(string(item.Data.Release))
		if err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(bytes.NewReader(zipped))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[item.Metadata.Name] = &release.Release{}
		if err := json.Unmarshal(plain, out[item.Metadata.Name]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// made renders the recorded chart as Flux did, and lays the spec over it.
func made(t *testing.T, spec overlay.Spec, like *release.Release) *release.Release {
	t.Helper()
	c, err := loader.LoadFile("testdata/demo-1.2.3.tgz")
	if err != nil {
		t.Fatal(err)
	}
	o, err := overlay.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &action.Configuration{
		Releases: storage.Init(driver.NewMemory()), KubeClient: &kubefake.PrintingKubeClient{Out: io.Discard},
		Capabilities: chartutil.DefaultCapabilities.Copy(), Log: func(string, ...any) {},
	}
	var r *release.Release
	if like.Version == 1 {
		install := action.NewInstall(cfg)
		install.ReleaseName, install.Namespace, install.PostRenderer = like.Name, like.Namespace, o.Manifests()
		r, err = install.Run(c, like.Config)
	} else {
		if err := cfg.Releases.Create(&release.Release{Name: like.Name, Namespace: like.Namespace, Version: like.Version - 1, Chart: c, Info: &release.Info{Status: release.StatusDeployed}}); err != nil {
			t.Fatal(err)
		}
		upgrade := action.NewUpgrade(cfg)
		upgrade.Namespace, upgrade.PostRenderer, upgrade.ResetValues = like.Namespace, o.Manifests(), true
		r, err = upgrade.Run(like.Name, c, like.Config)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Hooks(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// renderers are those of the recorded HelmRelease that has some.
func renderers() []helmv2.PostRenderer {
	return []helmv2.PostRenderer{{Kustomize: &helmv2.Kustomize{
		Images: []kustomize.Image{{Name: "registry.example.com/demo", NewName: "mirror.example.com/demo"}},
		Patches: []kustomize.Patch{{
			Patch:  `[{"op": "add", "path": "/metadata/annotations", "value": {"team": "shop"}}]`,
			Target: &kustomize.Selector{Kind: "Service"},
		}},
	}}}
}

// What is stored is byte for byte what Flux has stored, or else each release would be
// upgraded when Flux is replaced.
func TestRecordedReleases(t *testing.T) {
	t.Parallel()
	all := stored(t)
	tests := map[string]overlay.Spec{
		"sh.helm.release.v1.shop-defaults.v1": {Owner: types.NamespacedName{Namespace: "flux-system", Name: "defaults"}},
		"sh.helm.release.v1.values.v1":        {Owner: types.NamespacedName{Namespace: "flux-system", Name: "values"}},
		"sh.helm.release.v1.values.v2":        {Owner: types.NamespacedName{Namespace: "flux-system", Name: "values"}},
		"sh.helm.release.v1.from.v1": {
			Owner:         types.NamespacedName{Namespace: "flux-system", Name: "from"},
			PostRenderers: renderers(), CommonMetadata: &helmv2.CommonMetadata{Labels: map[string]string{"owner": "shop"}},
		},
	}
	if diff := cmp.Diff(names(tests), names(all)); diff != "" {
		t.Fatalf("what is recorded: -tests +recorded\n%s", diff)
	}
	for name, spec := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, got := all[name], made(t, spec, all[name])
			if got.Manifest != want.Manifest {
				t.Errorf("manifest: -want +got\n%s", cmp.Diff(want.Manifest, got.Manifest))
			}
			if len(got.Hooks) != 1 || len(want.Hooks) != 1 {
				t.Fatalf("%d hooks; want 1 of %d", len(got.Hooks), len(want.Hooks))
			}
			want.Hooks[0].LastRun, got.Hooks[0].LastRun = release.HookExecution{}, release.HookExecution{}
			if diff := cmp.Diff(tellHook(t, want.Hooks[0]), tellHook(t, got.Hooks[0])); diff != "" {
				t.Errorf("hook: -want +got\n%s", diff)
			}
		})
	}
}

func tellHook(t *testing.T, h *release.Hook) string {
	t.Helper()
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRecordedDigests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ got, want string }{
		"post-renderers":     {overlay.PostRenderersDigest(renderers()), "sha256:87a290a564817228dd06fb7316e2bd5c270662ccdca6a2a63ed8b7298fa10603"},
		"common metadata":    {overlay.CommonMetadataDigest(&helmv2.CommonMetadata{Labels: map[string]string{"owner": "shop"}}), "sha256:63757e1c080c7fd7f25af76557fc3a389f3975ddd7796eda4105849b84070a00"},
		"no post-renderers":  {overlay.PostRenderersDigest(nil), ""},
		"no common metadata": {overlay.CommonMetadataDigest(nil), ""},
	}
	for name, tc := range tests {
		if tc.got != tc.want {
			t.Errorf("digest of %s = %q; want %q", name, tc.got, tc.want)
		}
	}
}
