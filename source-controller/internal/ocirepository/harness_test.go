package ocirepository_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/program"
	"weir.dev/source-controller/internal/sourcetest"
)

// app is the repository that sources follow.
const app = "org/app"

// world is a plane with a registry and a source-controller.
type world struct {
	*sourcetest.World
	t   *testing.T
	reg *ocitest.Registry
}

// newWorld starts a controller. More flags may be given to it.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := &world{World: sourcetest.Prepare(t, program.Run), t: t, reg: ocitest.Start(t, ocitest.Options{})}
	w.Start(flags...)
	return w
}

// source creates an OCIRepository that follows the tag latest, which adjust may change.
func (w *world) source(name string, adjust ...func(*sourcev1.OCIRepositorySpec)) *sourcev1.OCIRepository {
	w.t.Helper()
	repo := &sourcev1.OCIRepository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       sourcev1.OCIRepositorySpec{URL: w.reg.URL(app), Interval: metav1.Duration{Duration: time.Hour}},
	}
	for _, f := range adjust {
		f(&repo.Spec)
	}
	w.Create(repo)
	return repo
}

// push pushes files under a tag, and returns the revision of that.
func (w *world) push(tag string, files map[string]string) string {
	w.t.Helper()
	return tag + "@" + w.reg.Push(app, tag, ocitest.Files(files)).String()
}

// one is an artifact with one file.
func one(content string) map[string]string { return map[string]string{"app.yaml": content} }

// dockerSecret creates a Secret with credentials for a registry.
func (w *world) dockerSecret(name string, r *ocitest.Registry, user, password string) *meta.LocalObjectReference {
	w.t.Helper()
	w.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: r.DockerConfig(user, password)},
	})
	return &meta.LocalObjectReference{Name: name}
}

// expectFailure waits until repo is not Ready for a reason, and checks what says so.
func (w *world) expectFailure(repo *sourcev1.OCIRepository, condition, reason string, says ...string) {
	w.t.Helper()
	w.Wait("a failure that says "+strings.Join(says, ", "), repo, func() bool {
		c := conditions.Get(repo, meta.ReadyCondition)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == reason && sourcetest.Says(c.Message, says...)
	})
	ready := conditions.Get(repo, meta.ReadyCondition)
	want := metav1.ConditionTrue
	if condition == sourcev1.ConditionSourceVerified {
		want = metav1.ConditionFalse
	}
	c := conditions.Get(repo, condition)
	if c == nil || c.Status != want || c.Reason != reason || c.Message != ready.Message {
		w.t.Errorf("%s: the condition %s is %v; want it %s, for %s, to say what Ready says: %s", repo.Name, condition, c, want, reason, ready.Message)
	}
}

// expectHidden fails the test if a secret is in the status of repo, in an event or in
// the log. The spec is the user's own.
func (w *world) expectHidden(repo *sourcev1.OCIRepository, secrets ...string) {
	w.t.Helper()
	shown := repo.DeepCopy()
	shown.Spec = sourcev1.OCIRepositorySpec{}
	var events corev1.EventList
	if err := w.Client.List(w.t.Context(), &events, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	texts := map[string]string{"the log": w.Log.String()}
	for what, v := range map[string]any{"the object": shown, "the events": events} {
		text, err := yaml.Marshal(v)
		if err != nil {
			w.t.Fatal(err)
		}
		texts[what] = string(text)
	}
	for what, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))) {
				w.t.Errorf("%s: %s shows the secret %q:\n%s", repo.Name, what, secret, text)
			}
		}
	}
}

// often is an interval that lets a test see several polls.
func often(s *sourcev1.OCIRepositorySpec) {
	s.Interval = metav1.Duration{Duration: 300 * time.Millisecond}
}

// runs counts the runs of an object so far, by the metric that every run ends with.
func (w *world) runs(repo *sourcev1.OCIRepository) int {
	w.t.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "gotk_reconcile_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] == w.Namespace && labels["name"] == repo.Name {
				return int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// sample is what was counted up to one moment.
type sample struct {
	runs     int // of the object
	registry ocitest.Counts
	api      int // requests to the API server
}

// sample counts at a moment in which no run of the object ends. One that is under way may
// have made its requests.
func (w *world) sample(repo *sourcev1.OCIRepository) sample {
	w.t.Helper()
	var s sample
	w.Eventually("a moment in which no run ends", func() bool {
		s = sample{runs: w.runs(repo), registry: w.reg.Counts(), api: w.Traffic.Count(testplane.Any)}
		return w.runs(repo) == s.runs
	})
	return s
}

// fourPolls returns what was counted in the time of four runs or more.
func (w *world) fourPolls(repo *sourcev1.OCIRepository) (polls int, registry ocitest.Counts, api int) {
	w.t.Helper()
	began := w.sample(repo)
	w.Eventually("four polls", func() bool { return w.runs(repo) >= began.runs+4 })
	ended := w.sample(repo)
	return ended.runs - began.runs, ended.registry.Minus(began.registry), ended.api - began.api
}

// about reports whether so many polls cost n requests, each as many as given. At both
// ends there may be one that is not over.
func about(n, polls, each int) bool { return n >= (polls-1)*each && n <= (polls+1)*each }
