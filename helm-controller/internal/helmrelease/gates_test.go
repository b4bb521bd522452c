package helmrelease_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/testplane"
)

// gates is the flag that turns features on.
func gates(names ...string) string {
	return "--feature-gates=" + strings.Join(names, "=true,") + "=true"
}

// TestSourcesAreReadDirectlyByGate: otherwise the watch of them is enough.
func TestSourcesAreReadDirectlyByGate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		flags []string
		reads bool
	}{
		"by default":  {},
		"by the gate": {flags: []string{gates("DirectSourceFetch")}, reads: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.flags...)
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app")
			w.waitReleased(hr, 1)
			w.settle()
			w.Traffic.Reset()
			w.Poke(hr)
			w.WaitHandled(hr)
			n := w.Traffic.Count(func(r testplane.Request) bool {
				return r.Resource == "helmcharts" && r.Method == http.MethodGet && !r.Watch && strings.HasSuffix(r.Path, "/"+w.source.Name)
			})
			if (n > 0) != tc.reads {
				t.Errorf("the source was read %d times past the cache; want that to be so: %t", n, tc.reads)
			}
			w.publish(demo(t, "1.1.0"))
			w.waitReleased(hr, 2)
		})
	}
}

// TestDigestOfAnOCIArtifactIsLeftOutByGate of the version, but not of the history.
func TestDigestOfAnOCIArtifactIsLeftOutByGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gates("DisableChartDigestTracking"))
	repo := &sourcev1.OCIRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "oci"},
		Spec:       sourcev1.OCIRepositorySpec{URL: "oci://registry.example.com/demo", Interval: metav1.Duration{Duration: time.Hour}},
	}
	w.Create(repo)
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	artifact := w.charts.Publish(demo(t, "1.0.0"))
	artifact.Revision = "1.0.0@" + digest
	repo.Status.Artifact, repo.Status.ObservedGeneration = artifact, repo.Generation
	if err := w.Client.Status().Update(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	hr := w.release("app", from(sourcev1.OCIRepositoryKind, "oci"))
	w.waitReleased(hr, 1)
	if last := hr.Status.History.Latest(); last.ChartVersion != "1.0.0" || last.OCIDigest != digest || hr.Status.LastAttemptedRevision != "1.0.0" || hr.Status.LastAttemptedRevisionDigest != digest {
		t.Errorf("snapshot %+v, attempted %s %s; want the plain version, and the digest beside it", last, hr.Status.LastAttemptedRevision, hr.Status.LastAttemptedRevisionDigest)
	}
	cm := w.configMap("app")
	if w.Get(cm); cm.Data["chart"] != "1.0.0" {
		t.Errorf("the chart was rendered as version %q; want 1.0.0", cm.Data["chart"])
	}
}

// TestTemplatesLookUpNamesByGate only. What is looked up is an address, which needs no
// server.
func TestTemplatesLookUpNamesByGate(t *testing.T) {
	t.Parallel()
	for want, flags := range map[string][]string{"": nil, "127.0.0.1": {gates("AllowDNSLookups")}} {
		t.Run("it is "+want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, flags...)
			w.publish(demo(t, "1.0.0", "templates/dns.yaml",
				"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: dns}\ndata: {k: {{ getHostByName \"127.0.0.1\" | quote }}}\n"))
			w.waitReleased(w.release("app"), 1)
			w.expectValue("dns", want)
		})
	}
}

// TestDefaultsOfHelm3ByGate: objects are written client-side, hooks are not post-rendered,
// and what is waited for is ready by other rules.
func TestDefaultsOfHelm3ByGate(t *testing.T) {
	t.Parallel()
	type facts struct {
		Wrote   metav1.ManagedFieldsOperationType // by which operation
		Patched bool                              // the hook is
		Waited  bool                              // by expressions, which Helm 3 does not know
	}
	for name, tc := range map[string]struct {
		flags []string
		want  facts
	}{
		"by default":  {want: facts{Wrote: metav1.ManagedFieldsOperationApply, Patched: true, Waited: true}},
		"by the gate": {flags: []string{gates("UseHelm3Defaults")}, want: facts{Wrote: metav1.ManagedFieldsOperationUpdate}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.flags...)
			w.publish(demo(t, "1.0.0", "templates/hook.yaml", hookOf("hook", "pre-install")))
			hr := w.release("app", values("k: flickers"), checks(lamps()), func(s *helmv2.HelmReleaseSpec) {
				s.PostRenderers = []helmv2.PostRenderer{{Kustomize: &helmv2.Kustomize{Patches: []kustomize.Patch{{
					Target: &kustomize.Selector{Kind: "ConfigMap"},
					Patch:  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: any, labels: {patched: 'yes'}}\n",
				}}}}}
			})
			var got facts
			cm, hook := w.configMap("app"), w.configMap("hook")
			w.Wait("the ConfigMap", cm, func() bool { return cm.Labels["patched"] == "yes" })
			if w.Get(hook); hook.Labels["patched"] == "yes" {
				got.Patched = true
			}
			for _, f := range cm.ManagedFields {
				if f.Manager == us {
					got.Wrote = f.Operation
				}
			}
			if tc.want.Waited {
				w.waitUnderWay(hr, "install")
				got.Waited = true
				w.light("app", "on")
			}
			w.waitReleased(hr, 1)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("what was done (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFailuresAreRetriedByGate where the spec does not say what is to become of them.
func TestFailuresAreRetriedByGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gates("DefaultToRetryOnFailure"))
	w.publish(refusable(t, "1.0.0"))
	silent := w.release("silent", values("k: Not_A_Name"))
	says := w.release("says", values("k: Not_A_Name"), func(s *helmv2.HelmReleaseSpec) {
		s.Install = &helmv2.Install{Strategy: &helmv2.InstallStrategy{Name: helmv2.StrategyRemediateOnFailure}}
	})
	w.WaitCondition(says, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	w.WaitCondition(silent, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
	w.WaitCondition(silent, helmv2.ConditionReconciling, metav1.ConditionTrue, helmv2.ReasonProgressingWithRetry)
	w.settle() // the interval of retries is minutes
	if conditions.IsStalled(silent) || conditions.Has(silent, helmv2.ConditionRemediated) {
		t.Errorf("conditions are %+v; want it neither to stall nor to be remediated", silent.Status.Conditions)
	}
	if diff := cmp.Diff([]string{"1 failed"}, w.stored("silent")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	w.change(silent, values("k: good"))
	w.waitReleased(silent, 2)
}

// TestDriftIsLookedForByGate where the spec says nothing of it.
func TestDriftIsLookedForByGate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		gates []string
		value string // what becomes of the change
	}{
		"detected":  {why: "it is told, and left", gates: []string{"DetectDrift"}, value: "5"},
		"corrected": {why: "it is told, and put back", gates: []string{"DetectDrift", "CorrectDrift"}, value: "1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gates(tc.gates...))
			w.publish(demo(t, "1.0.0"))
			silent, says := w.release("silent"), w.release("says", drift(helmv2.DriftDetectionDisabled))
			for _, hr := range []*helmv2.HelmRelease{silent, says} {
				w.waitReleased(hr, 1)
			}
			w.WaitCondition(silent, helmv2.ConditionDrifted, metav1.ConditionFalse, helmv2.ReasonNoDriftDetected)
			w.settle()
			w.light("says", "5")
			w.light("silent", "5")
			if tc.value == "1" {
				w.waitEvent(silent, corev1.EventTypeNormal, helmv2.ReasonDriftCorrected, "by somebody")
			} else {
				w.WaitCondition(silent, helmv2.ConditionDrifted, metav1.ConditionTrue, helmv2.ReasonDriftDetected)
				w.waitEvent(silent, corev1.EventTypeWarning, helmv2.ReasonDriftDetected, "by somebody")
			}
			w.lookAgain(says)
			w.expectValue("silent", tc.value)
			w.expectValue("says", "5") // for that is what its spec says
			if conditions.Has(says, helmv2.ConditionDrifted) {
				t.Errorf("Drifted is there where detection is disabled (%s)", tc.why)
			}
		})
	}
}

// TestConfigsAreNotFollowedByGate: they are read by each run, and ask for none.
func TestConfigsAreNotFollowedByGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gates("DisableConfigWatchers"))
	w.publish(demo(t, "1.0.0"))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "more"}, StringData: map[string]string{"values.yaml": "k: one\n"}}
	w.Create(secret)
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.ValuesFrom = []meta.ValuesReference{{Kind: "Secret", Name: "more"}} })
	w.waitReleased(hr, 1)
	w.expectValue("app", "one")
	w.settle()
	runs := w.runs(hr)
	w.Patch(secret, "test", "stringData: {values.yaml: 'k: two'}")
	w.settle()
	if now := w.runs(hr); now != runs {
		t.Errorf("there were %d more runs; want none to be asked for", now-runs)
	}
	w.expectValue("app", "one")
	w.Poke(hr)
	w.waitReleased(hr, 2)
	w.expectValue("app", "two")
}
