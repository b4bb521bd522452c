package helmrelease

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// syncChart keeps the HelmChart of a HelmRelease as its template says, and deletes the one
// of before. Nothing is asked where nothing has changed.
func (r *Reconciler) syncChart(ctx context.Context, s *scope) error {
	key, wanted := chartKey(s.hr)
	if had := s.hr.Status.HelmChart; had != "" && (!wanted || had != key.String()) {
		if err := r.deleteChart(ctx, s.hr, s.memory); err != nil {
			return loop.Fail(helmv2.ReasonArtifactFailed, err)
		}
	}
	if !wanted {
		return nil
	}
	live, err := r.liveChart(ctx, key)
	if err != nil {
		return notSynced(s.memory, err)
	}
	if err := r.refuseForeign(ctx, s.hr, live); err != nil {
		return err
	}
	if s.hr.Status.HelmChart != key.String() { // known before it is there
		s.hr.Status.HelmChart = key.String()
		if err := r.save(ctx, s.hr); err != nil {
			return fmt.Errorf("recording the HelmChart: %w", err)
		}
	}
	if err := r.applyChart(ctx, s, live); err != nil {
		return notSynced(s.memory, err)
	}
	return nil
}

// notSynced tells why a HelmChart could not be read or written, and fails the run.
func notSynced(m *memory, err error) error {
	m.tell(loop.Event{Warning: true, Reason: helmv2.ReasonHelmChartSyncErr, Message: err.Error()})
	return loop.Fail(helmv2.ReasonArtifactFailed, err)
}

// chartKey names the HelmChart that a HelmRelease asks for; false if it asks for none.
func chartKey(hr *helmv2.HelmRelease) (types.NamespacedName, bool) {
	t := hr.Spec.Chart
	if t == nil || hr.Spec.ChartRef != nil {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: t.GetNamespace(hr.Namespace), Name: hr.GetHelmChartName()}, true
}

// chartOf returns the HelmChart that a HelmRelease asks for.
func chartOf(hr *helmv2.HelmRelease) *sourcev1.HelmChart {
	key, _ := chartKey(hr)
	t := hr.Spec.Chart
	chart := &sourcev1.HelmChart{
		TypeMeta:   metav1.TypeMeta{APIVersion: sourcev1.GroupVersion.String(), Kind: sourcev1.HelmChartKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: make(map[string]string)},
		Spec: sourcev1.HelmChartSpec{
			Chart:                    t.Spec.Chart,
			Version:                  t.Spec.Version,
			SourceRef:                sourcev1.LocalHelmChartSourceReference{Kind: t.Spec.SourceRef.Kind, Name: t.Spec.SourceRef.Name},
			Interval:                 metav1.Duration{Duration: t.GetInterval(hr.Spec.Interval.Duration)},
			ReconcileStrategy:        sourcev1.ReconcileStrategy(t.Spec.ReconcileStrategy),
			ValuesFiles:              t.Spec.ValuesFiles,
			IgnoreMissingValuesFiles: t.Spec.IgnoreMissingValuesFiles,
		},
	}
	if v := t.Spec.Verify; v != nil {
		chart.Spec.Verify = &sourcev1.HelmChartVerification{Provider: sourcev1.OCIVerificationProvider(v.Provider)}
		if v.SecretRef != nil {
			chart.Spec.Verify.SecretRef = &meta.LocalObjectReference{Name: v.SecretRef.Name}
		}
	}
	if m := t.ObjectMeta; m != nil {
		maps.Copy(chart.Labels, m.Labels)
		chart.Annotations = maps.Clone(m.Annotations)
	}
	chart.Labels[helmv2.LabelName], chart.Labels[helmv2.LabelNamespace] = hr.Name, hr.Namespace
	return chart
}

// chartApplied is how the HelmChart of a HelmRelease was left.
type chartApplied struct {
	content string // what was applied, or found as if it had been
	version string // resource version then
}

// applyChart writes the HelmChart unless it is as it should be; live is what there is.
func (r *Reconciler) applyChart(ctx context.Context, s *scope, live *sourcev1.HelmChart) error {
	want := chartOf(s.hr)
	data, err := applied(want)
	if err != nil {
		return err
	}
	last := &s.memory.applied
	again := last.content == string(data)
	if live != nil && (again && newer(last.version, live.ResourceVersion) || isAs(live, want, again)) {
		last.content = string(data)
		return nil
	}
	answer := &sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Namespace: want.Namespace, Name: want.Name}}
	if err := r.client.Patch(ctx, answer, client.RawPatch(types.ApplyPatchType, data), client.ForceOwnership, client.FieldOwner(r.manager)); err != nil {
		return fmt.Errorf("applying %s: %w", shown(want), err)
	}
	*last = chartApplied{content: string(data), version: answer.ResourceVersion}
	from := fmt.Sprintf("with SourceRef '%s/%s/%s'", want.Spec.SourceRef.Kind, want.Namespace, want.Spec.SourceRef.Name)
	switch {
	case live == nil:
		s.memory.tell(loop.Event{Trace: true, Reason: helmv2.ReasonHelmChartCreated, Message: fmt.Sprintf("Created %s %s", shown(want), from)})
	case answer.ResourceVersion != live.ResourceVersion:
		s.memory.tell(loop.Event{Trace: true, Reason: helmv2.ReasonHelmChartConfigured, Message: fmt.Sprintf("Configured %s %s", shown(want), from)})
	}
	return nil
}

// liveChart reads a HelmChart, nil if there is none. One that was just made, by us or for
// another HelmRelease, may not have reached the cache yet.
func (r *Reconciler) liveChart(ctx context.Context, key types.NamespacedName) (*sourcev1.HelmChart, error) {
	live, err := lookUpChart(ctx, r.client, key)
	if err == nil && live == nil {
		return lookUpChart(ctx, r.live, key)
	}
	return live, err
}

// lookUpChart reads a HelmChart, nil if there is none.
func lookUpChart(ctx context.Context, by client.Reader, key types.NamespacedName) (*sourcev1.HelmChart, error) {
	live := &sourcev1.HelmChart{}
	err := by.Get(ctx, key, live)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s/%s: %w", sourcev1.HelmChartKind, key, err)
	}
	return live, nil
}

// chartOwner returns the HelmRelease of a HelmChart, by its labels; empty if it has none.
func chartOwner(chart *sourcev1.HelmChart) types.NamespacedName {
	return types.NamespacedName{Namespace: chart.Labels[helmv2.LabelNamespace], Name: chart.Labels[helmv2.LabelName]}
}

// isForeign reports whether a HelmChart is that of another HelmRelease.
func isForeign(hr *helmv2.HelmRelease, chart *sourcev1.HelmChart) bool {
	owner := chartOwner(chart)
	return owner != keyOf(hr) && owner != types.NamespacedName{}
}

// refuseForeign has an object wait whose HelmChart is that of another HelmRelease already: the
// names of two of different namespaces can amount to one name of a HelmChart. One whose
// HelmRelease is gone is free.
func (r *Reconciler) refuseForeign(ctx context.Context, hr *helmv2.HelmRelease, chart *sourcev1.HelmChart) error {
	if chart == nil || !isForeign(hr, chart) {
		return nil
	}
	owner := chartOwner(chart)
	err := r.live.Get(ctx, owner, &helmv2.HelmRelease{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return loop.Fail(helmv2.ReasonArtifactFailed, fmt.Errorf("looking for the owner of %s: %w", shown(chart), err))
	default:
		return loop.Wait(helmv2.ReasonArtifactFailed, r.opts.RequeueDependency,
			"%s is that of %s already: give this one another name, or refer to the chart by spec.chartRef", shown(chart), another(hr, owner))
	}
}

// another names another HelmRelease for users of one: only in their own namespace may they
// know what there is.
func another(hr *helmv2.HelmRelease, other types.NamespacedName) string {
	if other.Namespace != hr.Namespace {
		return "a HelmRelease of another namespace"
	}
	return fmt.Sprintf("HelmRelease '%s'", other)
}

// newer reports whether resource version a is later than b.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// applied returns a HelmChart as it is applied: without what is not ours to say.
func applied(chart *sourcev1.HelmChart) ([]byte, error) {
	data, err := json.Marshal(chart)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", shown(chart), err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("encoding %s: %w", shown(chart), err)
	}
	delete(fields, "status")
	if m, ok := fields["metadata"].(map[string]any); ok {
		delete(m, "creationTimestamp")
	}
	return json.Marshal(fields)
}

// isAs reports whether a HelmChart is as it is wanted. What is not wanted any more is
// among the labels and annotations of others, so unless the very same was applied last,
// there must be no others.
func isAs(live, want *sourcev1.HelmChart, again bool) bool {
	now := live.Spec
	now.SourceRef.APIVersion = want.Spec.SourceRef.APIVersion
	now.Suspend = want.Spec.Suspend // which is others' to say
	if now.Verify != nil && want.Spec.Verify != nil {
		verify := *now.Verify
		verify.MatchOIDCIdentity = want.Spec.Verify.MatchOIDCIdentity
		now.Verify = &verify
	}
	asked := want.Spec
	asked.Version = cmp.Or(asked.Version, "*")
	asked.ReconcileStrategy = cmp.Or(asked.ReconcileStrategy, sourcev1.ReconcileStrategyChartVersion)
	if !equality.Semantic.DeepEqual(now, asked) || !has(live.Labels, want.Labels) || !has(live.Annotations, want.Annotations) {
		return false
	}
	return again || len(live.Labels) == len(want.Labels) && len(live.Annotations) == len(want.Annotations)
}

// has reports whether all of want is in have.
func has(have, want map[string]string) bool {
	for key, value := range want {
		if got, ok := have[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// deleteChart deletes the HelmChart that the status has, and forgets it then. One that is
// not ours, whoever has put it there, stays.
func (r *Reconciler) deleteChart(ctx context.Context, hr *helmv2.HelmRelease, m *memory) error {
	namespace, name, ok := strings.Cut(hr.Status.HelmChart, "/")
	if !ok {
		hr.Status.HelmChart = ""
		return nil
	}
	// The cache may be of other namespaces by now.
	live, err := lookUpChart(ctx, r.live, types.NamespacedName{Namespace: namespace, Name: name})
	if err == nil && live != nil {
		err = r.deleteOwn(ctx, hr, m, live)
	}
	if err != nil {
		m.tell(loop.Event{Warning: true, Reason: helmv2.ReasonHelmChartSyncErr, Message: err.Error()})
		return err
	}
	hr.Status.HelmChart, m.applied = "", chartApplied{}
	return nil
}

// deleteOwn deletes a HelmChart as it was found, if it is that of a HelmRelease.
func (r *Reconciler) deleteOwn(ctx context.Context, hr *helmv2.HelmRelease, m *memory, live *sourcev1.HelmChart) error {
	if chartOwner(live) != keyOf(hr) {
		log.FromContext(ctx).Info("a HelmChart is left, for its labels do not say that it is of this HelmRelease", "chart", client.ObjectKeyFromObject(live).String())
		return nil
	}
	err := r.client.Delete(ctx, live, client.Preconditions{UID: &live.UID})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("deleting %s: %w", shown(live), err)
	default:
		m.tell(loop.Event{Trace: true, Reason: helmv2.ReasonHelmChartDeleted, Message: "Deleted " + shown(live)})
	}
	return nil
}

// shown names a HelmChart in messages.
func shown(chart *sourcev1.HelmChart) string {
	return fmt.Sprintf("%s/%s/%s", sourcev1.HelmChartKind, chart.Namespace, chart.Name)
}
