package helmrepository_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/helm/helmtest"
	"weir.dev/source-controller/internal/sourcetest"
)

// world is a plane with a chart server and a source-controller.
type world struct {
	*sourcetest.World
	server *helmtest.Server
}

// newWorld starts a controller. More flags may be given to it.
func newWorld(t *testing.T, opts helmtest.Options, flags ...string) *world {
	t.Helper()
	w := &world{World: sourcetest.Prepare(t, helmtest.Run), server: helmtest.Start(t, opts)}
	w.Start(flags...)
	return w
}

// repo creates a HelmRepository of the server, which adjust may change.
func (w *world) repo(name string, adjust ...func(*sourcev1.HelmRepositorySpec)) *sourcev1.HelmRepository {
	w.T.Helper()
	repo := &sourcev1.HelmRepository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       sourcev1.HelmRepositorySpec{URL: w.server.Repo(), Interval: metav1.Duration{Duration: time.Hour}},
	}
	for _, f := range adjust {
		f(&repo.Spec)
	}
	w.Create(repo)
	return repo
}

// revision is that of the index which the server has now.
func (w *world) revision() string { return sourcetest.Digest(w.server.Index()) }

// published returns what is published.
func (w *world) published(repo *sourcev1.HelmRepository) (index struct {
	APIVersion string
	Entries    map[string][]struct{ Name, Version, Digest string }
}) {
	w.T.Helper()
	if err := json.Unmarshal(w.Download(repo), &index); err != nil {
		w.T.Fatalf("what is published is no JSON: %v", err)
	}
	return index
}

// often is an interval that lets a test see several polls.
func often(s *sourcev1.HelmRepositorySpec) {
	s.Interval = metav1.Duration{Duration: 300 * time.Millisecond}
}

// secretRef makes a Secret that of a spec.
func secretRef(ref *meta.LocalObjectReference) func(*sourcev1.HelmRepositorySpec) {
	return func(s *sourcev1.HelmRepositorySpec) { s.SecretRef = ref }
}

// certSecretRef makes a Secret that of a spec, for TLS.
func certSecretRef(ref *meta.LocalObjectReference) func(*sourcev1.HelmRepositorySpec) {
	return func(s *sourcev1.HelmRepositorySpec) { s.CertSecretRef = ref }
}

// versions returns the versions of a chart, in the order of an index.
func versions(entries []struct{ Name, Version, Digest string }) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Version)
	}
	return out
}

// replaceSecret gives a Secret other data.
func (w *world) replaceSecret(name string, data map[string]string) {
	w.T.Helper()
	secret := &corev1.Secret{}
	if err := w.Client.Get(w.T.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, secret); err != nil {
		w.T.Fatal(err)
	}
	secret.StringData = data
	if err := w.Client.Update(w.T.Context(), secret); err != nil {
		w.T.Fatal(err)
	}
}
