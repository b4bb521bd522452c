package helmrelease_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/helm-controller/internal/charttest"
	"weir.dev/helm-controller/internal/program"
	"weir.dev/pkg/testplane"
)

// us is the field manager of what is applied, which is Flux's.
const us = "helm-controller"

// world is a plane with a helm-controller and a source whose charts the test publishes
// itself.
type world struct {
	*testplane.Plane
	t      *testing.T
	charts *charttest.Server
	source *sourcev1.HelmChart // of the HelmReleases that are made by release
	stop   func()              // the controller
}

// newWorld starts a controller. More flags may be given to it.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := prepareWorld(t)
	w.start(flags...)
	return w
}

// prepareWorld is newWorld without a controller.
func prepareWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Plane: testplane.Start(t), t: t, charts: charttest.Serve(t)}
	w.source = w.helmChart("source")
	return w
}

// start starts a controller, which does not wait long for actions when it ends.
func (w *world) start(flags ...string) {
	w.t.Helper()
	w.stop = w.Run(us, program.Run, append([]string{"--graceful-shutdown-timeout=1s", "--http-retry=0"}, flags...)...)
}

// helmChart creates a HelmChart, whose status the test writes.
func (w *world) helmChart(name string) *sourcev1.HelmChart {
	w.t.Helper()
	chart := &sourcev1.HelmChart{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: sourcev1.HelmChartSpec{
			Chart: "demo", Interval: metav1.Duration{Duration: time.Hour},
			SourceRef: sourcev1.LocalHelmChartSourceReference{Kind: sourcev1.HelmRepositoryKind, Name: "charts"},
		},
	}
	w.Create(chart)
	return chart
}

// publish makes a chart what the source offers.
func (w *world) publish(chart *charttest.Chart) *meta.Artifact {
	w.t.Helper()
	artifact := w.charts.Publish(chart)
	w.offer(w.source, artifact)
	return artifact
}

// offer makes an artifact that of a HelmChart.
func (w *world) offer(source *sourcev1.HelmChart, artifact *meta.Artifact) {
	w.t.Helper()
	w.Get(source)
	source.Status.Artifact, source.Status.ObservedGeneration = artifact, source.Generation
	conditions.MarkTrue(source, meta.ReadyCondition, "ChartPullSucceeded", "pulled")
	if err := w.Client.Status().Update(w.t.Context(), source); err != nil {
		w.t.Fatal(err)
	}
}

// demo is a chart of one ConfigMap, whose key k has the value k.
func demo(t *testing.T, version string, more ...string) *charttest.Chart {
	t.Helper()
	files := map[string]string{
		"values.yaml":       "k: \"1\"\n",
		"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  k: {{ .Values.k | quote }}\n  chart: {{ .Chart.Version }}\n",
	}
	for i := 0; i+1 < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return charttest.New(t, "demo", version, files)
}

// release makes a HelmRelease of the source, which adjust may change.
func (w *world) release(name string, adjust ...func(*helmv2.HelmReleaseSpec)) *helmv2.HelmRelease {
	w.t.Helper()
	hr := &helmv2.HelmRelease{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: helmv2.HelmReleaseSpec{
			Interval: metav1.Duration{Duration: time.Hour},
			ChartRef: &helmv2.CrossNamespaceSourceReference{Kind: sourcev1.HelmChartKind, Name: w.source.Name},
		},
	}
	for _, f := range adjust {
		f(&hr.Spec)
	}
	w.Create(hr)
	return hr
}

// values sets those of a spec, as YAML.
func values(text string) func(*helmv2.HelmReleaseSpec) {
	data, err := yaml.YAMLToJSON([]byte(text))
	return func(s *helmv2.HelmReleaseSpec) {
		if err != nil {
			panic(err)
		}
		s.Values = &apiextensionsv1.JSON{Raw: data}
	}
}

// change changes the spec of a HelmRelease.
func (w *world) change(hr *helmv2.HelmRelease, change ...func(*helmv2.HelmReleaseSpec)) {
	w.t.Helper()
	w.Get(hr)
	before := hr.DeepCopy()
	for _, f := range change {
		f(&hr.Spec)
	}
	if err := w.Client.Patch(w.t.Context(), hr, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// waitReleased waits until a version of the release of hr is there, and hr is Ready.
func (w *world) waitReleased(hr *helmv2.HelmRelease, version int) {
	w.t.Helper()
	w.Wait(fmt.Sprintf("release %d", version), hr, func() bool {
		last := hr.Status.History.Latest()
		return last != nil && last.Version == version && ready(hr) && hr.Status.ObservedGeneration == hr.Generation
	})
}

func ready(hr *helmv2.HelmRelease) bool {
	c := conditions.Get(hr, helmv2.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == hr.Generation
}

// waitMessage waits until a condition says something.
func (w *world) waitMessage(hr *helmv2.HelmRelease, conditionType, message string) {
	w.t.Helper()
	w.Wait(conditionType+" says "+message, hr, func() bool { return strings.Contains(conditions.GetMessage(hr, conditionType), message) })
}

// waitEvent waits for an event about hr whose message has all the parts, and returns it.
func (w *world) waitEvent(hr *helmv2.HelmRelease, kind, reason string, parts ...string) corev1.Event {
	w.t.Helper()
	var found corev1.Event
	w.Eventually(fmt.Sprintf("an event %s %s with %q", kind, reason, parts), func() bool {
		for _, e := range w.events(hr) {
			if e.Type == kind && e.Reason == reason && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(e.Message, part) }) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// events are those about hr, in the order in which they happened.
func (w *world) events(hr *helmv2.HelmRelease) []corev1.Event {
	w.t.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.UID != hr.UID })
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return strings.Compare(a.Name, b.Name) })
	return list.Items
}

// configMap is a ConfigMap of the test's namespace, to be read.
func (w *world) configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
}

// expectValue fails the test unless a ConfigMap has a value under k.
func (w *world) expectValue(name, want string) {
	w.t.Helper()
	cm := w.configMap(name)
	if !w.Get(cm) || cm.Data["k"] != want {
		w.t.Errorf("ConfigMap %s is %v; want k=%s", name, cm.Data, want)
	}
}

// stored are the Secrets of a release: their versions with the status, the oldest first.
func (w *world) stored(release string) []string {
	w.t.Helper()
	var list corev1.SecretList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(w.Namespace), client.MatchingLabels{"owner": "helm", "name": release}); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, s := range list.Items {
		out = append(out, s.Labels["version"]+" "+s.Labels["status"])
	}
	slices.Sort(out)
	return out
}

// settle waits until the controller asks nothing for a while, so that what comes next is not
// mixed up with what came before. That nothing comes is no proof: see lookAgain.
func (w *world) settle() {
	w.t.Helper()
	seen, since := -1, time.Now()
	w.Eventually("the controller to be done", func() bool {
		if n := w.Traffic.Count(testplane.Any); n != seen || w.Traffic.Open() > 0 {
			seen, since = n, time.Now()
		}
		return time.Since(since) > 700*time.Millisecond
	})
}

// lookAgain has a run of hr come to its end, with all that it begins. What is still as it was
// then was not missed for want of time.
func (w *world) lookAgain(hr *helmv2.HelmRelease) {
	w.t.Helper()
	w.Poke(hr)
	w.WaitHandled(hr)
}

// history is that of a status, in short.
func history(hr *helmv2.HelmRelease) []string {
	var out []string
	for _, s := range hr.Status.History {
		out = append(out, fmt.Sprintf("%d %s %s by %s", s.Version, s.ChartVersion, s.Status, s.Action))
	}
	return out
}

// readsOf matches requests for one HelmRelease, which the controller has in a cache.
func readsOf(hr *helmv2.HelmRelease) func(testplane.Request) bool {
	return func(r testplane.Request) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.Path, "/helmreleases/"+hr.Name)
	}
}
