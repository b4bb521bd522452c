package helmrelease_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
)

// from has the chart come from another source.
func from(kind, name string) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) {
		s.ChartRef = &helmv2.CrossNamespaceSourceReference{Kind: kind, Name: name}
	}
}

func TestDigestOfAnOCIArtifactIsPartOfTheVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repo := &sourcev1.OCIRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "oci"},
		Spec:       sourcev1.OCIRepositorySpec{URL: "oci://registry.example.com/demo", Interval: metav1.Duration{Duration: time.Hour}},
	}
	w.Create(repo)
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	publish := func(revision string) {
		artifact := w.charts.Publish(demo(t, "1.0.0"))
		artifact.Revision = revision
		w.Get(repo)
		repo.Status.Artifact, repo.Status.ObservedGeneration = artifact, repo.Generation
		if err := w.Client.Status().Update(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
	}
	publish("1.0.0@" + digest)
	hr := w.release("app", from(sourcev1.OCIRepositoryKind, "oci"))
	w.waitReleased(hr, 1)
	last, st := hr.Status.History.Latest(), hr.Status
	if last.ChartVersion != "1.0.0+0123456789ab" || st.LastAttemptedRevision != last.ChartVersion || last.OCIDigest != digest || st.LastAttemptedRevisionDigest != digest {
		t.Errorf("snapshot %+v, attempted %s %s; want the version with the digest, and the digest", last, st.LastAttemptedRevision, st.LastAttemptedRevisionDigest)
	}
	e := w.waitEvent(hr, "Normal", helmv2.ReasonInstallSucceeded)
	if got := e.Annotations["helm.toolkit.fluxcd.io/oci-digest"]; got != digest {
		t.Errorf("the event is about digest %q; want %q", got, digest)
	}
	publish("2.0.0@" + digest)
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonChartMutateError)
	if !strings.Contains(c.Message, "artifact revision 2.0.0 does not match chart version 1.0.0") {
		t.Errorf("Ready says %q; want both versions", c.Message)
	}
}

func TestExternalArtifactTakesItsGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hr := w.release("app", from(sourcev1.ExternalArtifactKind, "external"))
	c := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonFeatureGateDisabled)
	if !strings.Contains(c.Message, "--feature-gates=ExternalArtifact=true") {
		t.Errorf("Stalled says %q; want it to say what to do", c.Message)
	}
	w.stop()
	w.start("--feature-gates=ExternalArtifact=true")
	external := &sourcev1.ExternalArtifact{ObjectMeta: metav1.ObjectMeta{Name: "external"}}
	w.Create(external)
	external.Status.Artifact = w.charts.Publish(demo(t, "1.0.0"))
	if err := w.Client.Status().Update(t.Context(), external); err != nil {
		t.Fatal(err)
	}
	w.waitReleased(hr, 1)
}

func TestSourceOfAnotherNamespaceIsRefusedByFlag(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--no-cross-namespace-refs")
	ref := w.release("ref", func(s *helmv2.HelmReleaseSpec) { s.ChartRef.Namespace = "default" })
	made := w.release("template", template, func(s *helmv2.HelmReleaseSpec) { s.Chart.Spec.SourceRef.Namespace = "default" })
	for hr, what := range map[*helmv2.HelmRelease]string{ref: "HelmChart/default/source", made: "HelmRepository/default/charts"} {
		c := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonAccessDenied)
		if want := "can't access '" + what + "', cross-namespace references have been blocked"; c.Message != want {
			t.Errorf("Stalled says %q; want %q", c.Message, want)
		}
	}
	if made.Status.HelmChart != "" {
		t.Errorf("status.helmChart is %q; want none to be made", made.Status.HelmChart)
	}
}

func TestSourceThatIsNotReadyIsAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	later := w.release("later", from(sourcev1.HelmChartKind, "later"))
	w.waitMessage(later, helmv2.ConditionReady, "HelmChart '"+w.Namespace+"/later' not found")
	chart := w.helmChart("later")
	w.waitMessage(later, helmv2.ConditionReady, "HelmChart '"+w.Namespace+"/later' is not ready: latest generation of object has not been reconciled")
	w.offer(chart, nil)
	w.waitMessage(later, helmv2.ConditionReady, "is not ready: does not have an artifact")
	w.offer(chart, w.charts.Publish(demo(t, "1.0.0")))
	w.waitReleased(later, 1) // at once, not after an interval
}

func TestChartThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--requeue-dependency=1s")
	chart := w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.charts.Break(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("these are not the bytes")) })
	next := w.charts.Publish(demo(t, "1.1.0"))
	w.offer(w.source, next)
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonArtifactFailed)
	w.waitMessage(hr, helmv2.ConditionReady, "digest")
	w.charts.Break(nil)
	w.charts.Withdraw(next)
	w.waitMessage(hr, helmv2.ConditionReady, "Source artifact not found, retrying in 1s")
	w.expectValue("app", "1")
	w.offer(w.source, chart)
	w.Wait("the chart of before", hr, func() bool { return ready(hr) })
	if v := hr.Status.History.Latest().Version; v != 1 {
		t.Errorf("release %d; want none to be made", v)
	}
	w.publish(demo(t, "1.1.0"))
	w.waitReleased(hr, 2)
}

func TestOneChartIsReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	artifact := w.publish(demo(t, "1.0.0"))
	var all []*helmv2.HelmRelease
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		all = append(all, w.release(name))
	}
	for _, hr := range all {
		w.waitReleased(hr, 1)
	}
	if n := w.charts.Downloads(artifact); n != 1 {
		t.Errorf("the chart was downloaded %d times; want once", n)
	}
	if conditions.IsStalled(all[0]) {
		t.Error("it is stalled")
	}
}
