package imagepolicy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/program"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
)

const (
	// app is the repository that is scanned.
	app = "org/app"
	// quietFor is how long nothing must happen for a controller to count as settled.
	quietFor = 700 * time.Millisecond
)

// world is a plane with a registry and an image-controller.
type world struct {
	*testplane.Plane
	t    *testing.T
	reg  *ocitest.Registry
	dir  string // storage of the controller
	log  testplane.Log
	stop func()
}

// newWorld starts a controller, which repeats what fails soon, and looks at what is not
// ready again after an hour only: what happens sooner, a watch has brought about.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := &world{Plane: testplane.Start(t), t: t, reg: ocitest.Start(t, ocitest.Options{}), dir: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the controller:\n%s", strings.Join(w.log.With(), "\n"))
		}
	})
	w.start(flags...)
	return w
}

func (w *world) start(flags ...string) {
	w.t.Helper()
	ctrllog.SetLogger(logr.Discard()) // that of libraries which are given none
	flags = append([]string{"--storage-path=" + w.dir, "--requeue-dependency=1h", "--min-retry-delay=50ms", "--max-retry-delay=500ms"}, flags...)
	w.stop = w.RunWith(func(d *daemon.Daemon) { d.Log = w.log.Logger() }, "image-controller",
		func(ctx context.Context, d *daemon.Daemon) error { return program.Run(ctx, d) }, flags...)
}

// restart ends the controller and starts another on the same storage.
func (w *world) restart(flags ...string) {
	w.t.Helper()
	w.stop()
	w.start(flags...)
}

// push pushes an image with some content under tags, and returns its digest.
func (w *world) push(content string, tags ...string) string {
	w.t.Helper()
	digest := ""
	for _, tag := range tags {
		digest = w.reg.Push(app, tag, ocitest.Files(map[string]string{"app": content})).String()
	}
	return digest
}

// repository creates an ImageRepository that is scanned once an hour.
func (w *world) repository(name string, adjust ...func(*imagev1.ImageRepository)) *imagev1.ImageRepository {
	w.t.Helper()
	repo := &imagev1.ImageRepository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       imagev1.ImageRepositorySpec{Image: w.image(), Interval: metav1.Duration{Duration: time.Hour}},
	}
	for _, f := range adjust {
		f(repo)
	}
	w.Create(repo)
	return repo
}

// image is the name of what is scanned.
func (w *world) image() string { return w.reg.Host() + "/" + app }

// policy creates an ImagePolicy that selects from the repository "app".
func (w *world) policy(name string, choice imagev1.ImagePolicyChoice, adjust ...func(*imagev1.ImagePolicy)) *imagev1.ImagePolicy {
	w.t.Helper()
	p := &imagev1.ImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       imagev1.ImagePolicySpec{ImageRepositoryRef: meta.NamespacedObjectReference{Name: "app"}, Policy: choice},
	}
	for _, f := range adjust {
		f(p)
	}
	w.Create(p)
	return p
}

func semver(text string) imagev1.ImagePolicyChoice {
	return imagev1.ImagePolicyChoice{SemVer: &imagev1.SemVerPolicy{Range: text}}
}

func alphabetical() imagev1.ImagePolicyChoice {
	return imagev1.ImagePolicyChoice{Alphabetical: &imagev1.AlphabeticalPolicy{Order: imagev1.PolicyOrderAscending}}
}

func numerical() imagev1.ImagePolicyChoice {
	return imagev1.ImagePolicyChoice{Numerical: &imagev1.NumericalPolicy{Order: imagev1.PolicyOrderAscending}}
}

// once asks for the digest of each tag that is selected.
func once(p *imagev1.ImagePolicy) { p.Spec.DigestReflectionPolicy = imagev1.ReflectIfNotPresent }

// always asks for the digest again and again.
func always(every time.Duration) func(*imagev1.ImagePolicy) {
	return func(p *imagev1.ImagePolicy) {
		p.Spec.DigestReflectionPolicy, p.Spec.Interval = imagev1.ReflectAlways, &metav1.Duration{Duration: every}
	}
}

// scan has a repository be scanned now.
func (w *world) scan(repo *imagev1.ImageRepository) {
	w.t.Helper()
	w.Poke(repo)
	w.WaitHandled(repo)
}

// waitLatest waits until a policy is Ready with a tag, and a digest if it is given.
func (w *world) waitLatest(p *imagev1.ImagePolicy, tag, digest string) {
	w.t.Helper()
	want := imagev1.ImageRef{Name: w.image(), Tag: tag, Digest: digest}
	w.Wait("the tag "+want.String(), p, func() bool {
		return conditions.IsReady(p) && p.Status.ObservedGeneration == p.Generation && p.Status.LatestRef != nil && *p.Status.LatestRef == want
	})
}

// expectFailure waits until a policy is not Ready for a reason, with a message that has
// some parts, and says so in the other conditions as well.
func (w *world) expectFailure(p *imagev1.ImagePolicy, reason string, says ...string) {
	w.t.Helper()
	w.Wait("a failure "+reason+" that says "+strings.Join(says, ", "), p, func() bool {
		c := conditions.Get(p, meta.ReadyCondition)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == reason && contains(c.Message, says...)
	})
}

func contains(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// waitEvent waits for an event about obj whose message has all the parts.
func (w *world) waitEvent(obj client.Object, kind, reason string, parts ...string) {
	w.t.Helper()
	w.Eventually("an event "+kind+" "+reason+" with "+strings.Join(parts, ", "), func() bool {
		return slices.ContainsFunc(w.events(obj), func(e corev1.Event) bool {
			return e.Type == kind && e.Reason == reason && contains(e.Message, parts...)
		})
	})
}

// events are those about obj.
func (w *world) events(obj client.Object) []corev1.Event {
	w.t.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(obj.GetNamespace())); err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.UID != obj.GetUID() })
}

// settle waits until neither the API server nor the registry is asked anything more.
func (w *world) settle() {
	w.t.Helper()
	last, since := -1, time.Now()
	w.Eventually("no more requests", func() bool {
		if n := w.Traffic.Count(testplane.Any) + w.reg.Counts().Sum(); n != last || w.Traffic.Open() > 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > quietFor
	})
}

// runs counts the runs of a policy so far, by the metric that every run ends with.
func (w *world) runs(p *imagev1.ImagePolicy) int {
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
			if labels["kind"] == imagev1.ImagePolicyKind && labels["namespace"] == p.Namespace && labels["name"] == p.Name {
				return int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// waitRuns waits for more runs of a policy.
func (w *world) waitRuns(p *imagev1.ImagePolicy, more int) {
	w.t.Helper()
	before := w.runs(p)
	w.Eventually("more runs of "+p.Name, func() bool { return w.runs(p) >= before+more })
}
