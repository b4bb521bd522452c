package helmrelease

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/pkg/tenant"
)

// requested returns a HelmRelease of which somebody asks for something once.
func requested(annotation, token string) *helmv2.HelmRelease {
	return a(func(hr *helmv2.HelmRelease) {
		hr.Annotations = map[string]string{annotation: token, meta.ReconcileRequestAnnotation: token}
	})
}

// TestForceIsHandledByAnAction, and by none that was cut off: the process that comes next is
// to do it.
func TestForceIsHandledByAnAction(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		w    work
		hr   *helmv2.HelmRelease
		want string
	}{
		"an upgrade":                  {w: work{action: plan.Upgrade, of: inputs{request: "2"}}, hr: requested(helmv2.ForceRequestAnnotation, "2"), want: "2"},
		"an upgrade that failed":      {why: "it is not forced again and again", w: work{action: plan.Upgrade, of: inputs{request: "2"}, result: failed(errors.New("no"))}, hr: requested(helmv2.ForceRequestAnnotation, "2"), want: "2"},
		"an upgrade that was cut off": {why: "it was not done", w: work{action: plan.Upgrade, of: inputs{request: "2"}, cut: errStopping}, hr: requested(helmv2.ForceRequestAnnotation, "2"), want: "1"},
		"one of before":               {why: "it was asked for later", w: work{action: plan.Upgrade, of: inputs{request: "1"}}, hr: requested(helmv2.ForceRequestAnnotation, "2"), want: "1"},
		"an unlock":                   {why: "the upgrade is yet to come", w: work{action: plan.Unlock, of: inputs{request: "2"}}, hr: requested(helmv2.ForceRequestAnnotation, "2"), want: "1"},
		"nobody asks":                 {w: work{action: plan.Upgrade}, hr: a(), want: "1"},
	}
	for name, tc := range tests {
		tc.hr.Status.LastHandledForceAt = "1"
		recordResult(tc.hr, &tc.w)
		if got := tc.hr.Status.LastHandledForceAt; got != tc.want {
			t.Errorf("%s: handled %q; want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}

func failed(err error) action.Result { return action.Result{Err: err} }

// TestResetIsHandledWithTheReset: one without the other would be lost with a process that is
// killed.
func TestResetIsHandledWithTheReset(t *testing.T) {
	t.Parallel()
	hr := requested(helmv2.ResetRequestAnnotation, "1")
	hr.Status.UpgradeFailures, hr.Status.LastAttemptedGeneration = 3, hr.Generation
	s := &scope{hr: hr}
	(&Reconciler{}).attempt(t.Context(), s, false)
	if hr.Status.UpgradeFailures != 3 || hr.Status.LastHandledResetAt != "" {
		t.Errorf("%d failures, handled %q; want nothing to be done yet", hr.Status.UpgradeFailures, hr.Status.LastHandledResetAt)
	}
	(&Reconciler{}).attempt(t.Context(), s, true)
	if hr.Status.UpgradeFailures != 0 || hr.Status.LastHandledResetAt != "1" {
		t.Errorf("%d failures, handled %q; want both", hr.Status.UpgradeFailures, hr.Status.LastHandledResetAt)
	}
}

// TestReasonsOfWhatCannotBeReached tell the one from the other: a cluster, what works on its
// objects, and the storage of releases.
func TestReasonsOfWhatCannotBeReached(t *testing.T) {
	t.Parallel()
	other := errors.New("connection refused")
	for err, want := range map[error]string{
		fmt.Errorf("entering: %w", tenant.ErrPlace): helmv2.ReasonResourceManagerError,
		other: helmv2.ReasonRESTClientError,
	} {
		if got := unreachable(err); got != want {
			t.Errorf("%v: %s; want %s", err, got, want)
		}
	}
	_, _, err := (&Reconciler{}).observe(t.Context(), &scope{at: &tenant.Place{}}, plan.Place{})
	for err, want := range map[error]string{err: helmv2.ReasonFactoryError, other: helmv2.ReasonFailed} {
		if got := unobserved(err); got != want {
			t.Errorf("%v: %s; want %s", err, got, want)
		}
	}
}

// TestInventoryThatIsNotWhole is told of, and no secrets with it.
func TestInventoryThatIsNotWhole(t *testing.T) {
	t.Parallel()
	hide := action.Mask([]string{"do-not-tell"})
	tests := map[string]struct {
		failed   error
		unserved []string
		want     []string
	}{
		"whole":     {},
		"not built": {failed: errors.New("document 1: do-not-tell"), want: []string{"InventoryBuildFailed: The objects of the release could not be listed, so the inventory is as it was: document 1: ***"}},
		"of kinds that are not served": {
			unserved: []string{`kind "A" of "x/v1"`, `kind "B" of "x/v1"`},
			want:     []string{`NamespaceCheckSkipped: The cluster does not serve kind "A" of "x/v1", kind "B" of "x/v1": objects of it are listed as if it were namespaced`},
		},
	}
	for name, tc := range tests {
		var m memory
		tellInventory(&m, tc.failed, tc.unserved, hide)
		var got []string
		for _, e := range m.told {
			if !e.Warning {
				t.Errorf("%s: %s is no warning", name, e.Reason)
			}
			got = append(got, e.Reason+": "+e.Message)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
