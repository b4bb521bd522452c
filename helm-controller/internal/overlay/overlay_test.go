package overlay_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/overlay"
)

func TestObjects(t *testing.T) {
	t.Parallel()
	labels := "  labels:\n" + ownerLabels
	config := "---\n# Source: demo/templates/a.yaml\napiVersion: v1\n"
	tests := map[string]struct {
		why       string
		spec      overlay.Spec
		templates map[string]string
		want      string
	}{
		"nothing": {why: "a chart may have hooks only, or nothing"},
		"nothing to lay over": {
			why: "the owner is told even then", templates: map[string]string{"a.yaml": configMap("a")},
			want: config + "kind: ConfigMap\nmetadata:\n" + labels + "  name: a\n\n",
		},
		"order": {
			why: "what others need comes first, and files stay together otherwise",
			templates: map[string]string{
				"b.yaml": "apiVersion: x/v1\nkind: Zebra\nmetadata: {name: z}\n---\n" + configMap("b1") + "---\n" + configMap("b2"),
				"a.yaml": "apiVersion: x/v1\nkind: Ape\nmetadata: {name: a}\n---\n" + configMap("a1"),
			},
			want: config + "kind: ConfigMap\nmetadata:\n" + labels + "  name: a1\n" +
				"---\n# Source: demo/templates/b.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n" + labels + "  name: b1\n" +
				"---\n# Source: demo/templates/b.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n" + labels + "  name: b2\n" +
				"---\n# Source: demo/templates/a.yaml\napiVersion: x/v1\nkind: Ape\nmetadata:\n" + labels + "  name: a\n\n" +
				"---\n# Source: demo/templates/b.yaml\napiVersion: x/v1\nkind: Zebra\nmetadata:\n" + labels + "  name: z\n\n",
		},
		"common metadata": {
			why: "it takes the place of what the chart says, and the owner that of it",
			spec: overlay.Spec{CommonMetadata: &helmv2.CommonMetadata{
				Labels: map[string]string{"team": "a", "n": "1", helmv2.LabelName: "mine"}, Annotations: map[string]string{"on": "true"},
			}},
			templates: map[string]string{"a.yaml": configMap("a", "  labels: {team: b, app: x}\n  annotations: {on: off, at: y}\n")},
			want: config + "kind: ConfigMap\nmetadata:\n  annotations:\n    at: \"y\"\n    \"on\": \"true\"\n  labels:\n    app: x\n" + ownerLabels +
				"    \"n\": \"1\"\n    team: a\n  name: a\n\n",
		},
		"metadata of null": {
			why: "templates often write a key and nothing after it", spec: overlay.Spec{CommonMetadata: &helmv2.CommonMetadata{Annotations: map[string]string{"k": "v"}}},
			templates: map[string]string{"a.yaml": configMap("a", "  labels:\n  annotations:\n")},
			want:      config + "kind: ConfigMap\nmetadata:\n  annotations:\n    k: v\n" + labels + "  name: a\n\n",
		},
		"list": {
			why: "objects in a list are objects", templates: map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n"},
			want: config + "kind: ConfigMap\nmetadata:\n" + labels + "  name: a\n" + config + "kind: ConfigMap\nmetadata:\n" + labels + "  name: b\n\n",
		},
		"field twice": {
			why: "Helm takes the last, and many charts have some", templates: map[string]string{"a.yaml": configMap("a", "  labels: {x: a, y: b, x: c}\ndata: {k: v}\ndata: {k: w}\n")},
			want: config + "data:\n  k: w\nkind: ConfigMap\nmetadata:\n  labels:\n" + ownerLabels + "    x: c\n    \"y\": b\n  name: a\n\n",
		},
		"block at the end": {
			why:       "the SDK cuts off its newline; Flux leaves it out where another object follows in the template",
			templates: map[string]string{"a.yaml": configMap("b", "zdata:\n  k: |\n    two\n    lines\n") + "---\n" + configMap("a", "zdata:\n  k: |\n    two\n    lines\n")},
			want:      config + "kind: ConfigMap\nmetadata:\n" + labels + "  name: b\nzdata:\n  k: |-\n    two\n    lines\n" + config + "kind: ConfigMap\nmetadata:\n" + labels + "  name: a\nzdata:\n  k: |\n    two\n    lines\n\n",
		},
		"alias": {
			why: "the stored release has no alias", templates: map[string]string{"a.yaml": configMap("a", "data: {a: &x y, b: *x}\n")},
			want: config + "data:\n  a: \"y\"\n  b: \"y\"\nkind: ConfigMap\nmetadata:\n" + labels + "  name: a\n\n",
		},
		"patches and images in order": {
			why: "each post-renderer sees what those before it have made",
			spec: overlay.Spec{PostRenderers: []helmv2.PostRenderer{
				patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: first, y: first}}"),
				{},
				{Kustomize: &helmv2.Kustomize{}},
				targeted(`[{op: test, path: /data/x, value: first}, {op: replace, path: /data/x, value: second}]`, kustomize.Selector{Kind: "ConfigMap", Name: "a|b"}),
			}},
			templates: map[string]string{"a.yaml": configMap("a", "data: {z: chart}\n")},
			want:      config + "data:\n  x: second\n  \"y\": first\n  z: chart\nkind: ConfigMap\nmetadata:\n" + labels + "  name: a\n\n",
		},
		"several patches in one": {
			why: "each part has its own object",
			spec: overlay.Spec{PostRenderers: []helmv2.PostRenderer{patches(
				"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n$patch: delete\n--- # next\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n",
			)}},
			templates: map[string]string{"a.yaml": configMap("a") + "---\n" + configMap("b")},
			want:      config + "data:\n  k: v\nkind: ConfigMap\nmetadata:\n" + labels + "  name: a\n\n",
		},
		"renamed": {
			why: "kustomize mends references to what a patch renames",
			spec: overlay.Spec{PostRenderers: []helmv2.PostRenderer{
				targeted(`[{op: replace, path: /metadata/name, value: new}]`, kustomize.Selector{Kind: "ConfigMap"}),
			}},
			templates: map[string]string{"a.yaml": configMap("a") + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {volumes: [{name: v, configMap: {name: a}}]}\n"},
			want: config + "kind: ConfigMap\nmetadata:\n" + labels + "  name: new\n" +
				config + "kind: Pod\nmetadata:\n" + labels + "  name: p\nspec:\n  volumes:\n  - configMap:\n      name: new\n    name: v\n\n",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := must(t, tc.spec, tc.templates)
			if diff := cmp.Diff(tc.want, got.Manifest); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
		})
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	const template, pre = "demo/templates/", "pre-install"
	labelled := func(name, events string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    helm.sh/hook: " + events + "\n  labels:\n" + ownerLabels + "  name: " + name + "\n"
	}
	change := func(name, annotations string) helmv2.PostRenderer {
		return patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + ", annotations: {" + annotations + "}}}")
	}
	tests := map[string]struct {
		why       string
		spec      overlay.Spec
		templates map[string]string
		want      []*release.Hook // but for delete and log policies that are empty
		objects   string          // a part of the manifest
	}{
		"combined": {
			why: "a hook has an owner too", templates: map[string]string{"h.yaml": hook("h", pre)},
			want: []*release.Hook{{Name: "h", Kind: "ConfigMap", Path: template + "h.yaml", Manifest: labelled("h", pre), Events: []release.HookEvent{pre}}},
		},
		"separate": {
			why: "a hook has an owner too", spec: overlay.Spec{Strategy: helmv2.PostRenderStrategySeparate}, templates: map[string]string{"h.yaml": hook("h", pre)},
			want: []*release.Hook{{Name: "h", Kind: "ConfigMap", Path: template + "h.yaml", Manifest: labelled("h", pre), Events: []release.HookEvent{pre}}},
		},
		"nohooks": {
			why: "hooks stay as Helm 3 leaves them", spec: overlay.Spec{Strategy: helmv2.PostRenderStrategyNoHooks}, templates: map[string]string{"h.yaml": hook("h", pre)},
			want: []*release.Hook{{Name: "h", Kind: "ConfigMap", Path: template + "h.yaml", Manifest: strings.TrimSpace(hook("h", pre)), Events: []release.HookEvent{pre}}},
		},
		"changed": {
			why:       "what a hook is for is said by its annotations, which a patch may change",
			spec:      overlay.Spec{PostRenderers: []helmv2.PostRenderer{change("h", `helm.sh/hook: "post-install,post-upgrade", helm.sh/hook-weight: "5", helm.sh/hook-delete-policy: hook-failed`)}},
			templates: map[string]string{"h.yaml": hook("h", pre)},
			want: []*release.Hook{{
				Name: "h", Kind: "ConfigMap", Path: template + "h.yaml", Events: []release.HookEvent{"post-install", "post-upgrade"}, Weight: 5, DeletePolicies: []release.HookDeletePolicy{"hook-failed"},
				Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    helm.sh/hook: post-install,post-upgrade\n    helm.sh/hook-delete-policy: hook-failed\n    helm.sh/hook-weight: \"5\"\n  labels:\n" + ownerLabels + "  name: h\n",
			}},
		},
		"deleted": {
			why: "a hook that is not wanted can be left out", spec: overlay.Spec{PostRenderers: []helmv2.PostRenderer{patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: h}, $patch: delete}")}},
			templates: map[string]string{"h.yaml": hook("h", pre), "i.yaml": hook("i", pre)},
			want:      []*release.Hook{{Name: "i", Kind: "ConfigMap", Path: template + "i.yaml", Manifest: labelled("i", pre), Events: []release.HookEvent{pre}}},
		},
		"made one": {
			why: "an object can become a hook", spec: overlay.Spec{PostRenderers: []helmv2.PostRenderer{change("a", `helm.sh/hook: pre-install`)}},
			templates: map[string]string{"a.yaml": configMap("a") + "---\n" + configMap("b"), "h.yaml": hook("h", pre)}, objects: "name: b\n",
			want: []*release.Hook{
				{Name: "a", Kind: "ConfigMap", Path: template + "a.yaml", Manifest: labelled("a", pre), Events: []release.HookEvent{pre}},
				{Name: "h", Kind: "ConfigMap", Path: template + "h.yaml", Manifest: labelled("h", pre), Events: []release.HookEvent{pre}},
			},
		},
		"an object that is a hook too": {
			why: "charts have ServiceAccounts like this", templates: map[string]string{"h.yaml": hook("a", pre), "z.yaml": configMap("a")}, objects: "name: a\n",
			want: []*release.Hook{{Name: "a", Kind: "ConfigMap", Path: template + "h.yaml", Manifest: labelled("a", pre), Events: []release.HookEvent{pre}}},
		},
		"one object for two events": {
			why: "charts have Jobs like this", templates: map[string]string{"a.yaml": hook("h", "post-install"), "b.yaml": hook("h", pre)},
			want: []*release.Hook{
				{Name: "h", Kind: "ConfigMap", Path: template + "a.yaml", Manifest: labelled("h", "post-install"), Events: []release.HookEvent{"post-install"}},
				{Name: "h", Kind: "ConfigMap", Path: template + "b.yaml", Manifest: labelled("h", pre), Events: []release.HookEvent{pre}},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := must(t, tc.spec, tc.templates)
			for _, h := range got.Hooks {
				if len(h.DeletePolicies) == 0 {
					h.DeletePolicies = nil
				}
				h.OutputLogPolicies = nil
			}
			if diff := cmp.Diff(tc.want, got.Hooks); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
			if !strings.Contains(got.Manifest, tc.objects) || tc.objects == "" && got.Manifest != "" {
				t.Errorf("%s: manifest\n%s", tc.why, got.Manifest)
			}
		})
	}
}

// A patch must have something to patch, where that is depends on the strategy.
func TestPatchesWithoutTarget(t *testing.T) {
	t.Parallel()
	objects := map[string]string{"a.yaml": configMap("object")}
	both := map[string]string{"a.yaml": configMap("object"), "h.yaml": hook("hook", "pre-install")}
	hooks := map[string]string{"h.yaml": hook("hook", "pre-install")}
	const combined, separate, nohooks = helmv2.PostRenderStrategyCombined, helmv2.PostRenderStrategySeparate, helmv2.PostRenderStrategyNoHooks
	tests := map[string]struct {
		strategy  helmv2.PostRenderStrategy
		templates map[string]string
		of        string
		lost      bool
	}{
		"combined, an object":                {combined, both, "object", false},
		"combined, a hook":                   {combined, both, "hook", false},
		"combined, a hook, of hooks only":    {combined, hooks, "hook", false},
		"combined, neither":                  {combined, both, "other", true},
		"combined, neither, without hooks":   {combined, objects, "other", true},
		"separate, an object":                {separate, both, "object", true},
		"separate, an object, without hooks": {separate, objects, "object", false},
		"separate, a hook":                   {separate, both, "hook", true},
		"separate, a hook, of hooks only":    {separate, hooks, "hook", false},
		"nohooks, an object":                 {nohooks, both, "object", false},
		"nohooks, a hook":                    {nohooks, both, "hook", true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pr := patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: " + tc.of + "}, data: {k: v}}")
			_, err := layOver(t, overlay.Spec{Strategy: tc.strategy, PostRenderers: []helmv2.PostRenderer{{}, pr}}, tc.templates)
			want := "postRenderers[1].kustomize.patches[0]: there is no ConfigMap/" + tc.of + " to patch: correct kind, name and namespace, or remove the patch"
			switch {
			case tc.lost && (err == nil || err.Error() != want):
				t.Errorf("error = %v; want %s", err, want)
			case !tc.lost && err != nil:
				t.Error(err)
			}
		})
	}
}

func TestOnlyTheRenderedReleaseIsChanged(t *testing.T) {
	t.Parallel()
	o, err := overlay.New(overlay.Spec{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	hooks, text := rendered(t, map[string]string{"h.yaml": hook("h", "pre-install")})
	old := &release.Release{Hooks: hooks}
	if err := o.Hooks(old); err != nil || strings.Contains(old.Hooks[0].Manifest, helmv2.LabelName) {
		t.Errorf("a release that was not rendered here was changed: %v\n%s", err, old.Hooks[0].Manifest)
	}
	if _, err := o.Manifests().Run(text); err != nil {
		t.Fatal(err)
	}
	if err := o.Hooks(old); err != nil || !strings.Contains(old.Hooks[0].Manifest, helmv2.LabelName) {
		t.Errorf("the hooks were not laid over: %v\n%s", err, old.Hooks[0].Manifest)
	}
	old.Hooks[0].Manifest = "kept"
	if err := o.Hooks(old); err != nil || old.Hooks[0].Manifest != "kept" {
		t.Errorf("hooks were laid over twice: %v", err)
	}
}

func TestOverlaysAtOnce(t *testing.T) {
	t.Parallel()
	templates := map[string]string{
		"d.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: [{name: a, image: x:1}, {name: b, image: y}]}}}\n",
		"h.yaml": hook("h", "pre-install"), "z.yaml": "apiVersion: example.com/v1\nkind: Zebra\nmetadata: {name: z}\nspec: {list: [1]}\n",
	}
	spec := overlay.Spec{PostRenderers: []helmv2.PostRenderer{
		patches("{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {spec: {containers: [{name: b, image: z}]}}}}",
			"{apiVersion: example.com/v1, kind: Zebra, metadata: {name: z}, spec: {list: [2]}}"),
		{Kustomize: &helmv2.Kustomize{Images: []kustomize.Image{{Name: "x", NewTag: "2"}}}},
	}}
	want := must(t, spec, templates)
	for _, part := range []string{"image: x:2\n", "image: z\n", "  list:\n  - 2\n"} {
		if !strings.Contains(want.Manifest, part) {
			t.Errorf("%q is missing from\n%s", part, want.Manifest)
		}
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got, err := layOver(t, spec, templates)
			if err != nil {
				t.Error(err)
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	all.Wait()
}

func TestStrategyIsKnown(t *testing.T) {
	t.Parallel()
	if _, err := overlay.New(overlay.Spec{Strategy: "some"}); err == nil || !strings.Contains(err.Error(), `"some"`) {
		t.Errorf("error = %v", err)
	}
	o, err := overlay.New(overlay.Spec{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := o.Manifests().Run(bytes.NewBufferString("")); err != nil || out.Len() != 0 {
		t.Errorf("of nothing: %q, %v", out, err)
	}
}
