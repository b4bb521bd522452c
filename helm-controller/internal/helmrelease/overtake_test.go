package helmrelease

import (
	"context"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
)

// offering answers with a HelmChart.
type offering struct {
	client.Reader
	chart *sourcev1.HelmChart
}

func (o offering) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	o.chart.DeepCopyInto(obj.(*sourcev1.HelmChart))
	return nil
}

// TestOvertaken: only what makes another release ends the wait for one.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	begun := work{of: inputs{generation: 2}, revision: "1.0.0"}
	tests := map[string]struct {
		why    string
		change func(*helmv2.HelmRelease, *sourcev1.HelmChart)
		want   bool
	}{
		"nothing new":    {change: func(*helmv2.HelmRelease, *sourcev1.HelmChart) {}},
		"a new spec":     {change: func(hr *helmv2.HelmRelease, _ *sourcev1.HelmChart) { hr.Generation = 3 }, want: true},
		"a new revision": {change: func(_ *helmv2.HelmRelease, c *sourcev1.HelmChart) { c.Status.Artifact.Revision = "1.1.0" }, want: true},
		"the same, packed anew": {
			why:    "a chart of the same version makes no release",
			change: func(_ *helmv2.HelmRelease, c *sourcev1.HelmChart) { c.Status.Artifact.Digest = "sha256:2" },
		},
		"a source that is not ready": {
			why: "it may come to offer the same again",
			change: func(_ *helmv2.HelmRelease, c *sourcev1.HelmChart) {
				c.Generation, c.Status.Artifact.Revision = 2, "1.1.0"
			},
		},
	}
	for name, tc := range tests {
		hr, chart := a(), &sourcev1.HelmChart{}
		chart.Generation, chart.Status.ObservedGeneration = 1, 1
		chart.Status.Artifact = &meta.Artifact{Revision: "1.0.0", Digest: "sha256:1"}
		tc.change(hr, chart)
		r := &Reconciler{live: offering{chart: chart}, opts: Options{DirectSources: true}}
		if got := r.overtaken(t.Context(), hr, &begun); got != tc.want {
			t.Errorf("%s: overtaken = %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}
