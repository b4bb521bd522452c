package helmchart_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/helm/helmtest"
)

// TestPublishesAsRecorded publishes the chart that a Flux installation published, and
// compares status, bytes and event with what was recorded of it.
func TestPublishesAsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	demo, err := os.ReadFile("testdata/demo-1.2.3.tgz")
	if err != nil {
		t.Fatal(err)
	}
	w.server.Add("demo", "1.2.3", demo)
	repo := w.repo()
	var recorded sourcev1.HelmChart
	data, err := os.ReadFile(filepath.Join(testplane.Root(t), "api/source/v1/testdata/recorded/helmchart-defaults.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &recorded); err != nil {
		t.Fatal(err)
	}
	c := &sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Name: recorded.Name, Labels: recorded.Labels}, Spec: recorded.Spec}
	w.Create(c)
	w.WaitPublished(c, "1.2.3")
	w.WaitReady(repo)

	host, _, _ := strings.Cut(c.Status.Artifact.URL, "helmchart/")
	dir := "helmchart/" + w.Namespace + "/" + recorded.Name + "/"
	want, got := recorded.Status.DeepCopy(), c.Status.DeepCopy()
	want.URL, want.ObservedSourceArtifactRevision = host+dir+"latest.tar.gz", repo.Status.Artifact.Revision
	want.Artifact.Path, want.Artifact.URL, want.Artifact.LastUpdateTime = dir+"demo-1.2.3.tgz", host+dir+"demo-1.2.3.tgz", got.Artifact.LastUpdateTime
	for _, list := range [][]metav1.Condition{want.Conditions, got.Conditions} {
		for i := range list {
			list[i].LastTransitionTime = metav1.Time{}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-recorded +got):\n%s", diff)
	}
	e := w.WaitEvent(c, corev1.EventTypeNormal, sourcev1.ReasonChartPullSucceeded)
	wantMeta := map[string]string{"source.toolkit.fluxcd.io/revision": "1.2.3", "source.toolkit.fluxcd.io/digest": recorded.Status.Artifact.Digest}
	if diff := cmp.Diff(wantMeta, e.Annotations); diff != "" || e.Message != "pulled 'demo' chart with version '1.2.3'" {
		t.Errorf("the event says %q; metadata (-want +got):\n%s", e.Message, diff)
	}
}

func TestPicksTheVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	for _, v := range []string{"1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1"} {
		w.server.AddChart("demo", v, nil)
	}
	w.repo()
	tests := map[string]struct{ want, picked string }{
		"any":        {"*", "1.10.0"},
		"range":      {"<1.10", "1.2.0"},
		"exact":      {"1.0.0", "1.0.0"},
		"prerelease": {">=1.0.0-0", "2.0.0-rc.1"},
	}
	for name, tc := range tests {
		c := w.chart(name, version(tc.want))
		w.WaitPublished(c, tc.picked)
	}
}

// TestSteadyStateCostsNothing: no request to anybody while nothing changes.
func TestSteadyStateCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	w.repo()
	c := w.chart("demo", often)
	w.WaitPublished(c, "1.0.0")
	w.WaitEvent(c, corev1.EventTypeNormal, sourcev1.ReasonChartPullSucceeded)
	w.Settle()

	w.server.Reset()
	began := w.Runs(c)
	allow := w.Traffic.Forbid(testplane.Any)
	w.Eventually("four runs", func() bool { return w.Runs(c) >= began+4 })
	allow()
	if got := w.server.Requests(); len(got) != 0 {
		t.Errorf("runs made the requests %+v; want none", got)
	}
}

// TestFollowsTheRepository: a new version is published when the index has it, without
// anybody's help; an index that is new for other reasons costs no download.
func TestFollowsTheRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	repo := w.repo()
	c := w.chart("demo", version("1.x"))
	w.WaitPublished(c, "1.0.0")
	w.server.AddChart("other", "1.0.0", nil)
	w.Again(repo)
	w.Wait("the index is seen", c, func() bool { return c.Status.ObservedSourceArtifactRevision == repo.Status.Artifact.Revision })
	if n := w.server.Count("demo-1.0.0.tgz"); n != 1 {
		t.Errorf("the chart was downloaded %d times; want once", n)
	}

	w.server.AddChart("demo", "1.1.0", nil)
	w.Again(repo)
	w.WaitPublished(c, "1.1.0")
	if got := w.Stored(sourcev1.HelmChartKind, c); !cmp.Equal(got, []string{"demo-1.0.0.tgz", "demo-1.1.0.tgz", "latest.tar.gz"}) {
		t.Errorf("the storage has %q", got)
	}
}

func TestRestartDownloadsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	w.repo()
	pulled, packaged := w.chart("pulled"), w.chart("packaged", values("values-production.yaml"))
	w.WaitPublished(pulled, "1.0.0")
	w.WaitPublished(packaged, "1.0.0+1")
	w.Settle()
	w.server.Reset()
	w.Restart()
	w.Eventually("a look at the index", func() bool { return w.server.Count("index.yaml") == 1 })
	w.Again(pulled)
	w.Again(packaged)
	if n := w.server.Count(".tgz"); n != 0 {
		t.Errorf("%d charts were downloaded; want none", n)
	}
	w.WaitPublished(pulled, "1.0.0")
	w.WaitPublished(packaged, "1.0.0+1")
}

// TestMergesValues packages a chart of a repository with other values.
func TestMergesValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	w.repo()
	c := w.chart("demo", values("values.yaml", "./values-production.yaml"))
	w.WaitPublished(c, "1.0.0+1")
	files := w.files(c)
	if diff := cmp.Diff("extra:\n- 1\nimage:\n  tag: two\nreplicas: 1\n", files["values.yaml"]); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	for _, want := range []string{"version: 1.0.0+1\n", "appVersion: \"1.10\"\n"} {
		if !strings.Contains(files["Chart.yaml"], want) {
			t.Errorf("Chart.yaml is %q; want %q", files["Chart.yaml"], want)
		}
	}
	if want := "packaged 'demo' chart with version '1.0.0+1' and merged values files [values.yaml ./values-production.yaml]"; conditions.GetMessage(c, meta.ReadyCondition) != want {
		t.Errorf("Ready says %q; want %q", conditions.GetMessage(c, meta.ReadyCondition), want)
	}
	if got := conditions.GetReason(c, meta.ReadyCondition); got != sourcev1.ReasonChartPackageSucceeded {
		t.Errorf("the reason is %s", got)
	}
	again := w.chart("again", values("values.yaml", "./values-production.yaml"))
	w.WaitPublished(again, "1.0.0+1")
	if again.Status.Artifact.Digest != c.Status.Artifact.Digest {
		t.Error("the same chart has two digests")
	}

	own := w.chart("own", values("values.yaml"))
	w.WaitPublished(own, "1.0.0")
	if got := conditions.GetReason(own, meta.ReadyCondition); got != sourcev1.ReasonChartPullSucceeded {
		t.Errorf("with its own values, the reason is %s; want it as it was found", got)
	}
	w.Patch(c, "test", "spec: {valuesFiles: [values-production.yaml]}")
	w.WaitPublished(c, "1.0.0+2")
}

func TestMissingValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	repo := w.repo()
	c := w.chart("demo", values("values.yaml", "missing.yaml"))
	w.waitFailed(c, sourcev1.ConditionBuildFailed, sourcev1.ReasonValuesFilesError, "values files merge error: ", "no values file found at path 'missing.yaml'")
	if !conditions.IsStalled(c) {
		t.Error("want it Stalled: only another spec or chart can help")
	}
	w.Patch(c, "test", "spec: {ignoreMissingValuesFiles: true}")
	w.WaitPublished(c, "1.0.0+2")
	if diff := cmp.Diff([]string{"values.yaml"}, c.Status.ObservedValuesFiles); diff != "" {
		t.Errorf("observedValuesFiles (-want +got):\n%s", diff)
	}
	w.Patch(c, "test", "spec: {ignoreMissingValuesFiles: false}")
	w.waitFailed(c, sourcev1.ConditionBuildFailed, sourcev1.ReasonValuesFilesError)
	if c.Status.Artifact == nil || c.Status.Artifact.Revision != "1.0.0+2" {
		t.Errorf("the artifact is %v; want the one before", c.Status.Artifact)
	}
	w.server.AddChart("demo", "1.1.0", map[string]string{"missing.yaml": "a: b\n"})
	w.Again(repo)
	w.WaitPublished(c, "1.1.0+3")
}

func TestRefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	c := w.chart("demo", version("2.x"))
	w.waitFailed(c, sourcev1.ConditionFetchFailed, sourcev1.ReasonSourceUnavailable, "failed to get source: ")
	repo := w.repo()
	w.waitFailed(c, sourcev1.ConditionFetchFailed, sourcev1.ReasonInvalidChartReference, "invalid chart reference: ", "no 'demo' chart with version matching '2.x' found")
	if !conditions.IsStalled(c) || c.Status.ObservedGeneration != c.Generation {
		t.Error("want it Stalled until the index has it")
	}
	odd := w.chart("odd", func(s *sourcev1.HelmChartSpec) { s.Chart = "Demo_1" })
	w.waitFailed(odd, sourcev1.ConditionFetchFailed, sourcev1.ReasonInvalidChartReference, "invalid chart name 'Demo_1'")

	w.server.AddChart("demo", "2.0.0", nil)
	w.Again(repo)
	w.WaitPublished(c, "2.0.0")
}

func TestWaitsForAnArtifact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	w.server.Break("index.yaml", helmtest.Status(http.StatusBadGateway))
	repo := w.repo()
	w.WaitCondition(repo, meta.ReadyCondition, metav1.ConditionFalse, sourcev1.ReasonFailed)
	c := w.chart("demo")
	w.waitFailed(c, sourcev1.ConditionFetchFailed, sourcev1.ReasonNoSourceArtifact, "no artifact available for HelmRepository source 'charts'")
	for _, e := range w.Events(c) {
		if e.Type == corev1.EventTypeWarning {
			t.Errorf("the event %s %q; want none: it is not the turn of the chart", e.Reason, e.Message)
		}
	}
	w.server.Break("", nil)
	w.WaitPublished(c, "1.0.0")
}

func TestKeepsTheChartWhileTheServerFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault  http.HandlerFunc
		reason string
		says   []string
	}{
		"refuses":   {helmtest.Status(http.StatusUnauthorized), sourcev1.ReasonAuthenticationFailed, []string{"failed to authenticate with the Helm repository: ", "401"}},
		"is broken": {helmtest.Status(http.StatusInternalServerError), sourcev1.ReasonChartPullError, []string{"chart pull error: failed to download chart for remote reference: ", "500"}},
		"lost it":   {helmtest.Status(http.StatusNotFound), sourcev1.ReasonChartPullError, []string{"404"}},
		"garbage":   {helmtest.Garbage("hello"), sourcev1.ReasonChartPullError, []string{"not a valid chart"}},
		"cut":       {helmtest.Cut("hello"), sourcev1.ReasonChartPullError, []string{"reading the chart"}},
		"endless":   {helmtest.Endless(), sourcev1.ReasonChartPullError, []string{"too large", "100000 bytes"}},
	}
	w := newWorld(t, helmtest.Options{}, "--helm-chart-max-size=100000")
	w.server.AddChart("demo", "1.0.0", nil)
	repo := w.repo()
	c := w.chart("demo")
	w.WaitPublished(c, "1.0.0")
	w.server.AddChart("demo", "1.1.0", nil)
	for name, tc := range tests {
		w.server.Break("demo-1.1.0.tgz", tc.fault)
		w.Poke(repo)
		w.Poke(c)
		w.waitFailed(c, sourcev1.ConditionFetchFailed, tc.reason, tc.says...)
		if c.Status.Artifact == nil || c.Status.Artifact.Revision != "1.0.0" {
			t.Errorf("%s: the artifact is %v; want the one before", name, c.Status.Artifact)
		}
		w.Download(c)
	}
	w.server.Break("", nil)
	w.WaitPublished(c, "1.1.0")
}

// TestPassesCredentialsWhereTold downloads a chart that the index has on another host.
func TestPassesCredentialsWhereTold(t *testing.T) {
	t.Parallel()
	const user, password = "reader", "secret"
	for name, pass := range map[string]bool{"kept": false, "passed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := helmtest.Start(t, helmtest.Options{})
			w := newWorld(t, helmtest.Options{User: user, Password: password, OtherHost: other.Repo() + "/"})
			other.Add("demo", "1.0.0", w.server.AddChart("demo", "1.0.0", nil))
			w.repo(func(s *sourcev1.HelmRepositorySpec) {
				s.SecretRef = w.Secret("login", map[string]string{"username": user, "password": password})
				s.PassCredentials = pass
			})
			c := w.chart("demo")
			w.WaitPublished(c, "1.0.0")
			want := map[bool]string{true: user + ":" + password}[pass]
			for _, r := range other.Requests() {
				if r.Login != want {
					t.Errorf("the other host saw the login %q; want %q", r.Login, want)
				}
			}
			if other.Count("demo-1.0.0.tgz") != 1 {
				t.Errorf("the other host saw %+v; want one download", other.Requests())
			}
		})
	}
}

func TestMakesALostChartAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	w.repo()
	c := w.chart("demo")
	w.WaitPublished(c, "1.0.0")
	if err := os.Remove(w.File(c)); err != nil {
		t.Fatal(err)
	}
	w.Again(c)
	w.WaitPublished(c, "1.0.0")
	if err := w.Client.Delete(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(c)
	if left := w.Stored(sourcev1.HelmChartKind, c); len(left) != 0 {
		t.Errorf("the storage has %q; want nothing", left)
	}
}
