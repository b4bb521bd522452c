package kustomization_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

func ignore(paths ...string) func(*kustomizev1.KustomizationSpec) {
	return func(s *kustomizev1.KustomizationSpec) { s.Ignore = []kustomizev1.IgnoreRule{{Paths: paths}} }
}

func TestIgnoredFieldsAreLeftToOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := func(mine, theirs string) map[string]string {
		return map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: NS}\ndata: {mine: '" + mine + "', theirs: '" + theirs + "'}\n"}
	}
	ks := w.kustomization("app", "", ignore("/data/theirs"))
	w.waitApplied(ks, w.publish(two("1", "1")))
	cm := w.configMap("a")
	w.Get(cm)
	if cm.Data["theirs"] != "1" {
		t.Errorf("the ConfigMap was created with %v; want all that the source has", cm.Data)
	}
	w.settle()

	w.Patch(cm, "autoscaler", "data: {theirs: '5'}")
	w.settle()
	w.Patch(cm, "night-shift", "data: {mine: '5'}")
	w.Wait("our value is put back", cm, func() bool { return cm.Data["mine"] == "1" })
	if cm.Data["theirs"] != "5" {
		t.Errorf("the ConfigMap has %v after drift; want theirs to stay 5", cm.Data)
	}
	w.waitApplied(ks, w.publish(two("2", "2")))
	if w.Get(cm); cm.Data["mine"] != "2" || cm.Data["theirs"] != "5" {
		t.Errorf("the ConfigMap has %v after a change of both; want mine 2 and theirs 5", cm.Data)
	}

	// The rule goes, and with it the exception.
	w.Patch(ks, "test", "spec: {ignore: null}")
	w.Wait("the value of the source", cm, func() bool { return cm.Data["theirs"] == "2" })
}

func TestIgnoreRuleThatMeansNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", ignore("/data/a", "no pointer"))
	w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonBuildFailed)
	if want := "spec.ignore[0].paths[1]"; !strings.Contains(readyMessage(ks), want) {
		t.Errorf("Ready says %q; want it to name %s", readyMessage(ks), want)
	}
}
