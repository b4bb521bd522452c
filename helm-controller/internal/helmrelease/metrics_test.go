package helmrelease

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"weir.dev/helm-controller/internal/plan"
)

// samples are those of metrics by their labels: values, and of histograms how many there were.
func samples(t *testing.T, metrics ...prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			out[key] = m.GetGauge().GetValue()
			if h := m.GetHistogram(); h != nil {
				out[key] = float64(h.GetSampleCount())
			}
		}
	}
	return out
}

func TestActionsAreCountedByTheirEnd(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	m.acted(plan.Install, nil, time.Second)
	m.acted(plan.Upgrade, nil, time.Second)
	m.acted(plan.Upgrade, errors.New("refused"), time.Second)
	m.acted(plan.Upgrade, nil, time.Second)
	want := map[string]float64{
		"weir_helm_action_seconds action=install succeeded=true":  1,
		"weir_helm_action_seconds action=upgrade succeeded=true":  2,
		"weir_helm_action_seconds action=upgrade succeeded=false": 1,
	}
	if diff := cmp.Diff(want, samples(t, m.actions)); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

func TestJobsThatWaitAreTold(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	lent := 0
	lend := m.lending(func() func() { lent++; return func() { lent-- } })
	end := m.begun()
	expect := func(when string, begun, waiting float64, out int) {
		t.Helper()
		want := map[string]float64{"weir_helm_jobs state=begun": begun, "weir_helm_jobs state=waiting": waiting}
		if diff := cmp.Diff(want, samples(t, m.jobs)); diff != "" || lent != out {
			t.Errorf("%s: lent %d, want %d; samples (-want +got):\n%s", when, lent, out, diff)
		}
	}
	expect("at work", 1, 0, 0)
	back := lend()
	expect("waiting", 1, 1, 1)
	back()
	expect("at work again", 1, 0, 0)
	end()
	expect("at the end", 0, 0, 0)
}
