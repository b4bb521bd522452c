package helmrelease_test

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/helm-controller/internal/charttest"
)

// TestValuesOfTheLastReleaseArePreserved where that is asked for, and are no reason for
// another release.
func TestValuesOfTheLastReleaseArePreserved(t *testing.T) {
	t.Parallel()
	for name, preserve := range map[string]bool{"preserved": true, "not preserved": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app", values("k: first"), func(s *helmv2.HelmReleaseSpec) { s.Upgrade = &helmv2.Upgrade{PreserveValues: preserve} })
			w.waitReleased(hr, 1)
			w.change(hr, values("other: second"))
			w.waitReleased(hr, 2)
			want, value := map[string]any{"other": "second"}, "1"
			if preserve {
				want, value = map[string]any{"k": "first", "other": "second"}, "first"
			}
			if diff := cmp.Diff(want, w.newest("app").Config); diff != "" {
				t.Errorf("values of the release (-want +got):\n%s", diff)
			}
			w.expectValue("app", value)
			w.Poke(hr)
			w.WaitHandled(hr)
			if got := w.newest("app").Version; got != 2 {
				t.Errorf("release %d; want none to be made because of values that were preserved", got)
			}
		})
	}
}

// TestValuesComeFromMoreThanOnePlace: the later win, one that is missing may be so, and one
// that is literal is no list.
func TestValuesComeFromMoreThanOnePlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(charttest.New(t, "demo", "1.0.0", map[string]string{"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {{ .Values | toJson }}\n"}))
	w.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "first"}, Data: map[string]string{"values.yaml": "a: first\nb: first\nc: first\n"}})
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "second"}, StringData: map[string]string{"more": "b: second\nc: second\n", "password": "{p,a}=s"}})
	hr := w.release("app", values("c: third"), func(s *helmv2.HelmReleaseSpec) {
		s.ValuesFrom = []meta.ValuesReference{
			{Kind: "ConfigMap", Name: "first"},
			{Kind: "ConfigMap", Name: "missing", Optional: true},
			{Kind: "Secret", Name: "second", ValuesKey: "more"},
			{Kind: "Secret", Name: "second", ValuesKey: "missing", Optional: true},
			{Kind: "Secret", Name: "second", ValuesKey: "password", TargetPath: "d", Literal: true},
		}
	})
	w.waitReleased(hr, 1)
	cm := w.configMap("app")
	w.Get(cm)
	if diff := cmp.Diff(map[string]string{"a": "first", "b": "second", "c": "third", "d": "{p,a}=s"}, cm.Data); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	w.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "missing"}, Data: map[string]string{"values.yaml": "a: later\n"}})
	w.waitReleased(hr, 2)
	if w.Get(cm); cm.Data["a"] != "later" {
		t.Errorf("the ConfigMap has %v; want what is there by now", cm.Data)
	}
}

// TestHelmChartHasAllOfTheTemplate: source-controller reads it there.
func TestHelmChartHasAllOfTheTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
		s.ChartRef, s.Chart = nil, &helmv2.HelmChartTemplate{Spec: helmv2.HelmChartTemplateSpec{
			Chart: "charts/demo", Version: "1.x", Interval: &metav1.Duration{Duration: time.Minute}, ReconcileStrategy: "Revision",
			SourceRef:   helmv2.CrossNamespaceObjectReference{Kind: sourcev1.HelmRepositoryKind, Name: "fleet", Namespace: w.Namespace},
			ValuesFiles: []string{"values.yaml", "values-production.yaml"}, IgnoreMissingValuesFiles: true,
			Verify: &helmv2.HelmChartTemplateVerification{Provider: "cosign", SecretRef: &meta.LocalObjectReference{Name: "keys"}},
		}}
	})
	chart := w.chartOf(hr)
	w.Wait("the HelmChart", chart, func() bool { return true })
	want := sourcev1.HelmChartSpec{
		Chart: "charts/demo", Version: "1.x", Interval: metav1.Duration{Duration: time.Minute}, ReconcileStrategy: sourcev1.ReconcileStrategyRevision,
		SourceRef:   sourcev1.LocalHelmChartSourceReference{Kind: sourcev1.HelmRepositoryKind, Name: "fleet"},
		ValuesFiles: []string{"values.yaml", "values-production.yaml"}, IgnoreMissingValuesFiles: true,
		Verify: &sourcev1.HelmChartVerification{Provider: "cosign", SecretRef: &meta.LocalObjectReference{Name: "keys"}},
	}
	if diff := cmp.Diff(want, chart.Spec); diff != "" {
		t.Errorf("HelmChart (-want +got):\n%s", diff)
	}
	w.change(hr, func(s *helmv2.HelmReleaseSpec) {
		s.Chart.Spec.ValuesFiles, s.Chart.Spec.IgnoreMissingValuesFiles, s.Chart.Spec.Verify, s.Chart.Spec.Interval = nil, false, nil, nil
	})
	w.Wait("the HelmChart to change", chart, func() bool {
		return len(chart.Spec.ValuesFiles) == 0 && !chart.Spec.IgnoreMissingValuesFiles && chart.Spec.Verify == nil && chart.Spec.Interval == hr.Spec.Interval
	})
}

// TestHooksGoThroughPostRenderers as the strategy says. What is common to all objects goes the
// same way.
func TestHooksGoThroughPostRenderers(t *testing.T) {
	t.Parallel()
	pod := "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: rc}\nspec: {replicas: 0, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: main, image: example.com/main:1}]}}}\n"
	tests := map[string]struct {
		strategy helmv2.PostRenderStrategy
		want     map[string]string // data.k and the label of the hook
	}{
		"unsaid":   {want: map[string]string{"k": "patched", "team": "a"}},
		"combined": {strategy: helmv2.PostRenderStrategyCombined, want: map[string]string{"k": "patched", "team": "a"}},
		"separate": {strategy: helmv2.PostRenderStrategySeparate, want: map[string]string{"k": "patched", "team": "a"}},
		"no hooks": {strategy: helmv2.PostRenderStrategyNoHooks, want: map[string]string{"k": "", "team": ""}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0", "templates/hook.yaml", hookMap("pre-install"), "templates/rc.yaml", pod))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
				s.PostRenderStrategy, s.CommonMetadata = tc.strategy, &helmv2.CommonMetadata{Labels: map[string]string{"team": "a"}}
				s.PostRenderers = []helmv2.PostRenderer{{Kustomize: &helmv2.Kustomize{
					Patches: []kustomize.Patch{{
						Patch:  "[{op: add, path: /data, value: {k: patched}}]",
						Target: &kustomize.Selector{Kind: "ConfigMap"},
					}},
					Images: []kustomize.Image{{Name: "example.com/main", NewTag: "2"}},
				}}}
			})
			w.waitReleased(hr, 1)
			hook := w.configMap("pre-install")
			w.Get(hook)
			if diff := cmp.Diff(tc.want, map[string]string{"k": hook.Data["k"], "team": hook.Labels["team"]}); diff != "" {
				t.Errorf("the hook (-want +got):\n%s", diff)
			}
			w.expectValue("app", "patched")
			rc := &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "rc"}}
			if w.Get(rc); rc.Labels["team"] != "a" || rc.Spec.Template.Labels["team"] != "" || rc.Spec.Template.Spec.Containers[0].Image != "example.com/main:2" {
				t.Errorf("the ReplicationController is %+v; want its label and its image to be those of the spec", rc)
			}
		})
	}
}
