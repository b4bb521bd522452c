package helmchart_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/source-controller/internal/helm/helmtest"
	"weir.dev/source-controller/internal/sourcetest"
)

// world is a plane with a chart server and a source-controller.
type world struct {
	*sourcetest.World
	server *helmtest.Server
}

// newWorld starts a controller. More flags may be given to it.
func newWorld(t *testing.T, opts helmtest.Options, flags ...string) *world {
	t.Helper()
	w := &world{World: sourcetest.Prepare(t, helmtest.Run), server: helmtest.Start(t, opts)}
	w.Start(flags...)
	return w
}

// repo creates the HelmRepository "charts" of the server, which adjust may change.
func (w *world) repo(adjust ...func(*sourcev1.HelmRepositorySpec)) *sourcev1.HelmRepository {
	w.T.Helper()
	repo := &sourcev1.HelmRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "charts"},
		Spec:       sourcev1.HelmRepositorySpec{URL: w.server.Repo(), Interval: metav1.Duration{Duration: time.Hour}},
	}
	for _, f := range adjust {
		f(&repo.Spec)
	}
	w.Create(repo)
	return repo
}

// chart creates a HelmChart of the chart "demo" in the HelmRepository "charts", which
// adjust may change.
func (w *world) chart(name string, adjust ...func(*sourcev1.HelmChartSpec)) *sourcev1.HelmChart {
	w.T.Helper()
	c := &sourcev1.HelmChart{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: sourcev1.HelmChartSpec{
			Chart: "demo", Interval: metav1.Duration{Duration: time.Hour},
			SourceRef: sourcev1.LocalHelmChartSourceReference{Kind: sourcev1.HelmRepositoryKind, Name: "charts"},
		},
	}
	for _, f := range adjust {
		f(&c.Spec)
	}
	w.Create(c)
	return c
}

// of makes a chart that of another source.
func of(kind, name, path string) func(*sourcev1.HelmChartSpec) {
	return func(s *sourcev1.HelmChartSpec) {
		s.SourceRef = sourcev1.LocalHelmChartSourceReference{Kind: kind, Name: name}
		s.Chart = path
	}
}

// version is the version of a spec.
func version(v string) func(*sourcev1.HelmChartSpec) {
	return func(s *sourcev1.HelmChartSpec) { s.Version = v }
}

// values are the values files of a spec.
func values(files ...string) func(*sourcev1.HelmChartSpec) {
	return func(s *sourcev1.HelmChartSpec) { s.ValuesFiles = files }
}

// often is an interval that lets a test see several runs.
func often(s *sourcev1.HelmChartSpec) { s.Interval = metav1.Duration{Duration: 300 * time.Millisecond} }

// git creates the GitRepository "fleet", whose controller is the test.
func (w *world) git(revision string, files map[string]string) *sourcev1.GitRepository {
	w.T.Helper()
	repo := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet"},
		Spec:       sourcev1.GitRepositorySpec{URL: "https://git.example.com/fleet", Interval: metav1.Duration{Duration: time.Hour}},
	}
	w.Create(repo)
	w.commit(repo, revision, files)
	return repo
}

// commit publishes a tree as the artifact of a GitRepository.
func (w *world) commit(repo *sourcev1.GitRepository, revision string, files map[string]string) {
	w.T.Helper()
	var out bytes.Buffer
	a := archive.NewWriter(&out, archive.Limits{})
	for _, name := range slices.SortedFunc(maps.Keys(files), archive.Compare) {
		if err := a.File(name, false, int64(len(files[name])), strings.NewReader(files[name])); err != nil {
			w.T.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		w.T.Fatal(err)
	}
	path := fmt.Sprintf("gitrepository/%s/%s/%s.tar.gz", repo.Namespace, repo.Name, revision[strings.LastIndexByte(revision, ':')+1:])
	file := filepath.Join(w.Dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		w.T.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		w.T.Fatal(err)
	}
	base := repo.DeepCopy()
	size := int64(out.Len())
	repo.Status.Artifact = &meta.Artifact{
		Path: path, URL: "http://example.com/" + path, Revision: revision, Digest: sourcetest.Digest(out.Bytes()), Size: &size, LastUpdateTime: metav1.Now(),
	}
	if err := w.Client.Status().Patch(w.T.Context(), repo, client.MergeFrom(base)); err != nil {
		w.T.Fatal(err)
	}
}

// files returns the content of the published chart, without the name of its folder.
func (w *world) files(c *sourcev1.HelmChart) map[string]string {
	w.T.Helper()
	out := make(map[string]string)
	for name, content := range w.Content(c) {
		_, below, _ := strings.Cut(name, "/")
		out[below] = content
	}
	return out
}

// waitFailed waits until a condition and Ready say that something is wrong, in words
// that have all the parts.
func (w *world) waitFailed(c *sourcev1.HelmChart, conditionType, reason string, parts ...string) {
	w.T.Helper()
	w.Wait(conditionType+" "+reason, c, func() bool {
		why, ready := conditions.Get(c, conditionType), conditions.Get(c, meta.ReadyCondition)
		return why != nil && why.Status == metav1.ConditionTrue && why.Reason == reason && ready != nil && ready.Status == metav1.ConditionFalse &&
			ready.Reason == reason && ready.Message == why.Message && sourcetest.Says(why.Message, parts...)
	})
}

// prefixed puts files into a folder.
func prefixed(folder string, files map[string]string) map[string]string {
	out := make(map[string]string, len(files))
	for name, content := range files {
		out[folder+"/"+name] = content
	}
	return out
}

// merged is all files of several trees.
func merged(trees ...map[string]string) map[string]string {
	out := make(map[string]string)
	for _, tree := range trees {
		maps.Copy(out, tree)
	}
	return out
}

// Runs counts the runs of a chart so far, by the metric that every run ends with.
func (w *world) Runs(c *sourcev1.HelmChart) int {
	w.T.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	if err != nil {
		w.T.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "gotk_reconcile_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] == w.Namespace && labels["name"] == c.Name && labels["kind"] == sourcev1.HelmChartKind {
				return int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}
