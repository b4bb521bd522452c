package cloud

import (
	"cmp"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Events that are counted for an object, and what they are counted for.
const (
	eventHit  = "cache_hit"
	eventMiss = "cache_miss"
	operation = "reconcile"
)

// metrics count what is asked of the tokens. Nil counts nothing.
type metrics struct {
	events    *prometheus.CounterVec
	requests  *prometheus.CounterVec
	evictions prometheus.Counter
	items     prometheus.Gauge
}

// newMetrics registers the metrics, or finds those that are registered.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gotk_token_cache_events_total", Help: "Number of tokens that were asked for, by object, and whether they were kept.",
		}, []string{"event_type", "kind", "name", "namespace", "operation"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gotk_token_cache_requests_total", Help: "Number of tokens that were asked for, by success or failure.",
		}, []string{"status"}),
		evictions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gotk_token_cache_evictions_total", Help: "Number of tokens that had to make room for others.",
		}),
		items: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gotk_token_cached_items", Help: "Number of tokens that are kept.",
		}),
	}
	return m, errors.Join(register(r, &m.events), register(r, &m.requests), register(r, &m.evictions), register(r, &m.items))
}

// register registers a metric, or replaces it by the one that is registered.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	err := r.Register(*c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if known, ok := already.ExistingCollector.(C); ok {
			*c = known
			return nil
		}
	}
	return err
}

func (m *metrics) asked(who Object, hit bool, err error) {
	if m == nil {
		return
	}
	status, event := "success", eventMiss
	if err != nil {
		status = "failure"
	}
	if hit {
		event = eventHit
	}
	m.requests.WithLabelValues(status).Inc()
	m.events.WithLabelValues(event, who.Kind, who.Name, who.Namespace, cmp.Or(who.Operation, operation)).Inc()
}

func (m *metrics) evicted() {
	if m != nil {
		m.evictions.Inc()
	}
}

func (m *metrics) keeps(n int) {
	if m != nil {
		m.items.Set(float64(n))
	}
}

func (m *metrics) forget(who Object) {
	if m == nil {
		return
	}
	m.events.DeletePartialMatch(prometheus.Labels{"kind": who.Kind, "name": who.Name, "namespace": who.Namespace})
}
