package imagerepository_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/program"
	"weir.dev/image-controller/internal/tags"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
)

// app is the image that is scanned.
const app = "org/app"

// quietFor is how long no request must come for a controller to count as settled.
const quietFor = 700 * time.Millisecond

// world is a plane with a registry and an image-controller.
type world struct {
	*testplane.Plane
	t    *testing.T
	reg  *ocitest.Registry
	dir  string // storage of the controller
	stop func() // ends the controller

	mu  sync.Mutex
	log strings.Builder
}

func newWorld(t *testing.T, opts ocitest.Options) *world {
	t.Helper()
	w := &world{Plane: testplane.Start(t), t: t, reg: ocitest.Start(t, opts), dir: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the controller:\n%s", w.logged())
		}
	})
	w.start()
	return w
}

// start starts a controller, which repeats what fails soon.
func (w *world) start(flags ...string) {
	w.t.Helper()
	ctrllog.SetLogger(logr.Discard()) // that of libraries which are given none
	flags = append([]string{"--storage-path=" + w.dir, "--min-retry-delay=50ms", "--max-retry-delay=500ms"}, flags...)
	w.stop = w.Run("image-controller", func(ctx context.Context, d *daemon.Daemon) error {
		d.Log = funcr.New(w.note, funcr.Options{Verbosity: 1, LogTimestamp: true})
		return program.Run(ctx, d)
	}, flags...)
}

func (w *world) note(prefix, args string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintln(&w.log, prefix, args)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// push pushes an image under tags.
func (w *world) push(tags ...string) {
	w.t.Helper()
	for _, tag := range tags {
		w.reg.Push(app, tag, ocitest.Files(map[string]string{"app": tag}))
	}
}

// image creates an ImageRepository that is scanned once an hour, which adjust may change.
func (w *world) image(name string, adjust ...func(*imagev1.ImageRepositorySpec)) *imagev1.ImageRepository {
	w.t.Helper()
	repo := &imagev1.ImageRepository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       imagev1.ImageRepositorySpec{Image: w.reg.Host() + "/" + app, Interval: metav1.Duration{Duration: time.Hour}},
	}
	for _, f := range adjust {
		f(&repo.Spec)
	}
	w.Create(repo)
	return repo
}

// often is an interval that lets a test see several scans.
func often(s *imagev1.ImageRepositorySpec) {
	s.Interval = metav1.Duration{Duration: 300 * time.Millisecond}
}

// waitTags waits until the status of repo tells of these tags, all that there are and at
// most ten, and checks that they are stored.
func (w *world) waitTags(repo *imagev1.ImageRepository, want ...string) {
	w.t.Helper()
	w.Wait(fmt.Sprintf("the tags %v", want), repo, func() bool {
		c := conditions.Get(repo, meta.ReadyCondition)
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == repo.Generation &&
			slices.Equal(repo.Status.LastScanResult.LatestTags, want)
	})
	list := w.stored(repo)
	if !slices.Equal(list.Tags, want) || list.Revision != repo.Status.LastScanResult.Revision || repo.Status.LastScanResult.TagCount != len(want) {
		w.t.Errorf("%s: %v is stored, and the status tells of %v; want %v", repo.Name, list, repo.Status.LastScanResult, want)
	}
}

// stored reads the list of repo from disk, as another process does.
func (w *world) stored(repo *imagev1.ImageRepository) tags.List {
	w.t.Helper()
	store, err := tags.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	list, _, err := store.Get(client.ObjectKeyFromObject(repo), repo.Spec.Image)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// file is where the list of repo is.
func (w *world) file(repo *imagev1.ImageRepository) string {
	return filepath.Join(w.dir, "imagerepository", repo.Namespace, repo.Name, "tags")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// again asks for a run of repo now, and waits for its end.
func (w *world) again(repo *imagev1.ImageRepository) {
	w.t.Helper()
	w.Poke(repo)
	w.WaitHandled(repo)
}

// settle waits until the controller asks the API server nothing more.
func (w *world) settle() {
	w.t.Helper()
	last, since := -1, time.Now()
	w.Eventually("no more requests", func() bool {
		if n := w.Traffic.Count(testplane.Any); n != last || w.Traffic.Open() > 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > quietFor
	})
}

// dockerSecret creates a Secret with credentials for a registry.
func (w *world) dockerSecret(name string, r *ocitest.Registry, user, password string) *meta.LocalObjectReference {
	w.t.Helper()
	w.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: r.DockerConfig(user, password)},
	})
	return &meta.LocalObjectReference{Name: name}
}

// secret creates a Secret.
func (w *world) secret(name string, data map[string]string) *meta.LocalObjectReference {
	w.t.Helper()
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data})
	return &meta.LocalObjectReference{Name: name}
}

// setPassword changes what a Secret of dockerSecret has.
func (w *world) setPassword(name string, r *ocitest.Registry, user, password string) {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
	w.Patch(secret, "test", "stringData: {.dockerconfigjson: '"+r.DockerConfig(user, password)+"'}")
}

// account creates a ServiceAccount with pull secrets.
func (w *world) account(name string, secrets ...*meta.LocalObjectReference) string {
	w.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, ref := range secrets {
		account.ImagePullSecrets = append(account.ImagePullSecrets, corev1.LocalObjectReference{Name: ref.Name})
	}
	w.Create(account)
	return name
}

// waitFailure waits until repo is not Ready for a reason, and says so.
func (w *world) waitFailure(repo *imagev1.ImageRepository, reason string, says ...string) *metav1.Condition {
	w.t.Helper()
	w.Wait("a failure for "+reason+" that says "+strings.Join(says, ", "), repo, func() bool {
		c := conditions.Get(repo, meta.ReadyCondition)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == reason && contains(c.Message, says...)
	})
	return conditions.Get(repo, meta.ReadyCondition)
}

func contains(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// events are those about obj of a type and reason whose message has all the parts.
func (w *world) events(obj client.Object, kind, reason string, parts ...string) []corev1.Event {
	w.t.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.UID != obj.GetUID() || e.Type != kind || e.Reason != reason || !contains(e.Message, parts...)
	})
}

// waitEvent waits for such an event.
func (w *world) waitEvent(obj client.Object, kind, reason string, parts ...string) {
	w.t.Helper()
	w.Eventually(fmt.Sprintf("an event %s %s with %q", kind, reason, parts), func() bool {
		return len(w.events(obj, kind, reason, parts...)) > 0
	})
}

// expectHidden fails the test if a secret is in the status of repo, in an event or in the
// log. The spec is the user's own.
func (w *world) expectHidden(repo *imagev1.ImageRepository, secrets ...string) {
	w.t.Helper()
	shown := repo.DeepCopy()
	shown.Spec = imagev1.ImageRepositorySpec{}
	var events corev1.EventList
	if err := w.Client.List(w.t.Context(), &events, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	texts := map[string]string{"the log": w.logged()}
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

// runs counts the runs of an object so far, by the metric that every run ends with.
func (w *world) runs(repo *imagev1.ImageRepository) int {
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

// sample counts the runs of an object and the requests to the registry at a moment in which
// no run ends. One that is under way may have made its requests.
func (w *world) sample(repo *imagev1.ImageRepository) (runs int, asked ocitest.Counts) {
	w.t.Helper()
	w.Eventually("a moment in which no run ends", func() bool {
		runs, asked = w.runs(repo), w.reg.Counts()
		return w.runs(repo) == runs
	})
	return runs, asked
}

// fourScans returns what the registry was asked in the time of four runs or more.
func (w *world) fourScans(repo *imagev1.ImageRepository) (runs int, asked ocitest.Counts) {
	w.t.Helper()
	before, counts := w.sample(repo)
	w.Eventually("four runs", func() bool { return w.runs(repo) >= before+4 })
	runs, asked = w.sample(repo)
	return runs - before, asked.Minus(counts)
}

// about reports whether so many scans cost n requests, each as many as given. At both ends
// there may be one that is not over.
func about(n, scans, each int) bool { return n >= (scans-1)*each && n <= (scans+1)*each }
