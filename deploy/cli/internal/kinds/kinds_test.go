package kinds_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/kinds"
)

func TestFind(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"ks": "Kustomization", "kustomization": "Kustomization", "Kustomizations": "Kustomization",
		"kustomizations.kustomize.toolkit.fluxcd.io": "Kustomization",
		"hr": "HelmRelease", "gitrepo": "GitRepository", "GitRepository": "GitRepository", "source/git": "GitRepository", "sources/oci": "OCIRepository",
		"image/policy": "ImagePolicy", "images/update": "ImageUpdateAutomation", "alert-provider": "Provider", "receivers": "Receiver",
		"git": "", "policy": "", "pod": "", "": "",
	}
	for name, want := range tests {
		if k, ok := kinds.Find(name); k.GVK.Kind != want || ok != (want != "") {
			t.Errorf("Find(%q) = %q, %t; want %q", name, k.GVK.Kind, ok, want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"GitRepository": "source git", "HelmChart": "source chart", "Kustomization": "kustomization", "HelmRelease": "helmrelease",
		"ImageRepository": "image repository", "Provider": "alert-provider", "ArtifactGenerator": "artifact generator",
	}
	for _, k := range kinds.All() {
		if w, named := want[k.GVK.Kind]; named && k.Words() != w {
			t.Errorf("%s is called %q, want %q", k, k.Words(), w)
		}
	}
}

func read(t *testing.T, text string) kinds.Object {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	fromMap, err := kinds.Read(u)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(u.Object)
	if err != nil {
		t.Fatal(err)
	}
	var fromText kinds.Object
	if err := json.Unmarshal(data, &fromText); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromText, fromMap); diff != "" {
		t.Errorf("an object is read in two ways: %s", diff)
	}
	return fromMap
}

// row returns an object as its table shows it, without its age.
func row(o kinds.Object, wide bool) []string {
	k, _ := kinds.Of(o.GroupKind())
	var row []string
	for _, c := range k.Columns {
		if c.Name == "Age" || c.Wide && !wide {
			continue
		}
		value := c.Value
		if wide && c.Whole != nil {
			value = c.Whole
		}
		row = append(row, value(o))
	}
	return row
}

const sha = "0123456789abcdef0123456789abcdef01234567"

func TestColumns(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, object string
		want        []string
		wide        bool
	}{
		"Kustomization": {
			why:    "revisions are shortened in messages, too",
			object: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec: {suspend: true}\nstatus: {lastAppliedRevision: 'main@sha1:" + sha + "', conditions: [{type: Ready, status: 'True', message: 'Applied revision: main@sha1:" + sha + "'}]}",
			want:   []string{"main@sha1:01234567", "True", "True", "Applied revision: main@sha1:01234567"},
		},
		"wide": {
			why:    "who asks for more gets all of it",
			object: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {namespace: prod}\nspec: {path: ./app, sourceRef: {kind: Bucket, name: b}}\nstatus: {lastAppliedRevision: 'sha256:" + sha + "'}",
			want:   []string{"sha256:" + sha, "False", "False", "waiting to be reconciled", "Bucket/prod/b", "./app"}, wide: true,
		},
		"HelmRelease": {
			why:    "its revision is that of the chart of the last release",
			object: "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {namespace: prod}\nspec: {chart: {spec: {chart: shop, version: 1.x, sourceRef: {kind: HelmRepository, name: r, namespace: other}}}}\nstatus: {lastAttemptedRevision: 2.0.0, history: [{chartVersion: 1.0.0}]}",
			want:   []string{"1.0.0", "False", "False", "waiting to be reconciled", "HelmRepository/other/r", "shop@1.x"}, wide: true,
		},
		"HelmRelease that never was": {
			why:    "what was tried is better than nothing",
			object: "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nstatus: {lastAttemptedRevision: 2.0.0}",
			want:   []string{"2.0.0", "False", "False", "waiting to be reconciled"},
		},
		"HelmChart": {
			why:    "its chart is a name, not a template",
			object: "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmChart\nmetadata: {namespace: prod}\nspec: {chart: shop, version: 1.x, sourceRef: {kind: HelmRepository, name: r}}\nstatus: {artifact: {revision: 1.0.0}}",
			want:   []string{"1.0.0", "False", "False", "waiting to be reconciled", "shop@1.x", "HelmRepository/prod/r"}, wide: true,
		},
		"OCI HelmRepository": {
			why:    "it has no status, and works",
			object: "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nspec: {type: oci}",
			want:   []string{"", "False", "True", "Helm repository is Ready"},
		},
		"ImagePolicy": {
			why:    "its outcome is an image",
			object: "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nstatus: {latestRef: {name: example.com/app, tag: v1}, conditions: [{type: Ready, status: Unknown, message: looking}]}",
			want:   []string{"example.com/app", "v1", "Unknown", "looking"},
		},
		"an older version": {
			why:    "what is served is shown",
			object: "apiVersion: image.toolkit.fluxcd.io/v1beta2\nkind: ImageRepository\nstatus: {lastScanResult: {scanTime: '2024-01-01T00:00:00Z', tagCount: 3}}",
			want:   []string{"2024-01-01T00:00:00Z", "False", "False", "waiting to be reconciled"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, row(read(t, tc.object), tc.wide)); diff != "" {
				t.Errorf("%s (%s)", diff, tc.why)
			}
		})
	}
}
