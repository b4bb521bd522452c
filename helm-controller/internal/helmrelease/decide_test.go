package helmrelease

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/values"
	"weir.dev/pkg/loop"
)

// a returns a HelmRelease that adjust may change.
func a(adjust ...func(*helmv2.HelmRelease)) *helmv2.HelmRelease {
	hr := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "web", UID: "1", Generation: 2}}
	hr.Spec.Chart = &helmv2.HelmChartTemplate{Spec: helmv2.HelmChartTemplateSpec{
		Chart: "demo", Version: "1.x", ReconcileStrategy: "ChartVersion",
		SourceRef: helmv2.CrossNamespaceObjectReference{Kind: sourcev1.HelmRepositoryKind, Name: "charts"},
	}}
	for _, f := range adjust {
		f(hr)
	}
	return hr
}

func TestIsAs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		change func(*sourcev1.HelmChart)
		again  bool
		want   bool
	}{
		"as it was applied":          {change: func(*sourcev1.HelmChart) {}, want: true},
		"another version":            {change: func(c *sourcev1.HelmChart) { c.Spec.Version = "2.x" }},
		"a label is missing":         {change: func(c *sourcev1.HelmChart) { delete(c.Labels, helmv2.LabelName) }},
		"a label of others":          {why: "it may be one that the template had", change: func(c *sourcev1.HelmChart) { c.Labels["x"] = "y" }},
		"a label of others, again":   {why: "the very same was applied, so it is none of ours", change: func(c *sourcev1.HelmChart) { c.Labels["x"] = "y" }, again: true, want: true},
		"suspended":                  {why: "which is others' to say", change: func(c *sourcev1.HelmChart) { c.Spec.Suspend = true }, want: true},
		"another kind of the source": {change: func(c *sourcev1.HelmChart) { c.Spec.SourceRef.Kind = sourcev1.BucketKind }, again: true},
	}
	for name, tc := range tests {
		live := chartOf(a())
		tc.change(live)
		if got := isAs(live, chartOf(a()), tc.again); got != tc.want {
			t.Errorf("%s: %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestUnready(t *testing.T) {
	t.Parallel()
	good := &sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	good.Status.ObservedGeneration, good.Status.Artifact = 2, &meta.Artifact{Revision: "1.0.0", Digest: "sha256:1"}
	tests := map[string]struct {
		change func(*sourcev1.HelmChart)
		want   string
	}{
		"ready":               {change: func(*sourcev1.HelmChart) {}},
		"of another spec":     {change: func(c *sourcev1.HelmChart) { c.Generation = 3 }, want: "latest generation of object has not been reconciled"},
		"without an artifact": {change: func(c *sourcev1.HelmChart) { c.Status.Artifact = nil }, want: "does not have an artifact"},
		"stalled":             {change: func(c *sourcev1.HelmChart) { conditions.MarkStalled(c, "Bad", "no such chart") }, want: "no such chart"},
	}
	offers := make(map[string]string)
	for name, tc := range tests {
		chart := good.DeepCopy()
		tc.change(chart)
		if got := unready(chart); got != tc.want {
			t.Errorf("%s: %q; want %q", name, got, tc.want)
		}
		if before, again := offers[offer(chart)]; again {
			t.Errorf("%s and %s offer the same", name, before)
		}
		offers[offer(chart)] = name
	}
	if got := unready(&sourcev1.ExternalArtifact{Status: sourcev1.ExternalArtifactStatus{Artifact: &meta.Artifact{}}}); got != "" {
		t.Errorf("an ExternalArtifact, which observes nothing: %q; want it to be ready", got)
	}
}

func TestOCIRevision(t *testing.T) {
	t.Parallel()
	for revision, want := range map[string][2]string{
		"1.2.3@sha256:ab":   {"1.2.3", "sha256:ab"},
		"1.2.3_x@sha256:ab": {"1.2.3+x", "sha256:ab"},
		"sha256:ab":         {"", "sha256:ab"},
	} {
		if tag, digest := ociRevision(revision); tag != want[0] || digest != want[1] {
			t.Errorf("%s is %q, %q; want %q", revision, tag, digest, want)
		}
	}
}

func TestAsks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why                      string
		request, action, handled string
		want                     bool
		then                     string
	}{
		"now":             {why: "it is handled when it was done", request: "1", action: "1", handled: "0", want: true, then: "0"},
		"again":           {why: "it counts once", request: "1", action: "1", handled: "1", then: "1"},
		"without request": {why: "it is noted all the same", action: "1", then: "1"},
		"at another time": {request: "2", action: "1", then: "1"},
		"not at all":      {request: "1", handled: "0", then: "0"},
	}
	for name, tc := range tests {
		hr := a(func(hr *helmv2.HelmRelease) {
			hr.Annotations = map[string]string{}
			if tc.request != "" {
				hr.Annotations[meta.ReconcileRequestAnnotation] = tc.request
			}
			if tc.action != "" {
				hr.Annotations[helmv2.ForceRequestAnnotation] = tc.action
			}
		})
		handled := tc.handled
		if got := asks(hr, helmv2.ForceRequestAnnotation, &handled); got != tc.want || handled != tc.then {
			t.Errorf("%s: %t, handled %q; want %t, %q (%s)", name, got, handled, tc.want, tc.then, tc.why)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	set := func(hr *helmv2.HelmRelease, of string, status metav1.ConditionStatus, generation int64) {
		hr.Status.Conditions = append(hr.Status.Conditions, metav1.Condition{Type: of, Status: status, Reason: of, ObservedGeneration: generation})
	}
	tests := map[string]struct {
		why   string
		given func(*helmv2.HelmRelease)
		want  string
	}{
		"nothing":  {given: func(*helmv2.HelmRelease) {}},
		"released": {given: func(hr *helmv2.HelmRelease) { set(hr, helmv2.ConditionReleased, metav1.ConditionTrue, 2) }, want: helmv2.ConditionReleased},
		"tests do not count": {why: "nobody asks for them", given: func(hr *helmv2.HelmRelease) {
			set(hr, helmv2.ConditionReleased, metav1.ConditionTrue, 2)
			set(hr, helmv2.ConditionTestSuccess, metav1.ConditionFalse, 2)
		}, want: helmv2.ConditionReleased},
		"tests count": {given: func(hr *helmv2.HelmRelease) {
			hr.Spec.Test = &helmv2.Test{Enable: true}
			set(hr, helmv2.ConditionReleased, metav1.ConditionTrue, 2)
			set(hr, helmv2.ConditionTestSuccess, metav1.ConditionFalse, 2)
		}, want: helmv2.ConditionTestSuccess},
		"remediated": {given: func(hr *helmv2.HelmRelease) {
			set(hr, helmv2.ConditionReleased, metav1.ConditionFalse, 2)
			set(hr, helmv2.ConditionRemediated, metav1.ConditionTrue, 2)
		}, want: helmv2.ConditionRemediated},
		"remediated before": {why: "the newer generation counts", given: func(hr *helmv2.HelmRelease) {
			set(hr, helmv2.ConditionReleased, metav1.ConditionTrue, 2)
			set(hr, helmv2.ConditionRemediated, metav1.ConditionTrue, 1)
		}, want: helmv2.ConditionReleased},
	}
	for name, tc := range tests {
		hr := a(tc.given)
		got := ""
		if c := summary(hr); c != nil {
			got = c.Type
		}
		if got != tc.want {
			t.Errorf("%s: %q; want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestOutcomeIsToldOnce(t *testing.T) {
	t.Parallel()
	before := a(func(hr *helmv2.HelmRelease) { conditions.MarkFalse(hr, meta.ReadyCondition, "Bad", "it is bad") })
	stalled := before.DeepCopy()
	conditions.MarkStalled(stalled, helmv2.ReasonRetriesExceeded, "Failed to install after 1 attempt(s)")
	told := fmt.Errorf("%w", &failure{reason: "Bad", message: "it is bad"})
	tests := map[string]struct {
		why           string
		before, after *helmv2.HelmRelease
		out           loop.Outcome
		want          bool
	}{
		"a failure":          {before: a(), after: before, out: loop.Outcome{Verdict: loop.Failed, Reason: "Bad", Err: errors.New("it is bad")}, want: true},
		"the same again":     {before: before, after: before, out: loop.Outcome{Verdict: loop.Failed, Reason: "Bad", Err: errors.New("it is bad")}},
		"told by the action": {before: a(), after: before, out: loop.Outcome{Verdict: loop.Failed, Reason: "Bad", Err: told}},
		"stalled":            {why: "Ready says what it said", before: before, after: stalled, out: loop.Outcome{Verdict: loop.Stalled, Err: errors.New("no retries")}, want: true},
		"stalled still":      {before: stalled, after: stalled, out: loop.Outcome{Verdict: loop.Stalled, Err: errors.New("no retries")}},
		"in order":           {before: before, after: a(), out: loop.Outcome{Verdict: loop.Succeeded}},
	}
	for name, tc := range tests {
		if _, got := outcome(tc.before, tc.after, tc.out); got != tc.want {
			t.Errorf("%s: told %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestManaged(t *testing.T) {
	t.Parallel()
	v := func(n int) *helmv2.Snapshot { return &helmv2.Snapshot{Namespace: "apps", Name: "web", Version: n} }
	tests := map[string]struct {
		why           string
		history, left helmv2.Snapshots
		want          []int
	}{
		"the first":       {left: helmv2.Snapshots{v(1)}, want: []int{1}},
		"and the last":    {history: helmv2.Snapshots{v(1)}, left: helmv2.Snapshots{v(1), v(2)}, want: []int{1, 2}},
		"over another's":  {why: "what others made is none of ours", left: helmv2.Snapshots{v(1), v(2)}, want: []int{2}},
		"nothing at all ": {},
	}
	for name, tc := range tests {
		var got []int
		for _, s := range managed(tc.history, tc.left) {
			got = append(got, s.Version)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got), %s:\n%s", name, tc.why, diff)
		}
	}
}

func TestDefaultsOfThePlan(t *testing.T) {
	t.Parallel()
	hr := a(func(hr *helmv2.HelmRelease) {
		hr.Spec.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: 3}}
		hr.Spec.Test = &helmv2.Test{Enable: true, IgnoreFailures: true}
	})
	for name, tc := range map[string]struct {
		defaults Defaults
		want     plan.Spec
	}{
		"as documented": {want: plan.Spec{
			Install: plan.Strategy{Uninstalls: true, IgnoreTests: true}, Upgrade: plan.Strategy{Retries: 3, RemediateLast: true, IgnoreTests: true},
		}},
		"by gates": {defaults: Defaults{Strategy: helmv2.StrategyRetryOnFailure, Drift: helmv2.DriftDetectionEnabled}, want: plan.Spec{
			Install:  plan.Strategy{Retry: true, Uninstalls: true, IgnoreTests: true},
			Upgrade:  plan.Strategy{Retry: true, Retries: 3, RemediateLast: true, IgnoreTests: true},
			Corrects: true,
		}},
	} {
		if diff := cmp.Diff(tc.want, tc.defaults.documented().plan(hr)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestClusterOf(t *testing.T) {
	t.Parallel()
	by := func(ref *meta.KubeConfigReference) string {
		return clusterOf(a(func(hr *helmv2.HelmRelease) { hr.Spec.KubeConfig = ref }))
	}
	here := by(nil)
	secret := by(&meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: "c"}})
	config := by(&meta.KubeConfigReference{ConfigMapRef: &meta.LocalObjectReference{Name: "c"}})
	if here == secret || secret == config || config == here {
		t.Errorf("clusters are %q, %q and %q; want them to differ", here, secret, config)
	}
	if got := targetOf(a()); got != (types.NamespacedName{Namespace: "apps", Name: "web"}) {
		t.Errorf("the release is %s", got)
	}
}

// TestDigestOf: Flux may have made the digests of a history by an algorithm that is not ours.
func TestDigestOf(t *testing.T) {
	t.Parallel()
	same, other := map[string]any{"a": 1.0}, map[string]any{"a": 2.0}
	tests := map[string]struct {
		why    string
		last   string // of which digest the newest release is
		values map[string]any
		want   string
	}{
		"no release":        {why: "there is nothing to go by", values: same, want: values.Digest(digest.SHA256, same)},
		"same values":       {why: "the release is as it should be, by whatever algorithm", last: values.Digest(digest.SHA512, same), values: same, want: values.Digest(digest.SHA512, same)},
		"other values":      {why: "what is new is digested as ever", last: values.Digest(digest.SHA512, other), values: same, want: values.Digest(digest.SHA256, same)},
		"no digest":         {why: "old histories have none", last: "nonsense", values: same, want: values.Digest(digest.SHA256, same)},
		"no values, sha384": {why: "no values have a digest, too", last: values.Digest(digest.SHA384, nil), want: values.Digest(digest.SHA384, nil)},
	}
	for name, tc := range tests {
		hr := &helmv2.HelmRelease{}
		if tc.last != "" {
			hr.Status.History = helmv2.Snapshots{{ConfigDigest: tc.last}}
		}
		if got := digestOf(hr, tc.values); got != tc.want {
			t.Errorf("%s: digestOf = %s, want %s (%s)", name, got, tc.want, tc.why)
		}
	}
}

// TestRestsUntil: a wait that took as long as the rest is no rest.
func TestRestsUntil(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	hr := a(func(hr *helmv2.HelmRelease) {
		hr.Spec.Upgrade = &helmv2.Upgrade{Strategy: &helmv2.UpgradeStrategy{Name: helmv2.StrategyRetryOnFailure}}
		hr.Status.LastAttemptedReleaseAction = helmv2.ReleaseActionUpgrade
	})
	if got := restsUntil(hr); !got.IsZero() {
		t.Errorf("without a release, it rests until %s", got)
	}
	hr.Status.History = helmv2.Snapshots{{LastDeployed: metav1.NewTime(began)}}
	hr.Status.LastAttemptedReleaseActionDuration = &metav1.Duration{Duration: 5 * time.Minute}
	if want, got := began.Add(10*time.Minute), restsUntil(hr); !got.Equal(want) {
		t.Errorf("it rests until %s, want %s: the default of five minutes, from the end", got, want)
	}
	hr.Status.History[0].TestHooks = &map[string]*helmv2.TestHookStatus{
		"app-test":  {LastCompleted: metav1.NewTime(began.Add(12 * time.Minute))},
		"app-quick": {LastCompleted: metav1.NewTime(began.Add(6 * time.Minute))},
		"app-none":  nil,
	}
	if want, got := began.Add(17*time.Minute), restsUntil(hr); !got.Equal(want) {
		t.Errorf("it rests until %s, want %s: the default of five minutes, from the end of the last test", got, want)
	}
}

func TestRelaid(t *testing.T) {
	t.Parallel()
	labels := &helmv2.CommonMetadata{Labels: map[string]string{"team": "a"}}
	tests := map[string]struct {
		why      string
		observed int64
		failures int64
		newest   helmv2.ReleaseAction
		was      *helmv2.CommonMetadata
		want     bool
	}{
		"a new spec, other labels":    {why: "the release is to have them", observed: 1, want: true},
		"a new spec, the same labels": {why: "something else is new", observed: 1, was: labels},
		"carried out":                 {why: "what was not recorded then is of an older version", observed: 2},
		"in vain":                     {why: "the release was rolled back to what has them not", observed: 2, failures: 1, want: true},
		"in vain, forgiven":           {why: "a reset counts no failures, and is to bring another attempt", observed: 2, newest: helmv2.ReleaseActionRollback, want: true},
		"upgraded since":              {why: "what was not recorded then is of an older version", observed: 2, newest: helmv2.ReleaseActionUpgrade},
		"failed, the same labels":     {why: "there is nothing to lay anew", observed: 2, failures: 1, was: labels},
	}
	for name, tc := range tests {
		hr := a(func(hr *helmv2.HelmRelease) {
			hr.Spec.CommonMetadata = tc.was
			hr.Status.ObservedCommonMetadataDigest, hr.Status.ObservedPostRenderersDigest = laidBy(hr).commonMetadata, laidBy(hr).postRenderers
			hr.Spec.CommonMetadata = labels
			hr.Status.ObservedGeneration, hr.Status.UpgradeFailures = tc.observed, tc.failures
			if tc.newest != "" {
				hr.Status.History = helmv2.Snapshots{{Action: tc.newest}}
			}
		})
		if got := relaid(hr); got != tc.want {
			t.Errorf("%s: relaid = %v, want %v (%s)", name, got, tc.want, tc.why)
		}
	}
}
