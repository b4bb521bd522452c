package kustomization

import (
	"cmp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// metrics are those of all Kustomizations of the process.
type metrics struct {
	drift   *prometheus.CounterVec
	restore prometheus.Histogram
	stages  *prometheus.HistogramVec
	last    *prometheus.GaugeVec
}

// shared registers the metrics once, for there may be several controllers in a test.
var shared = sync.OnceValue(func() *metrics {
	m := newMetrics()
	ctrlmetrics.Registry.MustRegister(m.drift, m.restore, m.stages, m.last)
	return m
})

func newMetrics() *metrics {
	return &metrics{
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_drift_total", Help: "Number of times that something changed by somebody else was put back, by the kind of the object and the field manager that changed it.",
		}, []string{"kind", "manager"}),
		restore: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_drift_restore_seconds", Help: "Time from noticing that an object was changed to having it put back.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_kustomization_stage_seconds", Help: "Time that Kustomizations spent on a new revision, by stage.",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 12),
		}, []string{"stage"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_kustomization_last_stage_seconds", Help: "Time that a Kustomization spent on the revision that it applied last, by stage.",
		}, []string{"namespace", "name", "stage"}),
	}
}

// restored counts an object that was put back, some time after it was seen changed.
func (m *metrics) restored(r restoration, after time.Duration) {
	managers := make(map[string]bool)
	for _, t := range r.taken {
		managers[cmp.Or(t.Manager, "unknown")] = true
	}
	if len(managers) == 0 {
		managers["unknown"] = true // nobody is told to have deleted it
	}
	for manager := range managers {
		m.drift.WithLabelValues(r.id.Kind, manager).Inc()
	}
	if after > 0 {
		m.restore.Observe(after.Seconds())
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
