package e2e_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/internal/stack"
)

const (
	helmController = "helm-controller"
	// chartName is that of the chart that tests publish.
	chartName = "shop"
)

// settingsTemplate is an object of the chart whose value is one of the values, and to be seen.
const settingsTemplate = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {key: {{ .Values.key | quote }}, chart: {{ .Chart.Version | quote }}}
`

// accountTemplate is an object of the chart that never changes.
const accountTemplate = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: account}\n"

// failingHook is a Job after an upgrade that fails, because no node takes its Pod in time.
const failingHook = `apiVersion: batch/v1
kind: Job
metadata:
  name: broken
  annotations: {helm.sh/hook: post-upgrade, helm.sh/hook-delete-policy: before-hook-creation}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: 1
  template:
    spec:
      restartPolicy: Never
      nodeSelector: {example.com/no-such-node: "true"}
      containers: [{name: main, image: example.com/job}]
`

// shop is a world with a Helm repository, whose releases tests follow.
type shop struct {
	*world
	charts *stack.Charts
}

// newShop makes a world with a Helm repository and the source-controller that looks at it.
func newShop(t *testing.T) *shop {
	t.Helper()
	w := newWorld(t)
	charts, err := w.stack.StartCharts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{world: w, charts: charts}
	w.startSource()
	return s
}

// publish publishes a version of the chart with templates by their name.
func (s *shop) publish(version string, templates map[string]string) {
	s.t.Helper()
	files := map[string]string{"values.yaml": "key: none\n"}
	for name, text := range templates {
		files["templates/"+name+".yaml"] = text
	}
	if err := s.charts.Publish(chartName, version, files); err != nil {
		s.t.Fatal(err)
	}
}

// sell makes the HelmRepository, and a HelmRelease of the chart, which adjust may change.
func (s *shop) sell(version string, adjust func(*helmv2.HelmReleaseSpec)) *helmv2.HelmRelease {
	s.t.Helper()
	s.Create(&sourcev1.HelmRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "charts"},
		Spec:       sourcev1.HelmRepositorySpec{URL: s.charts.URL, Interval: metav1.Duration{Duration: time.Second}},
	})
	hr := &helmv2.HelmRelease{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: helmv2.HelmReleaseSpec{
			Interval: metav1.Duration{Duration: time.Hour},
			Chart: &helmv2.HelmChartTemplate{Spec: helmv2.HelmChartTemplateSpec{
				Chart: chartName, Version: version,
				SourceRef: helmv2.CrossNamespaceObjectReference{Kind: sourcev1.HelmRepositoryKind, Name: "charts"},
			}},
			Values: keyValues("1"),
		},
	}
	adjust(&hr.Spec)
	s.Create(hr)
	return hr
}

func keyValues(key string) *apiextensionsv1.JSON {
	return &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, `{"key":%q}`, key)}
}

// startHelm starts a helm-controller. More may be given as to stack.Start.
func (w *world) startHelm(more ...string) *stack.Program {
	w.t.Helper()
	p, err := w.stack.HelmController(w.t.Context(), append(w.private(), more...)...)
	if err != nil {
		w.t.Fatalf("starting helm-controller: %v", err)
	}
	return p
}

// released reports whether hr, as last read, says that it is carried out with a version of
// the chart.
func released(hr *helmv2.HelmRelease, version string) bool {
	return hr.Status.ObservedGeneration == hr.Generation && conditions.IsTrue(hr, meta.ReadyCondition) &&
		len(hr.Status.History) > 0 && hr.Status.History[0].ChartVersion == version && hr.Status.History[0].Status == "deployed"
}

// waitReleased waits until hr says that it is carried out with a version of the chart, and
// checks that the value is live.
func (s *shop) waitReleased(hr *helmv2.HelmRelease, version, key string) {
	s.t.Helper()
	s.Wait("version "+version+" released", hr, func() bool { return released(hr, version) })
	s.checkSettings(version, key)
}

// checkSettings checks what is live of the chart.
func (s *shop) checkSettings(version, key string) {
	s.t.Helper()
	cm := s.settings()
	s.Get(cm)
	if diff := cmp.Diff(map[string]string{"key": key, "chart": version}, cm.Data); diff != "" {
		s.t.Errorf("the ConfigMap is not that of version %s with the value %s (-want +got):\n%s", version, key, diff)
	}
}

func (s *shop) settings() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "settings"}}
}

// stored returns the status of each stored release by its version.
func (s *shop) stored() map[int]string {
	s.t.Helper()
	var list corev1.SecretList
	if err := s.Client.List(s.t.Context(), &list, client.InNamespace(s.Namespace), client.MatchingLabels{"owner": "helm", "name": "app"}); err != nil {
		s.t.Fatal(err)
	}
	statuses := make(map[int]string)
	for _, secret := range list.Items {
		version, err := strconv.Atoi(secret.Labels["version"])
		if err != nil {
			s.t.Errorf("Secret %s: %v", secret.Name, err)
		}
		statuses[version] = secret.Labels["status"]
	}
	return statuses
}

// history returns the versions of the releases that the status has, with their statuses.
func history(hr *helmv2.HelmRelease) map[int]string {
	statuses := make(map[int]string)
	for _, snapshot := range hr.Status.History {
		statuses[snapshot.Version] = snapshot.Status
	}
	return statuses
}

// checkGone checks that nothing is left of a release.
func (s *shop) checkGone() {
	s.t.Helper()
	if left := s.stored(); len(left) > 0 {
		s.t.Errorf("these releases are still stored: %v", left)
	}
	// source-controller has a finalizer on it.
	s.WaitGone(&sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Namespace + "-app"}})
	s.checkObjects()
}

// checkObjects checks which objects say by their labels that they are of the HelmRelease.
func (s *shop) checkObjects(want ...string) {
	s.t.Helper()
	var maps corev1.ConfigMapList
	var accounts corev1.ServiceAccountList
	ours := client.MatchingLabels{helmv2.LabelName: "app", helmv2.LabelNamespace: s.Namespace}
	for _, list := range []client.ObjectList{&maps, &accounts} {
		if err := s.Client.List(s.t.Context(), list, client.InNamespace(s.Namespace), ours); err != nil {
			s.t.Fatal(err)
		}
	}
	var got []string
	for _, o := range maps.Items {
		got = append(got, o.Name)
	}
	for _, o := range accounts.Items {
		got = append(got, o.Name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("objects of the HelmRelease (-want +got):\n%s", diff)
	}
}

// TestChartGoesLive is what a user of charts does in a day.
func TestChartGoesLive(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startHelm()
	both := map[string]string{"settings": settingsTemplate, "account": accountTemplate}
	s.publish("1.0.0", both)
	hr := s.sell("1.x", func(spec *helmv2.HelmReleaseSpec) {
		always := true
		spec.DriftDetection = &helmv2.DriftDetection{Mode: helmv2.DriftDetectionEnabled}
		spec.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{RemediateLastFailure: &always}}
	})
	s.waitReleased(hr, "1.0.0", "1")

	s.Patch(hr, "user", "spec: {values: {key: \"2\"}}")
	s.Wait("the new value released", hr, func() bool { return released(hr, "1.0.0") && hr.Status.History[0].Version == 2 })
	s.checkSettings("1.0.0", "2")

	s.publish("1.1.0", both)
	s.waitReleased(hr, "1.1.0", "2")

	cm := s.settings()
	s.Patch(cm, "night-shift", "data: {key: red}")
	if cm.Data["key"] != "red" {
		t.Fatalf("the change by hand was not accepted: %v", cm.Data)
	}
	s.Wait("the value as it was", cm, func() bool { return cm.Data["key"] == "2" })
	s.waitTold(hr, "night-shift", `"red"`, "ConfigMap/"+s.Namespace+"/settings")

	s.publish("1.2.0", map[string]string{"settings": settingsTemplate, "account": accountTemplate, "hook": failingHook})
	s.Wait("the failing upgrade rolled back", hr, func() bool {
		return hr.Status.LastAttemptedRevision == "1.2.0" && conditions.IsTrue(hr, helmv2.ConditionRemediated) && conditions.IsFalse(hr, meta.ReadyCondition)
	})
	s.checkSettings("1.1.0", "2")
	if diff := cmp.Diff(map[int]string{1: "superseded", 2: "superseded", 3: "superseded", 4: "failed", 5: "deployed"}, s.stored()); diff != "" {
		t.Errorf("Helm's history after the rollback (-want +got):\n%s", diff)
	}

	s.publish("1.3.0", both)
	s.waitReleased(hr, "1.3.0", "2")

	s.remove(hr)
	s.checkLogs(helmController, helmv2.HelmReleaseKind)
}

// waitTold waits for an event about hr whose message has all the parts.
func (s *shop) waitTold(hr *helmv2.HelmRelease, parts ...string) {
	s.t.Helper()
	s.Eventually(fmt.Sprintf("an event with %q", parts), func() bool {
		var list corev1.EventList
		if err := s.Client.List(s.t.Context(), &list, client.InNamespace(s.Namespace)); err != nil {
			s.t.Fatal(err)
		}
		return slices.ContainsFunc(list.Items, func(e corev1.Event) bool {
			lacks := func(part string) bool { return !strings.Contains(e.Message, part) }
			return e.InvolvedObject.UID == hr.UID && !slices.ContainsFunc(parts, lacks)
		})
	})
}
