package helmrelease_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/runtime/conditions"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
)

// TestFightForAReleaseIsPaced: somebody else makes another version as soon as there is one
// of ours.
func TestFightForAReleaseIsPaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	store := w.helm().Releases
	const theirs = "made by a rival"
	w.Eventually("the fight to be told", func() bool {
		last, err := store.Last("app")
		if err != nil {
			t.Fatal(err)
		}
		if last.Info.Status == release.StatusDeployed && last.Info.Description != theirs {
			next, info := *last, *last.Info
			info.Description = theirs
			next.Info, next.Version, next.Config = &info, last.Version+1, map[string]any{"k": "theirs"}
			if err := store.Create(&next); err != nil {
				t.Fatal(err)
			}
		}
		return slices.ContainsFunc(w.events(hr), func(e corev1.Event) bool { return e.Reason == helmv2.ReasonDriftContested })
	})
	told := w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonDriftContested).Message
	if want := "release " + w.Namespace + "/app: taken over by Helm at once each time, made anew 5 times"; !strings.HasPrefix(told, want) {
		t.Errorf("told is %q; want it to begin with %q", told, want)
	}
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonDriftContested)

	// What is asked for is done all the same.
	w.change(hr, values("k: new"))
	w.Wait("a release of the new spec", hr, func() bool {
		return ready(hr) && hr.Status.ObservedGeneration == hr.Generation && !conditions.IsStalled(hr)
	})
	w.expectValue("app", "new")
}
