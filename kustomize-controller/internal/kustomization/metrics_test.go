package kustomization

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/types"
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
		default:
			out[key] = sample.GetGauge().GetValue()
		}
	}
	return out
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
