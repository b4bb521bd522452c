package origin_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/origin"
	"weir.dev/pkg/manifest"
)

// clone is a repository on this machine.
type clone struct {
	t    *testing.T
	dir  string
	repo *gogit.Repository
	made int
}

func newClone(t *testing.T) *clone {
	t.Helper()
	dir := t.TempDir()
	repo, err := gogit.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return &clone{t: t, dir: dir, repo: repo}
}

// commit writes files, and makes a commit of them by an author, an hour after the last.
func (c *clone) commit(author, message string, files map[string]string) string {
	c.t.Helper()
	tree, err := c.repo.Worktree()
	if err != nil {
		c.t.Fatal(err)
	}
	for name, content := range files {
		at := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			c.t.Fatal(err)
		}
		if _, err := tree.Add(name); err != nil {
			c.t.Fatal(err)
		}
	}
	who := &object.Signature{Name: author, Email: author + "@example.com", When: c.next()}
	hash, err := tree.Commit(message+"\n\nMore of it.", &gogit.CommitOptions{Author: who, Committer: who})
	if err != nil {
		c.t.Fatal(err)
	}
	return hash.String()
}

func (c *clone) next() time.Time {
	c.made++
	return time.Date(2026, 1, 1, c.made, 0, 0, 0, time.UTC)
}

// kustomization is one that has applied a commit.
func kustomization(commit string) *kustomizev1.Kustomization {
	return &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "apps"},
		Spec: kustomizev1.KustomizationSpec{
			Path: "./apps", TargetNamespace: "shop", SourceRef: kustomizev1.SourceReference{Kind: "GitRepository", Name: "fleet"},
			PostBuild: &kustomizev1.PostBuild{Substitute: map[string]string{"colour": "blue"}},
		},
		Status: kustomizev1.KustomizationStatus{LastAppliedRevision: "main@sha1:" + commit},
	}
}

func reader(t *testing.T, dir string) *origin.Reader {
	t.Helper()
	r, err := origin.NewReader(nil, origin.Options{Clone: dir}) // which asks no cluster
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

const settings = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  colour: ${colour}
  size: small
`

// TestCommitOfAField: each line is of whoever wrote it last, up to the commit that was
// applied and not beyond.
func TestCommitOfAField(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	first := c.commit("Ann", "Add settings", map[string]string{
		"apps/kustomization.yaml": "resources: [../base]\nnamePrefix: my-\n", "base/kustomization.yaml": "resources: [settings.yaml]\n", "base/settings.yaml": settings,
	})
	second := c.commit("Ben", "Enlarge", map[string]string{"base/settings.yaml": strings.Replace(settings, "small", "large", 1)})
	c.commit("Cid", "Change all", map[string]string{"base/settings.yaml": "# all\n" + settings})

	built, err := reader(t, c.dir).Built(t.Context(), kustomization(second))
	if err != nil {
		t.Fatal(err)
	}
	id := manifest.ID{Kind: "ConfigMap", Namespace: "shop", Name: "my-settings"}
	tests := map[string]struct {
		path fieldpath.Path
		want origin.Place
		by   origin.Commit
	}{
		"a line of the second": {
			fieldpath.MakePathOrDie("data", "size"), origin.Place{File: "base/settings.yaml", Line: 6, Exact: true},
			origin.Commit{Hash: second, Author: "Ben", Email: "Ben@example.com", When: time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC), Subject: "Enlarge"},
		},
		"a variable, of the first": {
			fieldpath.MakePathOrDie("data", "colour"), origin.Place{File: "base/settings.yaml", Line: 5, Variables: []string{"colour"}, Exact: true},
			origin.Commit{Hash: first, Author: "Ann", Email: "Ann@example.com", When: time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC), Subject: "Add settings"},
		},
	}
	for name, tc := range tests {
		place, err := built.Place(id, tc.path)
		if diff := cmp.Diff(tc.want, place); err != nil || diff != "" {
			t.Errorf("%s: Place = %v (-want +got):\n%s", name, err, diff)
		}
		by, err := built.Commit(t.Context(), place)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.by, by); diff != "" {
			t.Errorf("%s: commit (-want +got):\n%s", name, diff)
		}
	}
	if last, err := built.Commit(t.Context(), origin.Place{File: "base/settings.yaml"}); err != nil || last.Author != "Ben" {
		t.Errorf("the file was last changed by %+v, %v; want Ben", last, err)
	}
	if _, err := built.Place(manifest.ID{Kind: "ConfigMap", Name: "other"}, nil); !errors.Is(err, origin.ErrNotMade) {
		t.Errorf("of what is not made: %v, want %v", err, origin.ErrNotMade)
	}
	if !built.Has(id) || built.Has(manifest.ID{Kind: "ConfigMap", Namespace: "shop", Name: "settings"}) {
		t.Error("what is made has its prefix, and is not made without")
	}
}

// TestNoCommit: what cannot be looked up says so in a way that a caller can tell apart.
func TestNoCommit(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	commit := c.commit("Ann", "Add settings", map[string]string{"apps/settings.yaml": settings})
	tests := map[string]struct {
		why    string
		change func(*kustomizev1.Kustomization)
		is     error
	}{
		"nothing was applied": {change: func(ks *kustomizev1.Kustomization) { ks.Status.LastAppliedRevision = "" }, is: origin.ErrNothingApplied},
		"an artifact made of a commit that the clone lacks": {change: func(ks *kustomizev1.Kustomization) {
			ks.Spec.SourceRef.Kind, ks.Status.LastAppliedOriginRevision = "OCIRepository", "main@sha1:"+strings.Repeat("0", 40)
		}, is: origin.ErrNoRepository},
		"a source without commits": {change: func(ks *kustomizev1.Kustomization) { ks.Spec.SourceRef.Kind = "Bucket" }, is: origin.ErrNoRepository},
		"an artifact made of a commit": {why: "the clone has that", change: func(ks *kustomizev1.Kustomization) {
			ks.Spec.SourceRef.Kind, ks.Status.LastAppliedOriginRevision = "OCIRepository", ks.Status.LastAppliedRevision
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ks := kustomization(commit)
			tc.change(ks)
			if _, err := reader(t, c.dir).Built(t.Context(), ks); !errors.Is(err, tc.is) {
				t.Errorf("the error is %v, want %v (%s)", err, tc.is, tc.why)
			}
		})
	}
}

// TestShallowClone: a clone without the commits before says so, and not what is wrong.
func TestShallowClone(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	first := c.commit("Ann", "Add settings", map[string]string{"apps/settings.yaml": settings})
	second := c.commit("Ben", "Enlarge", map[string]string{"apps/settings.yaml": strings.Replace(settings, "small", "large", 1)})
	if err := os.Remove(filepath.Join(c.dir, ".git", "objects", first[:2], first[2:])); err != nil {
		t.Fatal(err)
	}
	built, err := reader(t, c.dir).Built(t.Context(), kustomization(second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := built.Commit(t.Context(), origin.Place{File: "apps/settings.yaml", Line: 6}); !errors.Is(err, origin.ErrNoHistory) {
		t.Errorf("the error is %v, want %v", err, origin.ErrNoHistory)
	}
}

// TestSetBy: what the Kustomization itself sets is nowhere in its source.
func TestSetBy(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	commit := c.commit("Ann", "Add it", map[string]string{"apps/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 1
  template: {spec: {containers: [{name: web, image: "web:1"}]}}
`, "apps/settings.yaml": settings})
	ks := kustomization(commit)
	ks.Spec.CommonMetadata = &kustomizev1.CommonMetadata{Labels: map[string]string{"team": "shop"}}
	ks.Spec.Images = []kustomize.Image{{Name: "other", NewTag: "2"}, {Name: "web", NewTag: "2"}}
	ks.Spec.Patches = []kustomize.Patch{
		{Patch: "- {op: replace, path: /spec/replicas, value: 3}", Target: &kustomize.Selector{Kind: "Deployment"}},
		{Patch: "- {op: add, path: /data, value: {replicas: '3'}}", Target: &kustomize.Selector{Kind: "ConfigMap", Name: "none"}},
	}
	built, err := reader(t, c.dir).Built(t.Context(), ks)
	if err != nil {
		t.Fatal(err)
	}
	id := manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	for name, tc := range map[string]struct {
		path fieldpath.Path
		want string
	}{
		"a label":             {fieldpath.MakePathOrDie("metadata", "labels", "team"), ".spec.commonMetadata.labels.team"},
		"an image":            {fieldpath.MakePathOrDie("spec", "template", "spec", "containers", fieldpath.KeyByFields("name", "web"), "image"), ".spec.images[1].newTag"},
		"a patch":             {fieldpath.MakePathOrDie("spec", "replicas"), ".spec.patches[0].patch"},
		"what is in the file": {fieldpath.MakePathOrDie("metadata", "labels", "tier"), ""},
	} {
		got, ok := built.SetBy(id, tc.path)
		if got.String() != tc.want || ok != (tc.want != "") {
			t.Errorf("%s: SetBy = %q, %t; want %q", name, got, ok, tc.want)
		}
	}
	if got := built.Variable("colour").String(); got != ".spec.postBuild.substitute.colour" {
		t.Errorf("the variable is %q", got)
	}
	if got := built.Variable("other").String(); got != ".spec.postBuild.substituteFrom" {
		t.Errorf("another variable is %q", got)
	}
}

// TestEncrypted: a field is so if something in it is, or if it is in the cluster only and what it
// is part of has something.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	commit := c.commit("Ann", "Add it", map[string]string{"apps/settings.yaml": `apiVersion: example.com/v1
kind: Settings
metadata: {name: settings, labels: {team: shop}}
spec:
  plain: [a, b]
  list: [a, "ENC[AES256_GCM,data:x,type:str]"]
  map: {a: plain, b: "ENC[AES256_GCM,data:y,type:str]"}
sops: {mac: "ENC[AES256_GCM,data:z,type:str]"}
`})
	ks := kustomization(commit)
	ks.Spec.Decryption = &kustomizev1.DecryptionSpec{Provider: "sops"}
	built, err := reader(t, c.dir).Built(t.Context(), ks)
	if err != nil {
		t.Fatal(err)
	}
	id := manifest.ID{Group: "example.com", Kind: "Settings", Namespace: "shop", Name: "settings"}
	for name, tc := range map[string]struct {
		id   manifest.ID
		path fieldpath.Path
		want bool
	}{
		"a value":                  {id, fieldpath.MakePathOrDie("spec", "map", "b"), true},
		"a plain value":            {id, fieldpath.MakePathOrDie("spec", "map", "a"), false},
		"a map":                    {id, fieldpath.MakePathOrDie("spec", "map"), true},
		"a list":                   {id, fieldpath.MakePathOrDie("spec", "list"), true},
		"a plain list":             {id, fieldpath.MakePathOrDie("spec", "plain"), false},
		"what is not in the file":  {id, fieldpath.MakePathOrDie("spec", "map", "c"), true},
		"what is nowhere near":     {id, fieldpath.MakePathOrDie("metadata", "labels", "other"), false},
		"of what is not made":      {manifest.ID{Kind: "ConfigMap", Name: "none"}, fieldpath.MakePathOrDie("data", "a"), true},
		"the object as a whole":    {id, nil, true},
		"a part of a plain object": {id, fieldpath.MakePathOrDie("metadata"), false},
	} {
		if got := built.Encrypted(tc.id, tc.path); got != tc.want {
			t.Errorf("%s: Encrypted = %t, want %t", name, got, tc.want)
		}
	}
	plain := fieldpath.MakePathOrDie("spec", "plain")
	if !built.Makes(id, plain, []any{"a", "b"}) || built.Makes(id, plain, []any{"a"}) || built.Makes(id, fieldpath.MakePathOrDie("spec", "none"), nil) {
		t.Error("what is made is what the file has, and nothing else")
	}
}

// TestNear: a commit is the same wherever it is, so a clone that happens to be there will do;
// but not one that lacks history, which the remote has.
func TestNear(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	commit := c.commit("Ann", "Add settings", map[string]string{"apps/settings.yaml": settings})
	built := func(dir string) error {
		cluster := fake.NewClientBuilder().WithScheme(runtime.NewScheme()).Build() // which has nothing
		r, err := origin.NewReader(cluster, origin.Options{Near: dir})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Built(t.Context(), kustomization(commit))
		return errors.Join(err, r.Close())
	}
	if err := built(filepath.Join(c.dir, "apps")); err != nil {
		t.Errorf("in the clone: %v", err)
	}
	var unread *origin.Unread
	if err := built(t.TempDir()); !errors.As(err, &unread) {
		t.Errorf("in no clone: %v; want that it cannot be read", err)
	}
	if err := c.repo.Storer.SetShallow([]plumbing.Hash{plumbing.NewHash(commit)}); err != nil {
		t.Fatal(err)
	}
	if err := built(c.dir); !errors.As(err, &unread) {
		t.Errorf("in a shallow clone: %v; want that it cannot be read", err)
	}
}
