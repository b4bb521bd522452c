package kustomization_test

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/testplane"
)

func substitute(post kustomizev1.PostBuild) func(*kustomizev1.KustomizationSpec) {
	return func(s *kustomizev1.KustomizationSpec) { s.PostBuild = &post }
}

func TestVariablesAreReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"COLOUR": "blue", "SIZE": "small"}}
	w.Create(settings)
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secrets"}, StringData: map[string]string{"SIZE": "medium", "TOKEN": "s3cret"}})
	ks := w.kustomization("app", "", substitute(kustomizev1.PostBuild{
		Substitute: map[string]string{"TOKEN": "inline"},
		SubstituteFrom: []kustomizev1.SubstituteReference{
			{Kind: "ConfigMap", Name: "settings"}, {Kind: "Secret", Name: "secrets"}, {Kind: "Secret", Name: "none", Optional: true},
		},
	}))
	w.waitApplied(ks, w.publish(map[string]string{
		"a.yaml": configMapYAML("a", "k", "${COLOUR} ${SIZE} ${TOKEN} ${OTHER:=default} $${LITERAL} $PLAIN"),
	}))
	cm := w.configMap("a")
	w.Get(cm)
	if want := "blue medium inline default ${LITERAL} $PLAIN"; cm.Data["k"] != want {
		t.Errorf("the ConfigMap has %q; want %q", cm.Data["k"], want)
	}

	// A value changes: nobody waits for the interval of an hour, and nothing is read twice.
	w.settle()
	w.Traffic.Reset()
	w.Patch(settings, "test", "data: {COLOUR: red}")
	w.Wait("the new value", cm, func() bool { return strings.HasPrefix(cm.Data["k"], "red ") })
	w.settle()
	reads := func(r testplane.Request) bool {
		return r.Method == http.MethodGet && !r.Watch && (r.Resource == "secrets" || strings.HasSuffix(r.Path, "/configmaps/"+settings.Name))
	}
	if n := w.Traffic.Count(reads); n != 0 {
		t.Errorf("%d variables were read from the API server; want none, they are followed", n)
	}

	// What is optional comes.
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "none"}, StringData: map[string]string{"OTHER": "came"}})
	w.Wait("the value that came", cm, func() bool { return strings.Contains(cm.Data["k"], " came ") })
}

// TestDriftTellsNoVariablesOfSecrets: what a build has put from a Secret into another object is
// not told by who puts it back.
func TestDriftTellsNoVariablesOfSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secrets"}, StringData: map[string]string{"TOKEN": "do-not-tell"}})
	ks := w.kustomization("app", "", substitute(kustomizev1.PostBuild{
		SubstituteFrom: []kustomizev1.SubstituteReference{{Kind: "Secret", Name: "secrets"}},
	}))
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "token=${TOKEN}")}))
	w.settle()
	w.Patch(w.configMap("a"), "night-shift", "data: {k: changed}")
	e := w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected, "night-shift", `data.k "token=***" -> "changed"`)
	for key, value := range e.Annotations {
		if strings.Contains(value, "do-not-tell") {
			t.Errorf("the annotation %s of the event is %q", key, value)
		}
	}
}

// TestErrorsTellNoVariablesOfSecrets: what is refused is quoted by who refuses it.
func TestErrorsTellNoVariablesOfSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secrets"}, StringData: map[string]string{"TOKEN": "do-not-tell", "BROKEN": "[do-not-tell"}})
	ks := w.kustomization("app", "", substitute(kustomizev1.PostBuild{
		SubstituteFrom: []kustomizev1.SubstituteReference{{Kind: "Secret", Name: "secrets"}},
	}))
	for reason, manifest := range map[string]string{
		kustomizev1.ReasonReconciliationFailed: "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: NS}\nspec:\n  clusterIP: ${TOKEN}\n  ports: [{port: 80}]\n",
		kustomizev1.ReasonBuildFailed:          "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: NS}\ndata:\n  k: ${BROKEN}\n",
	} {
		w.publish(map[string]string{"s.yaml": manifest})
		c := w.WaitCondition(ks, kustomizev1.ConditionReady, "False", reason)
		w.waitEvent(ks, corev1.EventTypeWarning, reason)
		for _, text := range append(messages(w.events(ks)), c.Message) {
			if strings.Contains(text, "do-not-tell") {
				t.Errorf("%q tells a value of the Secret", text)
			}
		}
		if reason == kustomizev1.ReasonReconciliationFailed && !strings.Contains(c.Message, `"***"`) {
			t.Errorf("Ready says %q; want it to say what is refused, masked", c.Message)
		}
	}
}

func TestVariablesThatCannotBeReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "${COLOUR}")})
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bad"}, StringData: map[string]string{"bad-name": "s3cret"}})
	from := func(name string) kustomizev1.PostBuild {
		return kustomizev1.PostBuild{SubstituteFrom: []kustomizev1.SubstituteReference{{Kind: "Secret", Name: name}}}
	}
	for name, tc := range map[string]struct {
		post kustomizev1.PostBuild
		want []string
	}{
		"unset":   {post: kustomizev1.PostBuild{SubstituteStrategy: kustomizev1.SubstituteAlways}, want: []string{"variable not set (strict mode)", "COLOUR"}},
		"missing": {post: from("gone"), want: []string{"substitute from 'Secret/gone' error", `secrets "gone" not found`}},
		"invalid": {post: from("bad"), want: []string{"bad-name"}},
	} {
		ks := w.kustomization(name, "", substitute(tc.post))
		w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonBuildFailed)
		for _, part := range tc.want {
			if !strings.Contains(readyMessage(ks), part) {
				t.Errorf("%s: Ready says %q; want it to say %q", name, readyMessage(ks), part)
			}
		}
		if strings.Contains(readyMessage(ks), "s3cret") {
			t.Errorf("%s: Ready says %q, with a value of a Secret", name, readyMessage(ks))
		}
	}
}

func TestStrictSubstitutionCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--feature-gates=StrictPostBuildSubstitutions=false")
	ks := w.kustomization("app", "", substitute(kustomizev1.PostBuild{SubstituteStrategy: kustomizev1.SubstituteAlways}))
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "<${COLOUR}>")}))
	cm := w.configMap("a")
	if w.Get(cm); cm.Data["k"] != "<>" {
		t.Errorf("the ConfigMap has %q; want <>", cm.Data["k"])
	}
}
