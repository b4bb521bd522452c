package kustomization

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/artifact/fetch"
	"weir.dev/pkg/build"
)

// workshop is a Reconciler whose builds are counted, and a server of artifacts.
type workshop struct {
	*Reconciler
	t         *testing.T
	server    *httptest.Server
	archives  map[string][]byte // by URL path
	builds    atomic.Int64
	downloads atomic.Int64
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	b := &workshop{t: t, archives: make(map[string][]byte)}
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.downloads.Add(1)
		_, _ = w.Write(b.archives[r.URL.Path]) // a client that goes away is the test's end
	}))
	t.Cleanup(b.server.Close)
	cache, err := fetch.New(fetch.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cache.Close(); err != nil {
			t.Errorf("closing the cache: %v", err)
		}
	})
	b.Reconciler = New(cache, Options{})
	b.run = func(src build.Source, spec build.Spec, decrypter build.Decrypter) (build.Result, error) {
		b.builds.Add(1)
		return build.Run(src, spec, decrypter)
	}
	return b
}

// publish returns a source with a tree as its artifact.
func (b *workshop) publish(tree map[string]string) *sourcev1.GitRepository {
	b.t.Helper()
	var out bytes.Buffer
	a := archive.NewWriter(&out, archive.Limits{})
	for _, path := range slices.SortedFunc(maps.Keys(tree), archive.Compare) {
		if err := a.File(path, false, int64(len(tree[path])), strings.NewReader(tree[path])); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		b.t.Fatal(err)
	}
	sum := sha256.Sum256(out.Bytes())
	digest := hex.EncodeToString(sum[:])
	b.archives["/"+digest] = out.Bytes()
	return &sourcev1.GitRepository{Status: sourcev1.GitRepositoryStatus{Artifact: &meta.Artifact{
		URL: b.server.URL + "/" + digest, Digest: "sha256:" + digest, Revision: "main@sha1:" + digest[:40],
	}}}
}

// build runs the step for each of the Kustomizations.
func (b *workshop) build(source *sourcev1.GitRepository, list ...*kustomizev1.Kustomization) {
	b.t.Helper()
	for _, ks := range list {
		s := &scope{ks: ks, memory: b.known.of(ks.UID), artifact: source.Status.Artifact}
		if err := b.Reconciler.build(b.t.Context(), s); err != nil {
			b.t.Errorf("building %s: %v", ks.Name, err)
		}
		s.close()
		if ks.Status.LastAttemptedRevision != source.Status.Artifact.Revision {
			b.t.Errorf("%s attempted %q; want %q", ks.Name, ks.Status.LastAttemptedRevision, source.Status.Artifact.Revision)
		}
	}
}

// expect fails the test unless there were so many builds and downloads since the last
// time.
func (b *workshop) expect(what string, builds, downloads int64) {
	b.t.Helper()
	if got := b.builds.Swap(0); got != builds {
		b.t.Errorf("%s: %d builds; want %d", what, got, builds)
	}
	if got := b.downloads.Swap(0); got != downloads {
		b.t.Errorf("%s: %d downloads; want %d", what, got, downloads)
	}
}

// TestBuildsWhatACommitTouches: twenty Kustomizations of one source, half of which
// share a base.
func TestBuildsWhatACommitTouches(t *testing.T) {
	t.Parallel()
	const n = 20
	b := newWorkshop(t)
	tree := map[string]string{"base/kustomization.yaml": "resources: [cm.yaml]\n", "base/cm.yaml": manifestOf("base", "1"), "README.md": "one"}
	list := make([]*kustomizev1.Kustomization, n)
	for i := range n {
		name := fmt.Sprintf("app-%02d", i)
		tree[name+"/cm.yaml"] = manifestOf(name, "1")
		if i%2 == 0 {
			tree[name+"/kustomization.yaml"] = "resources: [../base, cm.yaml]\n"
		}
		list[i] = &kustomizev1.Kustomization{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "flux-system", UID: types.UID(name)},
			Spec:       kustomizev1.KustomizationSpec{Path: "./" + name},
		}
	}
	b.build(b.publish(tree), list...)
	b.expect("the first revision", n, 1)

	b.build(b.publish(tree), list...)
	b.expect("the same revision again", 0, 0)

	tree["app-07/cm.yaml"] = manifestOf("app-07", "2")
	b.build(b.publish(tree), list...)
	b.expect("a commit that touches one", 1, 1)

	tree["app-09/more.yaml"] = manifestOf("more", "1")
	b.build(b.publish(tree), list...)
	b.expect("a commit that adds a file where files are looked for", 1, 1)

	tree["README.md"] = "two"
	b.build(b.publish(tree), list...)
	b.expect("a commit that touches none", 0, 1)

	tree["base/cm.yaml"] = manifestOf("base", "2")
	b.build(b.publish(tree), list...)
	b.expect("a commit that touches the base of half of them", n/2, 1)

	list[3].Spec.NamePrefix = "pre-"
	b.build(b.publish(tree), list...)
	b.expect("another spec", 1, 0)
}

func manifestOf(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {k: %q}\n", name, value)
}
