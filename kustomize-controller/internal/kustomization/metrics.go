package kustomization

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// metrics are those of all Kustomizations of the process.
type metrics struct {
	stages *prometheus.HistogramVec
	last   *prometheus.GaugeVec
}

// shared registers the metrics once, for there may be several controllers in a test.
var shared = sync.OnceValue(func() *metrics {
	m := newMetrics()
	ctrlmetrics.Registry.MustRegister(m.stages, m.last)
	return m
})

func newMetrics() *metrics {
	return &metrics{
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_kustomization_stage_seconds", Help: "Time that Kustomizations spent on a new revision, by stage.",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 12),
		}, []string{"stage"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_kustomization_last_stage_seconds", Help: "Time that a Kustomization spent on the revision that it applied last, by stage.",
		}, []string{"namespace", "name", "stage"}),
	}
}

// applied tells how long the stages of a new revision took.
func (m *metrics) applied(owner types.NamespacedName, t timings) {
	for stage, spent := range t.all() {
		m.stages.WithLabelValues(stage).Observe(spent.Seconds())
		m.last.WithLabelValues(owner.Namespace, owner.Name, stage).Set(spent.Seconds())
	}
}

// forget drops what is told of a Kustomization that is gone.
func (m *metrics) forget(owner types.NamespacedName) {
	m.last.DeletePartialMatch(prometheus.Labels{"namespace": owner.Namespace, "name": owner.Name})
}
