package imageupdateautomation_test

import (
	"context"
	"errors"
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

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/image-controller/internal/imageupdateautomation"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/pkg/testplane"
)

// quietFor is how long no request must come for a controller to count as settled.
const quietFor = 700 * time.Millisecond

// world is a plane with a git server and a controller of automations, and nobody who
// reconciles policies and sources: the test says what those are.
type world struct {
	*testplane.Plane
	t    *testing.T
	git  *gitservertest.Server
	repo *gitservertest.Repo // the repository "fleet" of git
	opts imageupdateautomation.Options
	dir  string // storage of the controller
	log  logbook
	stop func()
}

// newWorld starts a controller that may do everything.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := prepareWorld(t, gitserver.Options{Push: true})
	w.start()
	return w
}

// prepareWorld is newWorld without a controller.
func prepareWorld(t *testing.T, opts gitserver.Options) *world {
	t.Helper()
	w := &world{
		Plane: testplane.Start(t), t: t, git: gitservertest.Start(t, opts), dir: t.TempDir(),
		opts: imageupdateautomation.Options{ForcePush: true},
	}
	w.repo = w.git.Repo("fleet")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the controller:\n%s", w.log.String())
		}
	})
	return w
}

// start starts the controller. More flags may be given to it.
func (w *world) start(flags ...string) {
	w.t.Helper()
	ctrllog.SetLogger(logr.Discard()) // that of libraries which are given none
	w.stop = w.Run("image-controller", w.run, append([]string{"--min-retry-delay=50ms", "--max-retry-delay=500ms"}, flags...)...)
}

// restart ends the controller and starts another on the same storage.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

func (w *world) run(ctx context.Context, d *daemon.Daemon) error {
	d.Log = funcr.New(w.log.add, funcr.Options{Verbosity: 1, LogTimestamp: true})
	d.Kinds = []client.Object{&imagev1.ImageUpdateAutomation{}}
	if err := d.Parse(imagev1.AddToScheme, sourcev1.AddToScheme); err != nil {
		return err
	}
	stores, err := git.OpenStores(w.dir)
	if err != nil {
		return err
	}
	objects, err := followed.Manage(d.Manager())
	if err != nil {
		return err
	}
	identities, err := cloud.New(d.Client(), d.Live(), cloud.Options{})
	if err != nil {
		return err
	}
	return d.Start(ctx, imageupdateautomation.New(objects, gitaccess.New(identities), stores, git.NewClient(git.Limits{}), w.opts))
}

// source creates a GitRepository of the branch main of the repository, which adjust may
// change.
func (w *world) source(adjust ...func(*sourcev1.GitRepository)) *sourcev1.GitRepository {
	w.t.Helper()
	repo := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet"},
		Spec: sourcev1.GitRepositorySpec{
			URL: w.git.URL("fleet"), Interval: metav1.Duration{Duration: time.Hour},
			Reference: &sourcev1.GitRepositoryRef{Branch: "main"},
		},
	}
	for _, f := range adjust {
		f(repo)
	}
	w.Create(repo)
	return repo
}

// automation creates an automation of the source, which adjust may change.
func (w *world) automation(name string, adjust ...func(*imagev1.ImageUpdateAutomation)) *imagev1.ImageUpdateAutomation {
	w.t.Helper()
	auto := &imagev1.ImageUpdateAutomation{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: imagev1.ImageUpdateAutomationSpec{
			SourceRef: imagev1.CrossNamespaceSourceReference{Kind: sourcev1.GitRepositoryKind, Name: "fleet"},
			Interval:  metav1.Duration{Duration: time.Hour},
			GitSpec: &imagev1.GitSpec{Commit: imagev1.CommitSpec{
				Author:          imagev1.CommitUser{Name: "bot", Email: "bot@example.com"},
				MessageTemplate: "Update{{ range .Changed.Changes }} {{ .NewValue }}{{ end }}",
			}},
		},
	}
	for _, f := range adjust {
		f(auto)
	}
	w.Create(auto)
	return auto
}

// pushTo makes an automation push to another branch.
func pushTo(branch string) func(*imagev1.ImageUpdateAutomation) {
	return func(a *imagev1.ImageUpdateAutomation) { a.Spec.GitSpec.Push = &imagev1.PushSpec{Branch: branch} }
}

// often makes an automation look at its repository several times in a test.
func often(a *imagev1.ImageUpdateAutomation) {
	a.Spec.Interval = metav1.Duration{Duration: 300 * time.Millisecond}
}

// policy creates a policy that has selected a tag; "" for none.
func (w *world) policy(name, tag string) *imagev1.ImagePolicy {
	w.t.Helper()
	p := &imagev1.ImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: imagev1.ImagePolicySpec{
			ImageRepositoryRef: meta.NamespacedObjectReference{Name: name},
			Policy:             imagev1.ImagePolicyChoice{SemVer: &imagev1.SemVerPolicy{Range: "*"}},
		},
	}
	w.Create(p)
	if tag != "" {
		w.selects(p, tag)
	}
	return p
}

// selects makes a policy select a tag.
func (w *world) selects(p *imagev1.ImagePolicy, tag string) {
	w.t.Helper()
	patch := fmt.Sprintf(`{"status":{"latestRef":{"name":"example.com/%s","tag":%q}}}`, p.Name, tag)
	if err := w.Client.Status().Patch(w.t.Context(), p, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		w.t.Fatal(err)
	}
}

// marked is a manifest with the image of a policy of this test.
func (w *world) marked(policy, tag string) string {
	return fmt.Sprintf("kind: Deployment\nmetadata: {name: %[2]s, namespace: apps}\nimage: example.com/%[2]s:%[3]s # {\"$imagepolicy\": \"%[1]s:%[2]s\"}\n", w.Namespace, policy, tag)
}

// commit commits a file to a branch as a person.
func (w *world) commit(branch, path, content string) string {
	w.t.Helper()
	return w.repo.Commit(branch, "by a person", gitserver.File(path, content))
}

// content returns a file of a branch.
func (w *world) content(branch, path string) string {
	w.t.Helper()
	return w.repo.Git("show", branch+":"+path)
}

// subjects are the first lines of the messages of a branch, the newest first.
func (w *world) subjects(branch string) []string {
	w.t.Helper()
	return strings.Split(strings.TrimSpace(w.repo.Git("log", "--format=%s", branch)), "\n")
}

// waitContent waits until a branch has a file with this content.
func (w *world) waitContent(branch, path, content string) {
	w.t.Helper()
	w.Eventually(path+" of "+branch+" with "+content, func() bool {
		if _, err := w.repo.Repo.Head(branch); err != nil {
			return false
		}
		return w.content(branch, path) == content
	})
}

// waitPushed waits until an automation says that it has pushed what a branch has now.
func (w *world) waitPushed(auto *imagev1.ImageUpdateAutomation, branch string) {
	w.t.Helper()
	w.Wait("the commit of "+branch+" in the status", auto, func() bool {
		head, err := w.repo.Repo.Head(branch)
		return err == nil && auto.Status.LastPushCommit == head && conditions.IsReady(auto) && auto.Status.ObservedGeneration == auto.Generation
	})
}

// again asks for a run of an automation and waits for its end.
func (w *world) again(auto *imagev1.ImageUpdateAutomation) {
	w.t.Helper()
	w.Poke(auto)
	w.WaitHandled(auto)
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

// runs counts the runs of an automation so far, by the metric that every run ends with.
func (w *world) runs(auto client.Object) int {
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
			if labels["namespace"] == w.Namespace && labels["name"] == auto.GetName() && labels["kind"] == imagev1.ImageUpdateAutomationKind {
				return int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// waitEvent waits for an event about obj whose message has all the parts.
func (w *world) waitEvent(obj client.Object, kind, reason string, parts ...string) corev1.Event {
	w.t.Helper()
	var found corev1.Event
	w.Eventually(fmt.Sprintf("an event %s %s with %q", kind, reason, parts), func() bool {
		for _, e := range w.events(obj) {
			if e.Type == kind && e.Reason == reason && says(e.Message, parts...) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

func (w *world) events(obj client.Object) []corev1.Event {
	w.t.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.UID != obj.GetUID() })
}

func says(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// waitFails waits until an automation is not Ready for a reason, with a message that has
// all the parts.
func (w *world) waitFails(auto *imagev1.ImageUpdateAutomation, reason string, parts ...string) {
	w.t.Helper()
	w.Wait(fmt.Sprintf("Ready False %s with %q", reason, parts), auto, func() bool {
		c := conditions.Get(auto, meta.ReadyCondition)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == reason && says(c.Message, parts...)
	})
}

// errBroken is what a broken request gets.
var errBroken = errors.New("broken by the test")

// logbook is what a controller logs.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) add(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(&l.text, prefix, args)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// selectTeam makes an automation select the policies of a team.
func (w *world) selectTeam(a *imagev1.ImageUpdateAutomation, team string) {
	a.Spec.PolicySelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}}
}

// secret creates a Secret.
func (w *world) secret(name string, data map[string]string) {
	w.t.Helper()
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data})
}

// unprotect lets a branch take pushes again.
func (w *world) unprotect(branch string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.repo.Path(), "weir-protected", "refs", "heads", filepath.FromSlash(branch))); err != nil {
		w.t.Fatal(err)
	}
}
