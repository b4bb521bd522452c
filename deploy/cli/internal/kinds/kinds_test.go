package kinds_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

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
		row = append(row, c.Show(o, wide, time.Time{}))
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

func TestHasTakenUp(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, object, revision string
		want                  bool
	}{
		"applied":        {object: "kind: Kustomization\nstatus: {lastAttemptedRevision: main@sha1:2}", revision: "main@sha1:2", want: true},
		"applied before": {why: "there is a newer one", object: "kind: Kustomization\nstatus: {lastAttemptedRevision: main@sha1:1, lastAppliedRevision: main@sha1:2}", revision: "main@sha1:2"},
		"never":          {object: "kind: Kustomization", revision: "main@sha1:2"},
		"of nothing":     {why: "there is nothing to take up", object: "kind: Kustomization", want: true},
		"chart":          {object: "kind: HelmChart\nstatus: {observedSourceArtifactRevision: sha256:2, artifact: {revision: 1.0.0}}", revision: "sha256:2", want: true},
		"old chart":      {object: "kind: HelmChart\nstatus: {observedSourceArtifactRevision: sha256:1, artifact: {revision: sha256:2}}", revision: "sha256:2"},
		"released":       {object: "kind: HelmRelease\nstatus: {lastAttemptedRevision: 1.2.0}", revision: "1.2.0", want: true},
		"released once":  {object: "kind: HelmRelease\nstatus: {lastAttemptedRevision: 1.1.0}", revision: "1.2.0"},
		"by its digest":  {why: "the version says less", object: "kind: HelmRelease\nstatus: {lastAttemptedRevision: 1.2.0+2, lastAttemptedRevisionDigest: 'sha256:2'}", revision: "1.2.0@sha256:2", want: true},
		"moved tag":      {object: "kind: HelmRelease\nstatus: {lastAttemptedRevision: 1.2.0, lastAttemptedRevisionDigest: 'sha256:1'}", revision: "1.2.0@sha256:2"},
	}
	for name, tc := range tests {
		var source kinds.Object
		if tc.revision != "" {
			source.Status.Artifact = &kinds.Artifact{Revision: tc.revision}
		}
		if got := read(t, tc.object).HasTakenUp(source); got != tc.want {
			t.Errorf("%s: %t, want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

// TestAge: how old something is depends on the clock that is given.
func TestAge(t *testing.T) {
	t.Parallel()
	o := read(t, "kind: Kustomization\nmetadata: {creationTimestamp: '2024-01-01T00:00:00Z'}")
	k, _ := kinds.Find("ks")
	age := k.Columns[slices.IndexFunc(k.Columns, func(c kinds.Column) bool { return c.Name == "Age" })]
	if got := age.Show(o, true, time.Date(2024, 1, 1, 3, 0, 0, 0, time.UTC)); got != "3h" {
		t.Errorf("the age is %q, want 3h", got)
	}
}
