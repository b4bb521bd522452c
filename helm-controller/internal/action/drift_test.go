package action_test

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/testplane"
)

// detecting asks for drift detection.
func detecting(ignore ...helmv2.IgnoreRule) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) {
		s.DriftDetection = &helmv2.DriftDetection{Mode: helmv2.DriftDetectionEnabled, Ignore: ignore}
	}
}

// found observes the release, which must be in a state.
func (w *world) found(want state.State) observe.Found {
	w.t.Helper()
	found, err := w.observe()
	if err != nil {
		w.t.Fatalf("observing: %v", err)
	}
	if found.State != want {
		w.t.Fatalf("the release is %s (%s), want %s", found.State, found.Why, want)
	}
	return found
}

// change sets the value of a ConfigMap, as somebody else, and waits until that is noticed.
func (w *world) change(name, value string) {
	w.t.Helper()
	before := w.process.woken.count()
	w.Patch(w.configMap(name), "somebody", "data: {k: '"+value+"'}")
	w.Eventually("the drift is noticed", func() bool { return w.process.woken.count() > before })
}

func (w *world) configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
}

// TestSteadyStateAsksNothing: as long as nothing changes, nobody asks the API server.
func TestSteadyStateAsksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, detecting())
	w.must(plan.Install)
	w.found(state.InSync)
	w.Traffic.Forbid(testplane.Any)
	for range 3 {
		w.found(state.InSync)
	}
}

// TestRestingAsksNothing: what is not as it should be, and is left so, costs nothing either.
func TestRestingAsksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, detecting())
	w.must(plan.Install)
	w.values = map[string]any{"value": "two"}
	w.found(state.OutOfSync)
	rest := func(want state.State) {
		t.Helper()
		allow := w.Traffic.Forbid(testplane.Any)
		defer allow()
		for range 2 {
			w.found(want)
		}
	}
	rest(state.OutOfSync)
	w.templates = append(w.templates, refused)
	w.do(plan.Upgrade)
	w.found(state.Failed)
	rest(state.Failed)
}

// TestRestartWritesNothing: what another process has left is looked at once, and then known.
func TestRestartWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, detecting())
	w.must(plan.Install)
	w.restart()
	allow := w.Traffic.Forbid(testplane.Writes())
	w.found(state.InSync)
	allow()
	w.Traffic.Forbid(testplane.Any)
	w.found(state.InSync)
}

// TestDriftIsCorrected: a value is back, and there is no new release.
func TestDriftIsCorrected(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*world){
		"at once":         func(*world) {},
		"after a restart": (*world).restart,
	}
	for name, after := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, detecting())
			w.must(plan.Install)
			w.found(state.InSync)
			w.change("settings", "taken")
			if err := w.Client.Delete(t.Context(), w.configMap("fixed")); err != nil {
				t.Fatal(err)
			}
			w.Eventually("the deletion is noticed", func() bool { return w.process.woken.count() > 1 })
			after(w)
			found := w.found(state.Drifted)
			w.is("drift", effects(found.Drift.Changes()), "ConfigMap fixed created", "ConfigMap settings configured")
			res := w.correct(found)
			w.is("changes", effects(res), "ConfigMap fixed created", "ConfigMap settings configured")
			w.is("stored", w.stored(), "1 deployed")
			if w.value("settings") != "one" || w.value("fixed") != "same" {
				t.Errorf("the values are %q and %q", w.value("settings"), w.value("fixed"))
			}
			w.found(state.InSync)
		})
	}
}

// TestDriftThatDoesNotCount: what the user says to leave alone is left alone.
func TestDriftThatDoesNotCount(t *testing.T) {
	t.Parallel()
	paths := func(kind, path string) helmv2.IgnoreRule {
		return helmv2.IgnoreRule{Paths: []string{path}, Target: &kustomize.Selector{Kind: kind}}
	}
	tests := map[string]struct {
		why    string
		spec   func(*helmv2.HelmReleaseSpec)
		before func(*world)
		live   string // annotation set beside the change
		want   state.State
	}{
		"a field":              {why: "", spec: detecting(paths("ConfigMap", "/data/k")), want: state.InSync},
		"a field of others":    {why: "the rule is not about it", spec: detecting(paths("Secret", "/data/k")), want: state.Drifted},
		"an object":            {why: "an empty path is the whole", spec: detecting(paths("ConfigMap", "")), want: state.InSync},
		"an object of others":  {why: "the rule is not about it", spec: detecting(paths("Secret", "")), want: state.Drifted},
		"no detection":         {why: "nobody looks", spec: func(*helmv2.HelmReleaseSpec) {}, want: state.InSync},
		"disabled, by a label": {why: "in the chart", spec: detecting(), before: disabled(`labels: {helm.toolkit.fluxcd.io/driftDetection: disabled}`), want: state.InSync},
		"disabled, annotated":  {why: "in the chart", spec: detecting(), before: disabled(`annotations: {helm.toolkit.fluxcd.io/driftDetection: disabled}`), want: state.InSync},
		"disabled, live":       {why: "in the cluster", spec: detecting(), live: "disabled", want: state.InSync},
		"enabled, live":        {why: "another value says nothing", spec: detecting(), live: "enabled", want: state.Drifted},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.spec)
			if tc.before != nil {
				tc.before(w)
			}
			w.must(plan.Install)
			w.found(state.InSync)
			patch := "data: {k: taken}"
			if tc.live != "" {
				patch += "\nmetadata: {annotations: {helm.toolkit.fluxcd.io/driftDetection: " + tc.live + "}}"
			}
			w.Patch(w.configMap("settings"), "somebody", patch)
			if tc.want == state.Drifted || tc.live != "" {
				w.Eventually("the change is noticed", func() bool { return w.process.woken.count() > 0 })
			}
			w.found(tc.want)
			if tc.want == state.Drifted {
				return
			}
			w.restart()
			w.found(state.InSync)
			w.Traffic.Forbid(testplane.Any)
			w.found(state.InSync)
		})
	}
}

// disabled has the ConfigMap of the chart ask for no drift detection.
func disabled(metadata string) func(*world) {
	return func(w *world) { w.templates[0] = configMap("settings", "{{ .Values.value }}", metadata) }
}

// TestDriftCountsAgain: who takes back that an object is to be left alone has it restored.
func TestDriftCountsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, detecting())
	w.must(plan.Install)
	w.found(state.InSync)
	w.Patch(w.configMap("settings"), "somebody", "data: {k: taken}\nmetadata: {annotations: {helm.toolkit.fluxcd.io/driftDetection: disabled}}")
	w.Eventually("the change is noticed", func() bool { return w.process.woken.count() > 0 })
	w.found(state.InSync)
	w.Patch(w.configMap("settings"), "somebody", "metadata: {annotations: {helm.toolkit.fluxcd.io/driftDetection: null}}")
	w.Eventually("it counts again", func() bool {
		found, err := w.observe()
		return err == nil && found.State == state.Drifted
	})
	w.correct(w.found(state.Drifted))
	if got := w.value("settings"); got != "one" {
		t.Errorf("the value is %q", got)
	}
}

// TestUpgradeOfAnIgnoredField: what is ignored as drift is not ignored as a wish.
func TestUpgradeOfAnIgnoredField(t *testing.T) {
	t.Parallel()
	w := newWorld(t, detecting(helmv2.IgnoreRule{Paths: []string{"/data/k"}}))
	w.must(plan.Install)
	w.found(state.InSync)
	w.Patch(w.configMap("settings"), "somebody", "data: {k: taken}")
	w.found(state.InSync)
	w.values = map[string]any{"value": "two"}
	w.must(plan.Upgrade)
	if got := w.value("settings"); got != "two" {
		t.Errorf("the value is %q", got)
	}
}

// TestUnmanaged: what helm does by hand is noticed, and what it did before is adopted.
func TestUnmanaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(plan.Install)
	w.found(state.InSync)
	theirs := w.hr.Status.DeepCopy()
	w.values = map[string]any{"value": "by hand"}
	w.must(plan.Upgrade)
	w.hr.Status, w.values = *theirs, map[string]any{"value": "one"}
	w.restart()
	if found := w.found(state.Unmanaged); len(found.Recovered) > 0 {
		t.Errorf("it was taken for ours: %+v", found.Recovered)
	}
	w.hr.Status.History = nil
	w.must(plan.Upgrade)
	w.is("stored", w.stored(), "3 deployed", "2 superseded", "1 superseded")
	w.found(state.InSync)
	if got := w.value("settings"); got != "one" {
		t.Errorf("the value is %q", got)
	}
}

// TestUpgradeAfterALook sends no object that is as it was, also if fields of it are ignored by
// drift detection. What others have written there stays as long as the object does.
func TestUpgradeAfterALook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, detecting(helmv2.IgnoreRule{Paths: []string{"/data/k"}}))
	w.must(plan.Install)
	w.found(state.InSync)
	w.Patch(w.configMap("fixed"), "somebody", "data: {k: taken}")
	w.found(state.InSync)
	w.values = map[string]any{"value": "two"}
	w.Traffic.Reset()
	res := w.must(plan.Upgrade)
	w.is("changes", effects(res.Changes), "ConfigMap settings configured")
	if n := w.Traffic.Count(func(r testplane.Request) bool { return r.Write() && strings.HasSuffix(r.Path, "/configmaps/fixed") }); n > 0 {
		t.Errorf("%d writes of an object that is as it was: %v", n, w.Traffic.Requests())
	}
	if got := w.value("fixed"); got != "taken" {
		t.Errorf("the ignored field is %q; want it to be left", got)
	}
}
