package helmrelease_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
)

// named names the release of a HelmRelease, which is suspended or not.
func named(name string, suspended bool) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) { s.ReleaseName, s.Suspend = name, suspended }
}

// unstick lets the Deployment of a stuck release become ready.
func (w *world) unstick(name string) {
	w.t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
	w.Wait("the Deployment", d, func() bool { return true })
	w.Patch(d, "night-shift", "spec: {template: {spec: {nodeSelector: null}}}")
}

// TestActionIsLeftAloneByTheNext HelmRelease of a release: one that is suspended is no twin any
// more, but its action goes on.
func TestActionIsLeftAloneByTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(stuck(t, "1.0.0"))
	first := w.release("a-first", named("app", false), values("k: stuck"))
	w.waitUnderWay(first, "install")
	next := w.release("b-next", named("app", false), values("k: next"))
	w.waitMessage(next, helmv2.ConditionReady, "is that of HelmRelease")
	w.change(first, named("app", true))
	w.waitMessage(next, helmv2.ConditionReady, "release "+w.Namespace+"/app: HelmRelease '"+w.Namespace+"/a-first' works on it")
	if diff := cmp.Diff([]string{"1 pending-install"}, w.stored("app")); diff != "" {
		t.Errorf("stored while the first is at it (-want +got):\n%s", diff)
	}
	w.unstick("app")
	w.waitReleased(next, 2) // at once
	w.expectValue("app", "next")
	w.Wait("what came of the first to be recorded", first, func() bool { return first.Status.History.Latest() != nil })
	if diff := cmp.Diff([]string{"1 1.0.0 deployed by install"}, history(first)); diff != "" {
		t.Errorf("history of the first (-want +got):\n%s", diff)
	}
}

// TestActionIsLeftAloneByTheOneBefore, which goes while the release is made that takes its own over.
func TestActionIsLeftAloneByTheOneBefore(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"deleted", "renamed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(stuck(t, "1.0.0"))
			before := w.release("a-before", named("app", false))
			w.waitReleased(before, 1)
			w.change(before, named("app", true))
			next := w.release("b-next", named("app", false), values("k: stuck"))
			w.waitUnderWay(next, "upgrade")
			if how == "deleted" {
				w.change(before, named("app", false))
				if err := w.Client.Delete(t.Context(), before); err != nil {
					t.Fatal(err)
				}
			} else {
				w.change(before, named("other", false))
			}
			w.waitMessage(before, helmv2.ConditionReady, "HelmRelease '"+w.Namespace+"/b-next' works on it")
			w.unstick("app")
			if how == "deleted" {
				w.WaitGone(before) // at once
			} else {
				w.Wait("the other name", before, func() bool {
					last := before.Status.History.Latest()
					return ready(before) && last != nil && last.Name == "other"
				})
			}
			w.waitReleased(next, 2)
			w.expectValue("app", "stuck")
			if diff := cmp.Diff([]string{"1 superseded", "2 deployed"}, w.stored("app")); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReleaseThatAnotherWasTakingOverIsLeft: it was killed at that, and its objects tell.
func TestReleaseThatAnotherWasTakingOverIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	before := w.release("a-before", named("app", false))
	w.waitReleased(before, 1)
	w.change(before, named("app", true))
	next := w.release("b-next", named("app", false), values("k: next"))
	w.waitReleased(next, 2)
	w.change(next, named("app", true))
	w.stop()
	w.lose(next, helmv2.HelmReleaseStatus{})
	store := w.helm().Releases
	last, err := store.Last("app")
	if err != nil {
		t.Fatal(err)
	}
	if last.SetStatus(release.StatusPendingUpgrade, "Preparing upgrade"); store.Update(last) != nil {
		t.Fatal("cannot have the release be pending")
	}
	w.change(before, named("app", false))
	if err := w.Client.Delete(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.WaitGone(before)
	w.expectValue("app", "next")
	if diff := cmp.Diff([]string{"1 superseded", "2 pending-upgrade"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// sharded is a world whose controller sees the HelmReleases of all namespaces that mine
// returns.
func sharded(t *testing.T) (w *world, mine func(*helmv2.HelmRelease) *helmv2.HelmRelease) {
	t.Helper()
	w = prepareWorld(t)
	w.start("--watch-all-namespaces=true", "--watch-label-selector=sharding.fluxcd.io/key="+w.Namespace)
	return w, func(hr *helmv2.HelmRelease) *helmv2.HelmRelease {
		w.Patch(hr, "test", "metadata: {labels: {sharding.fluxcd.io/key: "+w.Namespace+"}}")
		return hr
	}
}

// TestStatusOfOthersIsNoProof: anybody can write one in a namespace of their own. What is
// stored is one.
func TestStatusOfOthersIsNoProof(t *testing.T) {
	t.Parallel()
	w, mine := sharded(t)
	beside := w.beside("elsewhere")
	if err := w.Client.Create(t.Context(), beside); err != nil {
		t.Fatal(err)
	}
	w.publish(demo(t, "1.0.0"))
	elsewhere := func(name, releaseName, source string) *helmv2.HelmRelease {
		hr := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: beside.Name, Name: name}, Spec: helmv2.HelmReleaseSpec{
			Interval: metav1.Duration{Duration: time.Hour}, StorageNamespace: w.Namespace, TargetNamespace: w.Namespace, ReleaseName: releaseName,
			ChartRef: &helmv2.CrossNamespaceSourceReference{Kind: sourcev1.HelmChartKind, Namespace: w.Namespace, Name: source},
		}}
		w.Create(hr)
		return mine(hr)
	}
	forger := elsewhere("forger", "something", "no-such-source") // which is as far as it gets
	w.waitMessage(forger, helmv2.ConditionReady, "could not get Source object")
	later := metav1.NewTime(time.Now().Add(24 * time.Hour))
	forger.Status.StorageNamespace = w.Namespace
	forger.Status.History = helmv2.Snapshots{{Namespace: w.Namespace, Name: "app", Version: 9999, Status: "deployed", FirstDeployed: later, LastDeployed: later}}
	if err := w.Client.Status().Update(t.Context(), forger); err != nil {
		t.Fatal(err)
	}
	hr := mine(w.release("app"))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: two"))
	w.waitReleased(hr, 2)
	w.expectValue("app", "two")

	// Who has made it all the same keeps it against those who live there.
	w.waitReleased(elsewhere("owner", "let", w.source.Name), 1)
	late := mine(w.release("let", values("k: late")))
	w.waitMessage(late, helmv2.ConditionReady, "release "+w.Namespace+"/let is that of a HelmRelease of another namespace already")
	w.expectValue("let", "1")
}

// TestActionGoesOnInAnotherShard: a HelmRelease that is another controller's from now on is
// not gone.
func TestActionGoesOnInAnotherShard(t *testing.T) {
	t.Parallel()
	w, mine := sharded(t)
	w.publish(stuck(t, "1.0.0"))
	hr := mine(w.release("app", values("k: stuck")))
	w.waitUnderWay(hr, "install")
	w.Patch(hr, "test", "metadata: {labels: {sharding.fluxcd.io/key: another}}")
	w.Eventually("the controller to look whether it is gone", func() bool { return w.Traffic.Count(readsOf(hr)) > 0 })
	w.unstick("app")
	w.Eventually("the action to succeed", func() bool { return cmp.Equal(w.stored("app"), []string{"1 deployed"}) })
	mine(hr) // and back
	w.waitReleased(hr, 1)
	w.expectValue("app", "stuck")
}
