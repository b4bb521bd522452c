// Package correction tells of objects that others had changed: who, which field, when, from
// what value to what. It tells it to the log, to the metrics of the process, and as the
// events of the owner, in the same way for all kinds.
//
// That an object drifts is noticed by package drift, and it is put back by package apply.
package correction

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/log"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/manifest"
)

// Finding is an object that others had changed, and how.
type Finding struct {
	ID      manifest.ID
	Existed bool           // when it was looked at
	Taken   []drift.Change // nothing if the object was deleted
	Pauses  []drift.Pause  // what is left to others from now on
}

// Examiner finds out who changed objects. It is safe for concurrent use.
type Examiner struct {
	manager  string
	override []string
	mask     func(string) string // nil hides nothing
	metrics  *metrics
}

// New returns an Examiner of objects that are applied as a field manager, which takes over
// the fields of further ones.
func New(manager string, override ...string) *Examiner {
	return &Examiner{manager: manager, override: override, metrics: shared()}
}

// Hiding returns an Examiner that tells of paths and values what mask leaves of them; nil
// leaves all. Values of Secrets are never told.
func (e *Examiner) Hiding(mask func(string) string) *Examiner {
	hiding := *e
	hiding.mask = mask
	return &hiding
}

// Restored finds out who changed an object that was just put back, which began some time
// after that was noticed; zero means that nobody knows. tracker learns what was taken.
func (e *Examiner) Restored(ctx context.Context, tracker *drift.Watcher, c apply.Change, after time.Duration) Finding {
	found := e.Examine(ctx, c)
	found.Pauses = tracker.Restored(c.ID, c.Live, found.Taken)
	found.log(ctx, "restored an object", "restored a field")
	for _, p := range found.Pauses {
		log.FromContext(ctx).Info("leaving a field to another for a while", "object", c.ID.String(), "field", p.Change.Path,
			"manager", p.Change.Manager, "times", p.Times, "for", p.For.String())
	}
	e.metrics.restored(found, after)
	return found
}

// Detected finds out who changed an object that would be put back, by a dry run.
func (e *Examiner) Detected(ctx context.Context, c apply.Change) Finding {
	found := e.Examine(ctx, c)
	found.log(ctx, "found an object deleted or changed", "found a field changed")
	return found
}

// Examine finds out who changed an object.
func (e *Examiner) Examine(ctx context.Context, c apply.Change) Finding {
	found := Finding{ID: c.ID, Existed: c.Before != nil}
	if c.Before == nil {
		return found
	}
	var err error
	if found.Taken, err = drift.ExplainMasked(c.Before, c.Live, e.mask, e.manager, e.override...); err != nil {
		log.FromContext(ctx).Error(err, "explaining drift", "object", c.ID.String())
	}
	return found
}

// log writes a line for each field, or one if it is about the object as a whole.
func (f Finding) log(ctx context.Context, object, field string) {
	logger := log.FromContext(ctx)
	if len(f.Taken) == 0 {
		logger.Info(object, "object", f.ID.String())
	}
	for _, t := range f.Taken {
		told := []any{"object", f.ID.String(), "field", t.Path, "from", t.From, "to", t.To, "manager", t.Manager, "operation", t.Operation}
		if !t.Time.IsZero() {
			told = append(told, "time", t.Time.UTC().Format(time.RFC3339))
		}
		logger.Info(field, told...)
	}
}

// metrics are those of all objects of the process.
type metrics struct {
	drift   *prometheus.CounterVec
	restore prometheus.Histogram
}

// shared registers the metrics once, for there may be several controllers in a test.
var shared = sync.OnceValue(func() *metrics {
	m := newMetrics()
	ctrlmetrics.Registry.MustRegister(m.drift, m.restore)
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
	}
}

// restored counts an object that was put back, some time after it was seen changed.
func (m *metrics) restored(f Finding, after time.Duration) {
	managers := make(map[string]bool)
	for _, t := range f.Taken {
		managers[cmp.Or(t.Manager, "unknown")] = true
	}
	if len(managers) == 0 {
		managers["unknown"] = true // nobody is told to have deleted it
	}
	for manager := range managers {
		m.drift.WithLabelValues(f.ID.Kind, manager).Inc()
	}
	if after > 0 {
		m.restore.Observe(after.Seconds())
	}
}
