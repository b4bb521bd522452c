package observe_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/testplane"
)

// preserving asks for upgrades over the values of the release before.
func preserving(s *helmv2.HelmReleaseSpec) { s.Upgrade = &helmv2.Upgrade{PreserveValues: true} }

// over has a release made of values over earlier ones.
func over(value string) func(*release.Release) {
	return func(r *release.Release) { r.Config = map[string]any{"value": value, "earlier": "stays"} }
}

// asAsked has the history know a release by the values that were asked for.
func asAsked(value string) func(*helmv2.Snapshot) {
	return func(s *helmv2.Snapshot) { s.ConfigDigest = content("1.0.0", value).ConfigDigest }
}

// TestUpgradeOverEarlierValuesIsOursAtEachLook: what was read is not at hand at the second, if
// the status could not be saved after the first.
func TestUpgradeOverEarlierValuesIsOursAtEachLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, preserving)
	w.store(w.version(1, release.StatusDeployed, over("one")))
	w.record(1, asAsked("one"))
	w.attempt("1.0.0", "two", "")
	w.store(w.version(1, release.StatusSuperseded, over("one")))
	w.store(w.version(2, release.StatusDeployed, over("two")))
	for n := range 3 {
		found := w.found(state.InSync, func(in *observe.Input) { in.Values = config("two") })
		if diff := cmp.Diff([]string{"app.v1 superseded by  ", "app.v2 deployed by upgrade "}, recovered(found)); diff != "" {
			t.Errorf("look %d: recovered (-want +got):\n%s", n, diff)
		}
	}
}

// TestRollbackToPreservedValuesThatWasCutOff is ours, although the history has the values that
// were asked for, and the release more.
func TestRollbackToPreservedValuesThatWasCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, preserving)
	w.store(w.version(1, release.StatusSuperseded, over("one")))
	w.record(1, asAsked("one"))
	w.store(w.version(2, release.StatusFailed, of("1.1.0", "two"), over("two")))
	w.record(2, asAsked("two"))
	w.attempt("1.1.0", "two", "")
	w.store(w.version(3, release.StatusPendingRollback, over("one"), func(r *release.Release) { r.Info.Description = "Rollback to 1" }))
	for n := range 2 {
		found := w.found(state.Locked, func(in *observe.Input) { in.Values = config("two") })
		if diff := cmp.Diff([]string{"app.v3 pending-rollback by rollback "}, recovered(found)); diff != "" {
			t.Errorf("look %d: recovered (-want +got):\n%s", n, diff)
		}
	}
}

// TestHistoryOfAnActionIsBroughtUpToDate: somebody else may have written the release after its
// last write and before it is taken up.
func TestHistoryOfAnActionIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store(w.version(1, release.StatusDeployed))
	w.record(1)
	history := w.input().History
	if _, err := history.Last(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := func(in *observe.Input) { in.History = history }
	w.Traffic.Reset()
	w.found(state.InSync, left)
	if n := w.Traffic.Count(func(r testplane.Request) bool { return !r.Watch }); n > 0 {
		t.Errorf("%d requests where the watch knows of no other release; want none", n)
	}
	w.memory = observe.Memory{}
	w.store(w.version(1, release.StatusSuperseded))
	w.store(w.version(2, release.StatusDeployed, of("1.0.0", "theirs")))
	w.found(state.Unmanaged, left)
}

func TestOwner(t *testing.T) {
	t.Parallel()
	labelled := func(labels string) string { return "---\nkind: ConfigMap\nmetadata: {labels: {" + labels + "}}\n" }
	both := helmv2.LabelName + ": web, " + helmv2.LabelNamespace + ": apps"
	tests := map[string]struct {
		why, manifest string
		want          types.NamespacedName
	}{
		"both labels":     {manifest: labelled(both), want: types.NamespacedName{Namespace: "apps", Name: "web"}},
		"of the first":    {why: "all have them, or none", manifest: labelled(both) + labelled(helmv2.LabelName+": x"), want: types.NamespacedName{Namespace: "apps", Name: "web"}},
		"one label":       {why: "that is none of ours", manifest: labelled(helmv2.LabelName + ": web")},
		"no labels":       {why: "the helm command makes such", manifest: "---\nkind: ConfigMap\n"},
		"labels, no text": {manifest: labelled(helmv2.LabelName + ": 1, " + helmv2.LabelNamespace + ": [2]")},
		"no objects":      {manifest: "# nothing\n"},
	}
	for name, tc := range tests {
		if got := observe.Owner(&releases.Release{Release: &release.Release{Manifest: tc.manifest}}); got != tc.want {
			t.Errorf("%s: %v; want %v (%s)", name, got, tc.want, tc.why)
		}
	}
}
