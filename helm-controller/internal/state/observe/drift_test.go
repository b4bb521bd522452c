package observe_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/testplane"
)

// detecting asks for drift detection.
func detecting(ignore ...helmv2.IgnoreRule) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) {
		s.DriftDetection = &helmv2.DriftDetection{Mode: helmv2.DriftDetectionEnabled, Ignore: ignore}
	}
}

// deployed returns a world with a release whose objects are as it has them.
func deployed(t *testing.T, objects func(w *world) string, change ...func(*helmv2.HelmReleaseSpec)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.objects = objects(w)
	w.store(w.version(1, release.StatusDeployed))
	w.record(1)
	w.restore(w.found(state.Drifted)) // for there is none of them
	w.found(state.InSync)
	return w
}

// restore puts right what was found.
func (w *world) restore(found observe.Found) []string {
	w.t.Helper()
	changes, err := found.Drift.Restore(w.t.Context(), w.at)
	if err != nil {
		w.t.Fatal(err)
	}
	return effects(changes)
}

func two(w *world) string { return w.configMap("settings", "k: one") + w.configMap("fixed", "k: same") }

// live is a ConfigMap of the test's namespace, to be read.
func (w *world) live(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
}

// noticing waits until the watches have told of what is done.
func (w *world) noticing(do func()) {
	w.t.Helper()
	before := w.woken.Load()
	do()
	w.Eventually("the watches tell of it", func() bool { return w.woken.Load() > before })
}

func is(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestNumbersBeginAgain: after an uninstallation, another release has the number of one that
// was looked at, and nothing else about the HelmRelease has changed.
func TestNumbersBeginAgain(t *testing.T) {
	t.Parallel()
	w := deployed(t, two, detecting())
	w.remove(1)
	w.objects = w.configMap("settings", "k: two")
	w.store(w.version(1, release.StatusDeployed, func(r *release.Release) {
		r.Info.FirstDeployed = r.Info.FirstDeployed.Add(time.Minute)
	}))
	w.hr.Status.History = nil
	w.record(1)
	w.restore(w.found(state.Drifted))
	live := w.live("settings")
	if !w.Get(live) || live.Data["k"] != "two" {
		t.Errorf("the object is %v, want it as the release has it that there is", live.Data)
	}
	w.found(state.InSync)
}

// TestLookIsAtWhatChanged: one object of two costs one look, and one dry run.
func TestLookIsAtWhatChanged(t *testing.T) {
	t.Parallel()
	w := deployed(t, two, detecting())
	w.costs("nothing has changed", nil, func() { w.found(state.InSync) })
	w.noticing(func() { w.Patch(w.live("settings"), "somebody", "data: {k: taken}") })
	var found observe.Found
	w.costs("one object was changed", map[string]int{"GET settings": 1, "PATCH settings (dry run)": 1}, func() { found = w.found(state.Drifted) })
	is(t, "drift", effects(found.Drift.Changes()), "ConfigMap settings configured")
	if c := found.Drift.Changes()[0]; !found.Facts.Drifted || !found.Drift.Any() || c.ID != w.idOf("settings") ||
		c.Before.Object["data"].(map[string]any)["k"] != "taken" || c.Live.Object["data"].(map[string]any)["k"] != "one" {
		t.Errorf("found %+v; want what it is, and what it would be", found.Drift.Changes())
	}
	is(t, "restored", w.restore(found), "ConfigMap settings configured")
	w.costs("it was put back", nil, func() { w.found(state.InSync) })

	w.noticing(func() {
		if err := w.Client.Delete(t.Context(), w.live("fixed")); err != nil {
			t.Fatal(err)
		}
	})
	w.costs("one object was deleted", map[string]int{"GET fixed": 1}, func() { found = w.found(state.Drifted) })
	is(t, "drift", effects(found.Drift.Changes()), "ConfigMap fixed created")
	if c := found.Drift.Changes()[0]; c.Before != nil {
		t.Errorf("found %+v where there is nothing", c.Before)
	}
	is(t, "restored", w.restore(found), "ConfigMap fixed created")
	w.costs("it was put back", nil, func() { w.found(state.InSync) })
}

// TestDriftThatIsLeft is told each time.
func TestDriftThatIsLeft(t *testing.T) {
	t.Parallel()
	w := deployed(t, two, detecting())
	w.noticing(func() { w.Patch(w.live("settings"), "somebody", "data: {k: taken}") })
	for range 3 {
		is(t, "drift", effects(w.found(state.Drifted).Drift.Changes()), "ConfigMap settings configured")
	}
	w.Patch(w.live("settings"), "somebody", "data: {k: one}")
	w.Eventually("it is as it was", func() bool {
		found, err := w.observe()
		return err == nil && found.State == state.InSync
	})
}

// TestNobodyLooksWithoutBeingAsked, nor while there is something else to do.
func TestNobodyLooksWithoutBeingAsked(t *testing.T) {
	t.Parallel()
	w := deployed(t, two, detecting())
	w.noticing(func() { w.Patch(w.live("settings"), "somebody", "data: {k: taken}") })
	w.wanted = content("2.0.0", "two")
	w.costs("it is to be upgraded anyway", nil, func() {
		if found := w.found(state.OutOfSync); found.Drift != nil || found.Facts.Drifted {
			t.Errorf("drift is %+v", found.Drift)
		}
	})
	w.wanted = content("1.0.0", "one")
	w.hr.Spec.DriftDetection, w.hr.Generation = nil, 2
	w.costs("nobody asks for it", nil, func() {
		found := w.found(state.InSync)
		if found.Drift.Any() || len(found.Drift.Changes()) > 0 {
			t.Errorf("drift is %+v", found.Drift)
		}
	})
	detecting()(&w.hr.Spec)
	w.hr.Generation = 3
	w.found(state.Drifted)
}

// TestRulesOfANewSpecCount: the objects are read from the storage again, for no more is kept
// of them than what tells whether they change.
func TestRulesOfANewSpecCount(t *testing.T) {
	t.Parallel()
	w := deployed(t, two, detecting())
	w.noticing(func() { w.Patch(w.live("settings"), "somebody", "data: {k: taken}") })
	w.found(state.Drifted)
	detecting(helmv2.IgnoreRule{Paths: []string{"/data/k"}})(&w.hr.Spec)
	w.hr.Generation = 2
	w.Traffic.Reset()
	w.found(state.InSync)
	if n := w.Traffic.Count(func(r testplane.Request) bool { return strings.HasSuffix(r.Path, key(1)) }); n != 1 {
		t.Errorf("the release was read %d times; want once", n)
	}
	w.costs("and known from then on", nil, func() { w.found(state.InSync) })
	detecting()(&w.hr.Spec)
	w.hr.Generation = 3
	w.found(state.Drifted)
}

// TestRuleThatMeansNothing is an error that names the field.
func TestRuleThatMeansNothing(t *testing.T) {
	t.Parallel()
	w := deployed(t, two, detecting())
	detecting(helmv2.IgnoreRule{Paths: []string{""}, Target: &kustomize.Selector{LabelSelector: "a in ("}})(&w.hr.Spec)
	w.hr.Generation = 2
	w.fails("cannot detect drift: ", "spec.driftDetection.ignore[0].target")
	detecting()(&w.hr.Spec)
	w.hr.Generation = 3
	w.found(state.InSync)
}

// TestWhatCannotBeLookedAt is an error, unless there is drift to tell of.
func TestWhatCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	w := deployed(t, two, detecting())
	w.noticing(func() { w.Patch(w.live("fixed"), "somebody", "data: {k: taken}") })
	w.Traffic.Break(func(r testplane.Request) error {
		if r.Method == http.MethodGet && strings.HasSuffix(r.Path, "/configmaps/fixed") {
			return errBroken
		}
		return nil
	})
	if err := w.fails("cannot detect drift: ", "ConfigMap/"+w.Namespace+"/fixed"); !errors.Is(err, errBroken) {
		t.Errorf("the error is %q; want it to be that of the connection", err)
	}
	w.noticing(func() { w.Patch(w.live("settings"), "somebody", "data: {k: taken}") })
	is(t, "drift", effects(w.found(state.Drifted).Drift.Changes()), "ConfigMap settings configured")
	w.Traffic.Break(nil)
	is(t, "drift", effects(w.found(state.Drifted).Drift.Changes()), "ConfigMap fixed configured", "ConfigMap settings configured")
}

// TestSecretsAreNotTold where a Secret cannot be looked at.
func TestSecretsAreNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, detecting())
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "password"}, StringData: map[string]string{"k": "other"}})
	w.objects = w.object("v1", "Secret", "password") + "type: do-not-tell\nstringData: {k: do-not-tell}\n"
	w.store(w.version(1, release.StatusDeployed))
	w.record(1)
	err := w.fails("cannot detect drift: ", "Secret/"+w.Namespace+"/password")
	if strings.Contains(err.Error(), "do-not-tell") {
		t.Errorf("the error is %q", err)
	}
}

// TestKindThatIsGone: the definition of it was deleted, so that nothing is known of the
// objects.
func TestKindThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, detecting())
	w.objects = w.object("example.com/v1", "Nonesuch", "a")
	w.store(w.version(1, release.StatusDeployed))
	w.record(1)
	w.fails("cannot detect drift: ", "Nonesuch", "a")
}
