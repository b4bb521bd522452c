package helmrelease_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/testplane"
)

// template asks for a HelmChart.
func template(s *helmv2.HelmReleaseSpec) {
	s.ChartRef = nil
	s.Chart = &helmv2.HelmChartTemplate{
		ObjectMeta: &helmv2.HelmChartTemplateObjectMeta{Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"note": "b"}},
		Spec: helmv2.HelmChartTemplateSpec{
			Chart: "demo", Version: "1.x", SourceRef: helmv2.CrossNamespaceObjectReference{Kind: sourcev1.HelmRepositoryKind, Name: "charts"},
		},
	}
}

// chartOf is the HelmChart of a HelmRelease, to be read.
func (w *world) chartOf(hr *helmv2.HelmRelease) *sourcev1.HelmChart {
	return &sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: hr.Namespace + "-" + hr.Name}}
}

func TestHelmChartFollowsTheTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hr := w.release("app", template)
	chart := w.chartOf(hr)
	w.Wait("the HelmChart", chart, func() bool { return true })
	want := sourcev1.HelmChartSpec{
		Chart: "demo", Version: "1.x", Interval: metav1.Duration{Duration: time.Hour}, ReconcileStrategy: sourcev1.ReconcileStrategyChartVersion,
		SourceRef: sourcev1.LocalHelmChartSourceReference{Kind: sourcev1.HelmRepositoryKind, Name: "charts"},
	}
	if diff := cmp.Diff(want, chart.Spec); diff != "" {
		t.Errorf("HelmChart (-want +got):\n%s", diff)
	}
	labels := map[string]string{"team": "a", helmv2.LabelName: "app", helmv2.LabelNamespace: w.Namespace}
	if diff := cmp.Diff(labels, chart.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonSourceNotReady)
	if got := w.Namespace + "/" + chart.Name; hr.Status.HelmChart != got {
		t.Errorf("status.helmChart is %q; want %q", hr.Status.HelmChart, got)
	}
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonHelmChartCreated, "Created HelmChart/"+w.Namespace+"/"+chart.Name+" with SourceRef 'HelmRepository/"+w.Namespace+"/charts'")
	w.offer(chart, w.charts.Publish(demo(t, "1.0.0")))
	w.waitReleased(hr, 1)

	w.settle()
	allow := w.Traffic.Forbid(func(r testplane.Request) bool { return r.Resource == "helmcharts" && !r.Watch })
	w.Poke(hr)
	w.WaitHandled(hr)
	allow()

	w.change(hr, func(s *helmv2.HelmReleaseSpec) {
		s.Chart.Spec.Version, s.Chart.ObjectMeta = "1.0.x", nil
	})
	w.Wait("the HelmChart to change", chart, func() bool {
		return chart.Spec.Version == "1.0.x" && chart.Labels["team"] == "" && len(chart.Annotations) == 0
	})
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonHelmChartConfigured, "Configured HelmChart/")
	w.offer(chart, chart.Status.Artifact)
	w.WaitReady(hr)

	if err := w.Client.Delete(t.Context(), chart); err != nil {
		t.Fatal(err)
	}
	w.Wait("the HelmChart to come back", chart, func() bool { return chart.DeletionTimestamp.IsZero() })
	w.expectValue("app", "1")

	w.publish(demo(t, "2.0.0"))
	w.change(hr, func(s *helmv2.HelmReleaseSpec) {
		s.Chart, s.ChartRef = nil, &helmv2.CrossNamespaceSourceReference{Kind: sourcev1.HelmChartKind, Name: w.source.Name}
	})
	w.WaitGone(chart)
	w.waitReleased(hr, 2)
	if hr.Status.HelmChart != "" {
		t.Errorf("status.helmChart is %q; want it to be forgotten", hr.Status.HelmChart)
	}
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonHelmChartDeleted, "Deleted HelmChart/")
}

// TestHelmChartThatIsNotSeenAsItIs: what its controller made of an earlier version is no chart
// of the present spec, however late the cache is.
func TestHelmChartThatIsNotSeenAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hr := w.release("app", template)
	chart := w.chartOf(hr)
	w.Wait("the HelmChart", chart, func() bool { return true })
	w.offer(chart, w.charts.Publish(demo(t, "1.0.0")))
	w.waitReleased(hr, 1)
	w.settle()

	w.Traffic.Break(func(r testplane.Request) error {
		if r.Resource == "helmcharts" && r.Method == http.MethodGet {
			return errors.New("no route to host")
		}
		return nil
	})
	w.Traffic.EndWatches()
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Chart.Spec.Version = "2.x" }, values("k: '2'"))
	w.Wait("the HelmChart to change", chart, func() bool { return chart.Spec.Version == "2.x" })
	w.waitMessage(hr, helmv2.ConditionReady, "is not ready: latest generation of object has not been reconciled")
	w.Traffic.Break(nil)
	w.offer(chart, w.charts.Publish(demo(t, "2.0.0")))
	w.waitReleased(hr, 2)
	if got := hr.Status.History[0].ChartVersion; got != "2.0.0" {
		t.Errorf("the second release is of the chart %s", got)
	}
}

func TestHelmChartGoesWithTheHelmRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hr := w.release("app", template)
	w.Wait("the HelmChart", w.chartOf(hr), func() bool { return true })
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.WaitGone(w.chartOf(hr))
}

// foreign creates a HelmChart of the name that hr's would have, which its labels say to be
// that of another HelmRelease.
func (w *world) foreign(hr, owner string) *sourcev1.HelmChart {
	w.t.Helper()
	chart := &sourcev1.HelmChart{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: w.Namespace + "-" + hr,
			Labels: map[string]string{helmv2.LabelName: owner, helmv2.LabelNamespace: w.Namespace},
		},
		Spec: w.source.Spec,
	}
	w.Create(chart)
	return chart
}

// TestHelmChartOfAnotherIsLeft: two names of HelmReleases can amount to one of a HelmChart.
func TestHelmChartOfAnotherIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.release("other")
	chart := w.foreign("app", "other")
	hr := w.release("app", template)
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonArtifactFailed)
	if want := "HelmChart/" + w.Namespace + "/" + chart.Name + " is that of HelmRelease '" + w.Namespace + "/other' already"; !strings.HasPrefix(c.Message, want) {
		t.Errorf("Ready says %q; want it to begin with %q", c.Message, want)
	}
	if hr.Status.HelmChart != "" {
		t.Errorf("status.helmChart is %q; want none that is another's", hr.Status.HelmChart)
	}
	was := chart.DeepCopy()
	w.lookAgain(hr)
	if w.Get(chart); !cmp.Equal(was.Spec, chart.Spec) || !cmp.Equal(was.Labels, chart.Labels) {
		t.Errorf("the HelmChart is %+v %v; want it as it was", chart.Spec, chart.Labels)
	}

	// When it goes, its name is free.
	if err := w.Client.Delete(t.Context(), chart); err != nil {
		t.Fatal(err)
	}
	w.Wait("a HelmChart of its own", chart, func() bool { return chart.Labels[helmv2.LabelName] == "app" })
}

// TestHelmChartThatIsLeftBecomesFree when its HelmRelease goes, which is noticed at once.
func TestHelmChartThatIsLeftBecomesFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--requeue-dependency=1h")
	other := w.release("other", func(s *helmv2.HelmReleaseSpec) { s.Suspend = true })
	w.Wait("it to be suspended", other, func() bool { return len(other.Finalizers) > 0 })
	chart := w.foreign("app", "other")
	hr := w.release("app", template)
	w.waitMessage(hr, helmv2.ConditionReady, "is that of HelmRelease")
	if err := w.Client.Delete(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(other)
	w.Wait("a HelmChart of its own", chart, func() bool { return chart.Labels[helmv2.LabelName] == "app" })
}

// TestHelmChartOfNobodyIsTaken: its HelmRelease went without taking it along.
func TestHelmChartOfNobodyIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chart := w.foreign("app", "gone")
	hr := w.release("app", template)
	w.Wait("the HelmChart to be ours", chart, func() bool { return chart.Labels[helmv2.LabelName] == "app" })
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.WaitGone(chart)
}

// TestHelmChartOfAForgedStatusStays: a status that names a HelmChart is no proof.
func TestHelmChartOfAForgedStatusStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.settle()
	w.Get(hr)
	hr.Status.HelmChart = w.Namespace + "/" + w.source.Name
	if err := w.Client.Status().Update(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.Poke(hr)
	w.Wait("status.helmChart to be forgotten", hr, func() bool { return hr.Status.HelmChart == "" })
	if !w.Get(w.source) {
		t.Error("the HelmChart was deleted; want it to stay, for its labels name no owner")
	}
	hr.Status.HelmChart = w.Namespace + "/" + w.source.Name
	if err := w.Client.Status().Update(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	if !w.Get(w.source) {
		t.Error("the HelmChart went with the HelmRelease; want it to stay")
	}
}
