package helmrelease_test

import (
	"testing"

	"helm.sh/helm/v3/pkg/release"

	helmv2 "weir.dev/api/helm/v2"
)

// killed leaves a HelmRelease as a process does that is killed in the first install, when all
// that was recorded is what was attempted. The controller must not run.
func (w *world) killed(hr *helmv2.HelmRelease) {
	w.t.Helper()
	w.Get(hr)
	st := &hr.Status
	st.History, st.Inventory, st.Conditions, st.ObservedGeneration = nil, nil, nil, -1
	if err := w.Client.Status().Update(w.t.Context(), hr); err != nil {
		w.t.Fatal(err)
	}
	store := w.helm().Releases
	last, err := store.Last(hr.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	last.Info.Status, last.Info.Description = release.StatusPendingInstall, "Initial install underway"
	if err := store.Update(last); err != nil {
		w.t.Fatal(err)
	}
}

// TestReleaseOfAKilledInstallIsTakenAway although the spec does not name it any more.
func TestReleaseOfAKilledInstallIsTakenAway(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"renamed", "renamed and deleted"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			w.helmInstall("others", demo(t, "1.0.0").Load())
			hr := w.release("app")
			w.waitReleased(hr, 1)
			w.settle()
			w.stop()
			w.killed(hr)
			w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.ReleaseName = "renamed" })
			if how == "renamed" {
				w.start()
				w.Wait("the other name", hr, func() bool {
					last := hr.Status.History.Latest()
					return ready(hr) && last != nil && last.Name == "renamed"
				})
				w.expectValue("renamed", "1")
			} else {
				if err := w.Client.Delete(t.Context(), hr); err != nil {
					t.Fatal(err)
				}
				w.start()
				w.WaitGone(hr)
			}
			if w.Get(w.configMap("app")) || len(w.stored("app")) > 0 {
				t.Errorf("the release of before is left: stored are %q", w.stored("app"))
			}
			if len(w.stored("others")) == 0 {
				t.Error("a release that is none of its was taken away")
			}
		})
	}
}
