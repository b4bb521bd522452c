package helmrelease

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"weir.dev/helm-controller/internal/plan"
)

// metrics are those of all HelmReleases of the process.
type metrics struct {
	actions *prometheus.HistogramVec
	jobs    *prometheus.GaugeVec
}

// Values of the label of jobs.
const (
	jobsBegun   = "begun"
	jobsWaiting = "waiting"
)

// shared registers the metrics once, for there may be several controllers in a test.
var shared = sync.OnceValue(func() *metrics {
	m := newMetrics()
	ctrlmetrics.Registry.MustRegister(m.actions, m.jobs)
	return m
})

func newMetrics() *metrics {
	return &metrics{
		actions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_helm_action_seconds", Help: "Time that actions of Helm took, by the action and whether it succeeded.",
			Buckets: prometheus.ExponentialBuckets(0.01, 3, 10),
		}, []string{"action", "succeeded"}),
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_helm_jobs", Help: "Number of actions of Helm that are under way: begun, and of these waiting for the cluster.",
		}, []string{"state"}),
	}
}

// acted counts an action.
func (m *metrics) acted(what plan.Action, err error, took time.Duration) {
	succeeded := "true"
	if err != nil {
		succeeded = "false"
	}
	m.actions.WithLabelValues(what.String(), succeeded).Observe(took.Seconds())
}

// begun counts an action that is under way, until the returned function is called.
func (m *metrics) begun() (end func()) {
	g := m.jobs.WithLabelValues(jobsBegun)
	g.Inc()
	return g.Dec
}

// lending counts the actions that wait.
func (m *metrics) lending(lend func() (back func())) func() (back func()) {
	g := m.jobs.WithLabelValues(jobsWaiting)
	return func() func() {
		g.Inc()
		back := lend()
		return func() {
			back()
			g.Dec()
		}
	}
}
