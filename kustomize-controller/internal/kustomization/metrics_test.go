package kustomization

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/drift"
	"weir.dev/pkg/manifest"
)

// collect returns the samples of a metric by their labels: values, and of histograms how
// many there were.
func collect(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	ch := make(chan prometheus.Metric, 100)
	c.Collect(ch)
	close(ch)
	out := make(map[string]float64)
	for m := range ch {
		var sample dto.Metric
		if err := m.Write(&sample); err != nil {
			t.Fatal(err)
		}
		key := ""
		for _, l := range sample.GetLabel() {
			key += l.GetName() + "=" + l.GetValue() + " "
		}
		switch {
		case sample.GetHistogram() != nil:
			out[key] = float64(sample.GetHistogram().GetSampleCount())
		case sample.GetCounter() != nil:
			out[key] = sample.GetCounter().GetValue()
		default:
			out[key] = sample.GetGauge().GetValue()
		}
	}
	return out
}

func TestDriftIsCountedByKindAndManager(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	web := manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	m.restored(restoration{id: web, taken: []drift.Change{{Path: "spec.replicas", Manager: "kubectl-edit"}, {Path: "spec.paused", Manager: "kubectl-edit"}}}, time.Second)
	m.restored(restoration{id: web, taken: []drift.Change{{Path: "spec.replicas", Manager: "kubectl-edit"}, {Path: "spec.paused", Manager: "bot"}}}, time.Second)
	m.restored(restoration{id: web, taken: []drift.Change{{Path: "spec.replicas"}}}, 0)
	m.restored(restoration{id: web}, time.Second)
	want := map[string]float64{
		"kind=Deployment manager=kubectl-edit ": 2, "kind=Deployment manager=bot ": 1, "kind=Deployment manager=unknown ": 2,
	}
	if diff := cmp.Diff(want, collect(t, m.drift)); diff != "" {
		t.Errorf("weir_drift_total (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"": 3}, collect(t, m.restore)); diff != "" {
		t.Errorf("weir_drift_restore_seconds, of which one was not timed (-want +got):\n%s", diff)
	}
}

func TestStagesAreToldUntilTheKustomizationGoes(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	app, other := types.NamespacedName{Namespace: "a", Name: "app"}, types.NamespacedName{Namespace: "a", Name: "other"}
	m.applied(app, timings{waiting: time.Second, building: 2 * time.Second})
	m.applied(other, timings{applying: 3 * time.Second})
	m.forget(app)
	want := map[string]float64{
		"name=other namespace=a stage=waiting ": 0, "name=other namespace=a stage=building ": 0, "name=other namespace=a stage=validating ": 0,
		"name=other namespace=a stage=applying ": 3, "name=other namespace=a stage=becomingHealthy ": 0,
	}
	if diff := cmp.Diff(want, collect(t, m.last)); diff != "" {
		t.Errorf("weir_kustomization_last_stage_seconds (-want +got):\n%s", diff)
	}
	if got := collect(t, m.stages)["stage=building "]; got != 2 {
		t.Errorf("building was observed %v times; want 2", got)
	}
}
