package kustomization_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/kustomize-controller/internal/program"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/artifact/serve"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/testplane"
)

// world is a plane with a kustomize-controller and a source whose artifacts the
// test publishes itself.
type world struct {
	*testplane.Plane
	t         *testing.T
	files     *store.Store
	server    *httptest.Server
	downloads atomic.Int64
	tamper    atomic.Bool // serve other bytes than were published
	repo      *sourcev1.GitRepository
	revision  int
}

// newWorld starts a controller. More flags may be given to it.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := prepareWorld(t)
	w.Run("kustomize-controller", program.Run, flags...)
	return w
}

// prepareWorld is newWorld without a controller.
func prepareWorld(t *testing.T) *world {
	t.Helper()
	files, err := store.Open(store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := files.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	w := &world{Plane: testplane.Start(t), t: t, files: files}
	handler := serve.New(files)
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.downloads.Add(1)
		}
		if w.tamper.Load() {
			fmt.Fprint(rw, "these are not the bytes")
			return
		}
		handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	w.repo = w.source("source")
	return w
}

// source creates a GitRepository, whose artifacts the test publishes.
func (w *world) source(name string) *sourcev1.GitRepository {
	w.t.Helper()
	repo := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       sourcev1.GitRepositorySpec{URL: "http://git.example.com/" + name, Interval: metav1.Duration{Duration: time.Hour}},
	}
	w.Create(repo)
	return repo
}

// publish makes the files the artifact of the source, as a new revision.
func (w *world) publish(tree map[string]string) string {
	w.t.Helper()
	return w.publishAs(func(out io.Writer) error { return pack(out, w.expand(tree)) })
}

// publishAs is publish of an archive that write writes.
func (w *world) publishAs(write func(io.Writer) error) string {
	w.t.Helper()
	w.revision++
	dir, err := artifact.NewDir(sourcev1.GitRepositoryKind, w.Namespace, w.repo.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	commit := fmt.Sprintf("%040x", w.revision)
	path, err := dir.File(commit + ".tar.gz")
	if err != nil {
		w.t.Fatal(err)
	}
	stored, err := w.files.Put(path, write)
	if err != nil {
		w.t.Fatal(err)
	}
	rev := "main@sha1:" + commit
	w.Get(w.repo)
	w.repo.Status.Artifact = &meta.Artifact{
		Path: path.String(), URL: path.URL(w.server.URL), Revision: rev,
		Digest: stored.Digest.String(), Size: &stored.Size, LastUpdateTime: metav1.Now(),
	}
	if err := w.Client.Status().Update(w.t.Context(), w.repo); err != nil {
		w.t.Fatal(err)
	}
	return rev
}

// expand puts the namespace of the test in the place of NS.
func (w *world) expand(tree map[string]string) map[string]string {
	out := make(map[string]string, len(tree))
	for path, content := range tree {
		out[path] = strings.ReplaceAll(content, "NS", w.Namespace)
	}
	return out
}

func pack(out io.Writer, tree map[string]string) error {
	a := archive.NewWriter(out, archive.Limits{})
	for _, path := range slices.SortedFunc(maps.Keys(tree), archive.Compare) {
		content := tree[path]
		if err := a.File(path, false, int64(len(content)), bytes.NewReader([]byte(content))); err != nil {
			return err
		}
	}
	return a.Close()
}

// kustomization makes a Kustomization of the source, which adjust may change.
func (w *world) kustomization(name, path string, adjust ...func(*kustomizev1.KustomizationSpec)) *kustomizev1.Kustomization {
	w.t.Helper()
	ks := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: kustomizev1.KustomizationSpec{
			Interval:  metav1.Duration{Duration: time.Hour},
			Path:      path,
			Prune:     true,
			SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: w.repo.Name},
		},
	}
	for _, f := range adjust {
		f(&ks.Spec)
	}
	w.Create(ks)
	return ks
}

// waitApplied waits until ks has applied a revision and is Ready.
func (w *world) waitApplied(ks *kustomizev1.Kustomization, revision string) {
	w.t.Helper()
	w.Wait("revision "+revision+" applied", ks, func() bool {
		return ks.Status.LastAppliedRevision == revision && ready(ks) == metav1.ConditionTrue
	})
}

func ready(ks *kustomizev1.Kustomization) metav1.ConditionStatus {
	for _, c := range ks.Status.Conditions {
		if c.Type == kustomizev1.ConditionReady {
			return c.Status
		}
	}
	return ""
}

// waitMessage waits until a condition says something.
func (w *world) waitMessage(ks *kustomizev1.Kustomization, conditionType, message string) {
	w.t.Helper()
	w.Wait(conditionType+" says "+message, ks, func() bool { return conditions.GetMessage(ks, conditionType) == message })
}

// waitEvent waits for an event about ks whose message has all the parts, and
// returns it.
func (w *world) waitEvent(ks *kustomizev1.Kustomization, kind, reason string, parts ...string) corev1.Event {
	w.t.Helper()
	var found corev1.Event
	w.Eventually(fmt.Sprintf("an event %s %s with %q", kind, reason, parts), func() bool {
		for _, e := range w.events(ks) {
			if e.Type == kind && e.Reason == reason && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(e.Message, part) }) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// events are those about ks, in the order in which they happened.
func (w *world) events(ks *kustomizev1.Kustomization) []corev1.Event {
	w.t.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.UID != ks.UID })
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return strings.Compare(a.Name, b.Name) })
	return list.Items
}

// configMap is a ConfigMap of the test's namespace, to be read.
func (w *world) configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
}

// configMapYAML is a manifest of a ConfigMap.
func configMapYAML(name, key, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: NS}\ndata: {%s: %q}\n", name, key, value)
}
