package helmchart

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/helm"
)

// chartOf is a chart that is in order, of revision r1 of its source.
func chartOf() *sourcev1.HelmChart {
	return &sourcev1.HelmChart{
		ObjectMeta: metav1.ObjectMeta{Generation: 3},
		Status: sourcev1.HelmChartStatus{
			ObservedGeneration: 3, ObservedChartName: "demo", ObservedSourceArtifactRevision: "r1", Artifact: &meta.Artifact{Revision: "1.0.0"},
			Conditions: []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionTrue, ObservedGeneration: 3}},
		},
	}
}

func TestSettled(t *testing.T) {
	t.Parallel()
	source := &sourcev1.HelmRepository{Status: sourcev1.HelmRepositoryStatus{Artifact: &meta.Artifact{Revision: "r1"}}}
	tests := map[string]struct {
		why    string
		change func(*sourcev1.HelmChart)
		want   bool
	}{
		"in order":         {change: func(*sourcev1.HelmChart) {}, want: true},
		"no artifact":      {change: func(c *sourcev1.HelmChart) { c.Status.Artifact = nil }},
		"another revision": {change: func(c *sourcev1.HelmChart) { c.Status.ObservedSourceArtifactRevision = "r0" }},
		"a new spec":       {change: func(c *sourcev1.HelmChart) { c.Generation = 4 }},
		"a spec that was refused": {
			why:    "the artifact is of the spec before, although this one was observed",
			change: func(c *sourcev1.HelmChart) { c.Status.Conditions[0].Status = metav1.ConditionFalse },
		},
		"Ready for the spec before": {change: func(c *sourcev1.HelmChart) { c.Status.Conditions[0].ObservedGeneration = 2 }},
		"nothing known":             {change: func(c *sourcev1.HelmChart) { c.Status.Conditions = nil }},
	}
	for name, tc := range tests {
		c := chartOf()
		tc.change(c)
		if got := settled(c, source); got != tc.want {
			t.Errorf("%s: %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
	registry := source.DeepCopy()
	registry.Spec.Type = sourcev1.HelmRepositoryTypeOCI
	if settled(chartOf(), registry) {
		t.Error("a chart in a registry is settled by what the repository published once")
	}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change        func(*sourcev1.HelmChart)
		name, version string
		want          bool
	}{
		"the same":        {name: "demo", version: "1.0.0", want: true},
		"another version": {name: "demo", version: "1.0.1"},
		"another name":    {name: "other", version: "1.0.0"},
		"a new spec":      {change: func(c *sourcev1.HelmChart) { c.Generation++ }, name: "demo", version: "1.0.0"},
		"stalled": {change: func(c *sourcev1.HelmChart) {
			c.Status.Conditions = []metav1.Condition{{Type: meta.StalledCondition, Status: metav1.ConditionTrue}}
		}, name: "demo", version: "1.0.0"},
		"no artifact": {change: func(c *sourcev1.HelmChart) { c.Status.Artifact = nil }, name: "demo", version: "1.0.0"},
	}
	for name, tc := range tests {
		c := chartOf()
		if tc.change != nil {
			tc.change(c)
		}
		if got := current(c, tc.name, tc.version); got != tc.want {
			t.Errorf("%s: %t; want %t", name, got, tc.want)
		}
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	git := &sourcev1.GitRepository{Status: sourcev1.GitRepositoryStatus{Artifact: &meta.Artifact{Revision: "main@sha1:0123456789abcdef0123456789abcdef01234567"}}}
	bucket := &sourcev1.Bucket{Status: sourcev1.BucketStatus{Artifact: &meta.Artifact{Revision: "sha256:fedcba9876543210"}}}
	repo := &sourcev1.HelmRepository{Status: sourcev1.HelmRepositoryStatus{Artifact: &meta.Artifact{Revision: "sha256:fedcba9876543210"}}}
	revision := sourcev1.HelmChartSpec{ReconcileStrategy: sourcev1.ReconcileStrategyRevision}
	custom := sourcev1.HelmChartSpec{ValuesFiles: []string{"values.yaml", "b.yaml"}}
	both := sourcev1.HelmChartSpec{ReconcileStrategy: sourcev1.ReconcileStrategyRevision, ValuesFiles: []string{"b.yaml"}}
	tests := map[string]struct {
		spec          sourcev1.HelmChartSpec
		source        interface{ GetArtifact() *meta.Artifact }
		version, want string // no want is an error
	}{
		"as it is":              {source: git, version: "v1.0", want: "v1.0"},
		"its own values":        {spec: sourcev1.HelmChartSpec{ValuesFiles: []string{"values.yaml"}}, source: git, version: "1.0.0", want: "1.0.0"},
		"a commit":              {spec: revision, source: git, version: "1.0.0", want: "1.0.0+0123456789ab"},
		"a bucket":              {spec: revision, source: bucket, version: "1.0.0", want: "1.0.0+fedcba987654"},
		"a repository":          {spec: revision, source: repo, version: "1.0.0", want: "1.0.0"},
		"values":                {spec: custom, source: repo, version: "1.0.0", want: "1.0.0+3"},
		"both":                  {spec: both, source: git, version: "1.0.0-rc.1", want: "1.0.0-rc.1+0123456789ab.3"},
		"both, of a repository": {spec: both, source: repo, version: "1.0.0", want: "1.0.0+3"},
		"metadata":              {spec: custom, source: repo, version: "1.0.0+old", want: "1.0.0+3"},
		"what is no version":    {spec: custom, source: repo, version: "latest"},
	}
	for name, tc := range tests {
		c := &sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Generation: 3}, Spec: tc.spec}
		var got string
		var err error
		switch src := tc.source.(type) {
		case *sourcev1.GitRepository:
			got, err = wanted(c, src, tc.version)
		case *sourcev1.Bucket:
			got, err = wanted(c, src, tc.version)
		case *sourcev1.HelmRepository:
			got, err = wanted(c, src, tc.version)
		}
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tc.want)
		}
	}
}

// TestPublished: charts are woken by another artifact, not by other news.
func TestPublished(t *testing.T) {
	t.Parallel()
	now := metav1.NewTime(time.Unix(1_700_000_000, 0))
	with := func(change func(*sourcev1.GitRepository)) *sourcev1.GitRepository {
		repo := &sourcev1.GitRepository{Status: sourcev1.GitRepositoryStatus{Artifact: &meta.Artifact{Revision: "r1", Digest: "d1", LastUpdateTime: now}}}
		change(repo)
		return repo
	}
	same := with(func(*sourcev1.GitRepository) {})
	tests := map[string]struct {
		before, after *sourcev1.GitRepository
		want          bool
	}{
		"nothing new":      {same, with(func(r *sourcev1.GitRepository) { r.Status.ObservedGeneration = 7 }), false},
		"a new revision":   {same, with(func(r *sourcev1.GitRepository) { r.Status.Artifact.Revision = "r2" }), true},
		"other content":    {same, with(func(r *sourcev1.GitRepository) { r.Status.Artifact.Digest = "d2" }), true},
		"made anew":        {same, with(func(r *sourcev1.GitRepository) { r.Status.Artifact.LastUpdateTime = metav1.NewTime(now.Add(time.Hour)) }), true},
		"the first":        {&sourcev1.GitRepository{}, same, true},
		"the last is gone": {same, &sourcev1.GitRepository{}, false},
	}
	for name, tc := range tests {
		if got := published().Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.want {
			t.Errorf("%s: %t; want %t", name, got, tc.want)
		}
	}
}

// TestIndexesAreKept: as many as there may be, for as long as somebody uses them.
func TestIndexesAreKept(t *testing.T) {
	t.Parallel()
	reads := 0
	open := func() (io.ReadCloser, error) {
		reads++
		return io.NopCloser(bytes.NewReader([]byte(`{"apiVersion":"v1","entries":{"demo":[{"version":"1.0.0"}]}}`))), nil
	}
	repo := func(digest string) *sourcev1.HelmRepository {
		return &sourcev1.HelmRepository{Status: sourcev1.HelmRepositoryStatus{Artifact: &meta.Artifact{Digest: digest}}}
	}
	look := func(x *indexes, digest string, want int) {
		t.Helper()
		for name, n := range map[string]int{"demo": 1, "none": 0} {
			got, err := x.find(repo(digest), name, open)
			if err != nil || len(got) != n {
				t.Errorf("chart %q: %v, %v; want %d versions", name, got, err, n)
			}
		}
		if reads != want {
			t.Errorf("the index was read %d times; want %d", reads, want)
		}
	}
	none := newIndexes(helm.Options{})
	look(none, "a", 2)

	reads = 0
	two := newIndexes(helm.Options{CacheMaxSize: 2})
	hits, misses := 0, 0
	two.count = func(_ *sourcev1.HelmRepository, hit bool) {
		if hit {
			hits++
			return
		}
		misses++
	}
	look(two, "a", 1)
	look(two, "b", 2)
	look(two, "a", 2)
	look(two, "c", 3) // in place of b
	look(two, "a", 3)
	look(two, "b", 4)
	two.drop(time.Now().Add(time.Hour))
	look(two, "b", 5)
	if hits != 9 || misses != 5 {
		t.Errorf("%d hits and %d misses were counted; want 9 and 5", hits, misses)
	}
}
