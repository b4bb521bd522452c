package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/watch"
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
		"an upgrade that was cut off": {why: "it was not done", w: work{action: plan.Upgrade, of: inputs{request: "2"}, cut: action.ErrStopping}, hr: requested(helmv2.ForceRequestAnnotation, "2"), want: "1"},
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

// TestIsUnmade: only what a user has asked for in vain is yet to be made.
func TestIsUnmade(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		change func(hr *helmv2.HelmRelease, found *observe.Found)
		want   bool
	}{
		"a forced upgrade that failed": {why: "the release of before is in order", change: func(*helmv2.HelmRelease, *observe.Found) {}, want: true},
		"while objects drift":          {why: "so it is all the same", change: func(_ *helmv2.HelmRelease, f *observe.Found) { f.State = state.Drifted }, want: true},
		"a failed release":             {why: "something was made", change: func(_ *helmv2.HelmRelease, f *observe.Found) { f.State = state.Failed }},
		"one that was recovered":       {why: "it was made, and not recorded", change: func(_ *helmv2.HelmRelease, f *observe.Found) { f.Recovered = []*helmv2.Snapshot{{}} }},
		"of another spec":              {why: "that asked for something else", change: func(hr *helmv2.HelmRelease, _ *observe.Found) { hr.Generation++ }},
		"of another chart":             {why: "it is not asked for any more", change: func(hr *helmv2.HelmRelease, _ *observe.Found) { hr.Status.LastAttemptedRevision = "2.0.0" }},
		"of other values":              {why: "they are not asked for any more", change: func(hr *helmv2.HelmRelease, _ *observe.Found) { hr.Status.LastAttemptedConfigDigest = "other" }},
		"unlocked": {why: "nobody knows what of it was made", change: func(hr *helmv2.HelmRelease, _ *observe.Found) {
			conditions.MarkFalse(hr, helmv2.ConditionReleased, helmv2.ReasonPendingRelease, "unlocked")
		}},
		"made": {why: "it was", change: func(hr *helmv2.HelmRelease, _ *observe.Found) {
			conditions.MarkTrue(hr, helmv2.ConditionReleased, helmv2.ReasonUpgradeSucceeded, "made")
		}},
		"nothing said": {why: "it was never tried", change: func(hr *helmv2.HelmRelease, _ *observe.Found) { hr.Status.Conditions = nil }},
	}
	for name, tc := range tests {
		hr, found := a(), observe.Found{State: state.InSync}
		hr.Status.LastAttemptedGeneration, hr.Status.LastAttemptedRevision, hr.Status.LastAttemptedConfigDigest = hr.Generation, "1.0.0", "one"
		conditions.MarkFalse(hr, helmv2.ConditionReleased, helmv2.ReasonUpgradeFailed, "no such luck")
		tc.change(hr, &found)
		if got := isUnmade(&scope{hr: hr, chart: chartFacts{version: "1.0.0"}, config: "one"}, found); got != tc.want {
			t.Errorf("%s: %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

// TestResetIsHandledWithTheReset: one without the other would be lost with a process that is
// killed.
func TestResetIsHandledWithTheReset(t *testing.T) {
	t.Parallel()
	hr := requested(helmv2.ResetRequestAnnotation, "1")
	hr.Status.UpgradeFailures, hr.Status.LastAttemptedGeneration = 3, hr.Generation
	hr.Status.LastAttemptedValuesChecksum, hr.Status.LastReleaseRevision = "of Flux", 7
	s := &scope{hr: hr}
	(&Reconciler{}).attempt(t.Context(), s, false)
	if hr.Status.LastAttemptedValuesChecksum != "" || hr.Status.LastReleaseRevision != 0 {
		t.Errorf("checksum %q, revision %d; want nothing to be said by fields that are deprecated", hr.Status.LastAttemptedValuesChecksum, hr.Status.LastReleaseRevision)
	}
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

// TestWhatMayBeLeftIsTold, and no secrets with it.
func TestWhatMayBeLeftIsTold(t *testing.T) {
	t.Parallel()
	var m memory
	tellLeft(&m, nil, action.Mask(nil))
	if len(m.told) > 0 {
		t.Errorf("told is %+v; want nothing where nothing is left", m.told)
	}
	tellLeft(&m, errors.New("Service/shop/do-not-tell could not be looked for"), action.Mask([]string{"do-not-tell"}))
	want := []loop.Event{{
		Warning: true, Reason: "PruneFailed",
		Message: "Objects that are of the release no more may be left in the cluster: Service/shop/*** could not be looked for",
	}}
	if diff := cmp.Diff(want, m.told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// broken is a storage that repeats what it was asked to keep to itself.
type broken struct{ corev1client.SecretInterface }

func (broken) List(context.Context, metav1.ListOptions) (*corev1.SecretList, error) {
	return nil, errors.New("cannot read do-not-tell")
}

// TestObservationTellsNoSecrets, whoever asks for it.
func TestObservationTellsNoSecrets(t *testing.T) {
	t.Parallel()
	at := &tenant.Place{Extra: releases.NewWatcher(func(schema.GroupVersionResource) watch.Source { return nil }, func(string, string) {})}
	s := &scope{
		hr: a(), at: at, memory: &memory{}, sensitive: []string{"do-not-tell"},
		history: releases.Open(broken{}, "web"), historyOf: "apps/web", historyAt: at,
	}
	_, _, err := (&Reconciler{}).observe(t.Context(), s, plan.Place{Storage: "apps", Namespace: "apps", Name: "web"})
	if err == nil || !strings.Contains(err.Error(), "cannot read ***") {
		t.Errorf("the error is %v; want it to be told without the value", err)
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
