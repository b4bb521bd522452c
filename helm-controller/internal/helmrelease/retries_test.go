package helmrelease_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
	"weir.dev/pkg/testplane"
)

// TestResetGivesAnotherAttempt: what was missing is there by now, which nobody else tells.
func TestResetGivesAnotherAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	target := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace + "-target"}}
	hr := w.release("app", retries(1), func(s *helmv2.HelmReleaseSpec) { s.TargetNamespace, s.ReleaseName = target.Name, "app" })
	stalled := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	if want := "Failed to install after 2 attempt(s)"; stalled.Message != want {
		t.Errorf("Stalled says %q; want %q", stalled.Message, want)
	}
	c := conditions.Get(hr, helmv2.ConditionReady)
	if c.Reason != helmv2.ReasonInstallFailed || !strings.Contains(c.Message, target.Name) {
		t.Errorf("Ready is %s: %s; want it to name the namespace", c.Reason, c.Message)
	}
	if err := w.Client.Create(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Client.Delete(context.WithoutCancel(t.Context()), target); err != nil {
			t.Errorf("deleting namespace %s: %v", target.Name, err)
		}
	})

	w.settle()
	allow := w.Traffic.Forbid(testplane.Writes("configmaps", "secrets"))
	w.Poke(hr) // to be asked for a run is not to be given another attempt
	w.WaitHandled(hr)
	allow()
	if w.Get(hr); !conditions.IsStalled(hr) || hr.Status.InstallFailures != 2 {
		t.Errorf("status is %+v; want it to be stalled with its failures", hr.Status)
	}

	token := w.ask(hr, helmv2.ResetRequestAnnotation)
	w.Wait("Ready", hr, func() bool { return ready(hr) && hr.Status.LastHandledResetAt == token })
	if st := hr.Status; st.InstallFailures != 0 || st.UpgradeFailures != 0 || st.Failures != 0 || conditions.IsStalled(hr) {
		t.Errorf("status is %+v; want no failure to count", st)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target.Name, Name: "app"}}
	if !w.Get(cm) || cm.Data["k"] != "1" {
		t.Errorf("the ConfigMap is %v; want it to be in the target namespace", cm.Data)
	}
}

// migrating is a chart with a hook before upgrades, which never ends if k is "stuck".
func migrating(t *testing.T, version string) *charttest.Chart {
	t.Helper()
	return demo(t, version, "templates/migrate.yaml", `apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-migrate
  annotations: {helm.sh/hook: pre-upgrade}
spec:
  backoffLimit: 0
  template:
    spec:
      {{- if eq .Values.k "stuck" }}
      nodeSelector: {nowhere: 'true'}
      {{- end }}
      restartPolicy: Never
      containers: [{name: main, image: example.com/main}]
`)
}

// TestHookThatNeverEnds ends with its time, and what keeps its Pod is told. The release is
// that of before as far as anybody can see, and the next spec is carried out.
func TestHookThatNeverEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(migrating(t, "1.0.0"))
	hr := w.release("app", values("k: good"))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: stuck"), func(s *helmv2.HelmReleaseSpec) {
		s.Upgrade = &helmv2.Upgrade{Timeout: &metav1.Duration{Duration: 3 * time.Second}}
	})
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonUpgradeFailed)
	for _, part := range []string{"pre-upgrade", "not ended after 3s", "Job/" + w.Namespace + "/app-migrate", "Unschedulable"} {
		if !strings.Contains(c.Message, part) {
			t.Errorf("Ready says %q; want it to say %q", c.Message, part)
		}
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonUpgradeFailed, "Unschedulable", "Last Helm logs:")
	w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	w.expectValue("app", "good")

	w.change(hr, values("k: better"), func(s *helmv2.HelmReleaseSpec) { s.Upgrade = nil }) // the Job of the failed hook makes way
	w.waitReleased(hr, 3)
	w.expectValue("app", "better")
}

// TestDeletionDoesNotWaitForAHook that never ends.
func TestDeletionDoesNotWaitForAHook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(migrating(t, "1.0.0"))
	hr := w.release("app", values("k: good"))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: stuck"))
	w.waitUnderWay(hr, "upgrade")
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	if w.Get(w.configMap("app")) || len(w.stored("app")) > 0 {
		t.Errorf("the release is left: stored are %q", w.stored("app"))
	}
}

// tgz is an archive of files.
func tgz(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestWhatIsNoChart leaves the release of before alone.
func TestWhatIsNoChart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		content func(t *testing.T) []byte
		want    string
	}{
		"no archive": {
			why: "a proxy may answer with a page", content: func(*testing.T) []byte { return []byte("<html>Please log in</html>") }, want: "could not load chart",
		},
		"without Chart.yaml": {
			why:     "it may be any package",
			content: func(t *testing.T) []byte { return tgz(t, map[string]string{"demo/README.md": "nothing"}) }, want: "Chart.yaml",
		},
		"a Chart.yaml of nothing": {
			why:     "it has no name",
			content: func(t *testing.T) []byte { return tgz(t, map[string]string{"demo/Chart.yaml": "apiVersion: v2\n"}) }, want: "name",
		},
	}
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w.offer(w.source, w.charts.PublishBytes("demo-2.0.0.tgz", "2.0.0", tc.content(t)))
			w.Wait("it to be told", hr, func() bool {
				return conditions.GetReason(hr, helmv2.ConditionReady) == helmv2.ReasonArtifactFailed && strings.Contains(readyMessage(hr), tc.want)
			})
			if !strings.Contains(readyMessage(hr), "could not load chart") {
				t.Errorf("Ready says %q; want it to say what was tried (%s)", readyMessage(hr), tc.why)
			}
			w.expectValue("app", "1")
		})
	}
	// A file of values that the chart does not have is for the source to tell.
	conditions.MarkStalled(w.source, "BuildFailed", "values files merge error: no values file found at path 'missing.yaml'")
	if err := w.Client.Status().Update(t.Context(), w.source); err != nil {
		t.Fatal(err)
	}
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonSourceNotReady)
	w.waitMessage(hr, helmv2.ConditionReady, "no values file found at path 'missing.yaml'")
	conditions.Delete(w.source, meta.StalledCondition)
	if err := w.Client.Status().Update(t.Context(), w.source); err != nil {
		t.Fatal(err)
	}
	w.publish(demo(t, "2.1.0"))
	w.waitReleased(hr, 2)
	if diff := cmp.Diff([]string{"1 superseded", "2 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// TestNewSpecSaysWhyTheWaitEnded: to be cut off is no failure of the release.
func TestNewSpecSaysWhyTheWaitEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gates("CancelHealthCheckOnNewRevision"))
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: stuck"))
	w.waitUnderWay(hr, "install")
	w.change(hr, values("k: good"))
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonHealthCheckCanceled, "Helm install failed for release "+w.Namespace+"/app", "newer revision")
	w.Wait("Ready", hr, func() bool { return ready(hr) })
	if hr.Status.InstallFailures != 0 {
		t.Errorf("%d failures of installs; want none to count", hr.Status.InstallFailures)
	}
}
