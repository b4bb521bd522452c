package helmrelease_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/testplane"
)

// TestForcedUpgradeThatFailsHasAnEnd: what a user asks for once is not stored, and rolled back, for
// ever, although the release is as it should be in between.
func TestForcedUpgradeThatFailsHasAnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.configMap("key")
	w.Create(key)
	// The hook fails once the ConfigMap is gone: then its name is none.
	hook := `{{ $name := "good" }}{{ if not (lookup "v1" "ConfigMap" .Release.Namespace "key") }}{{ $name = "Not_A_Name" }}{{ end }}
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ $name }}, annotations: {helm.sh/hook: post-upgrade}}
`
	w.publish(demo(t, "1.0.0", "templates/hook.yaml", hook))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
		s.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: 1}}
	})
	w.waitReleased(hr, 1)
	if err := w.Client.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.ask(hr, helmv2.ForceRequestAnnotation)
	w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	w.settle()
	want := []string{"1 superseded", "2 failed", "3 superseded", "4 failed", "5 deployed"}
	if diff := cmp.Diff(want, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// TestChangeDuringACorrectionIsUndone: nobody tells of it again, as it was seen in between.
func TestChangeDuringACorrectionIsUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "templates/other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {k: '1'}\n"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.settle()
	var once sync.Once
	w.Traffic.Break(func(r testplane.Request) error {
		if r.Write() && r.Path == fmt.Sprintf("/api/v1/namespaces/%s/configmaps/app", w.Namespace) {
			once.Do(func() { w.light("other", "5") })
		}
		return nil
	})
	w.light("app", "5")
	for _, name := range []string{"app", "other"} {
		cm := w.configMap(name)
		w.Wait("the value to be put back", cm, func() bool { return cm.Data["k"] == "1" })
	}
	w.WaitCondition(hr, helmv2.ConditionDrifted, metav1.ConditionFalse, helmv2.ReasonNoDriftDetected)
}
