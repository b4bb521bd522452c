package helmchart

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/helm"
	"weir.dev/source-controller/internal/helm/index"
)

// indexes look charts up in the published indexes of repositories. They keep as many in
// memory as flags say, by their digest: usually none, because a look is taken only when
// an index is new.
type indexes struct {
	most       int
	ttl, purge time.Duration
	count      func(repo *sourcev1.HelmRepository, hit bool)

	mu    sync.Mutex
	known map[string]*knownIndex
}

type knownIndex struct {
	table index.Table
	used  time.Time
}

func newIndexes(opts helm.Options) *indexes {
	return &indexes{most: opts.CacheMaxSize, ttl: opts.CacheTTL, purge: opts.CachePurgeInterval, count: count, known: make(map[string]*knownIndex)}
}

func (x *indexes) enabled() bool { return x.most > 0 }

// find returns the versions of a chart in the index that a repository advertises.
func (x *indexes) find(repo *sourcev1.HelmRepository, chart string, open func() (io.ReadCloser, error)) ([]index.Version, error) {
	digest := repo.Status.Artifact.Digest
	versions, ok := x.lookUp(digest, chart)
	if x.enabled() {
		x.count(repo, ok)
	}
	if ok {
		return versions, nil
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !x.enabled() {
		versions, err := index.Find(f, chart)
		return versions, unreadable(err)
	}
	table, err := index.Load(f)
	if err != nil {
		return nil, unreadable(err)
	}
	x.keep(digest, table)
	return table[chart], nil
}

// lookups is the metric of how often an index was in memory. It is one of the process,
// however many controllers a test starts.
var lookups = sync.OnceValue(func() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gotk_cache_events_total", Help: "Number of looks into the index of a Helm repository, by whether it was in memory.",
	}, []string{"event_type", "name", "namespace"})
	metrics.Registry.MustRegister(c)
	return c
})

// count counts a look into the index of a repository.
func count(repo *sourcev1.HelmRepository, hit bool) {
	what := "cache_miss"
	if hit {
		what = "cache_hit"
	}
	lookups().WithLabelValues(what, repo.Name, repo.Namespace).Inc()
}

// unreadable says that the index cannot be read back.
func unreadable(err error) error {
	if err == nil {
		return nil
	}
	return loop.Fail(sourcev1.ReasonIndexationFailed, fmt.Errorf("failed to load the stored index: %w", err))
}

func (x *indexes) lookUp(digest, chart string) ([]index.Version, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	known := x.known[digest]
	if known == nil {
		return nil, false
	}
	known.used = time.Now()
	return known.table[chart], true
}

// keep keeps an index, in place of the one that was not used for longest.
func (x *indexes) keep(digest string, table index.Table) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.known[digest] = &knownIndex{table: table, used: time.Now()}
	for len(x.known) > x.most {
		oldest := ""
		for d, k := range x.known {
			if oldest == "" || k.used.Before(x.known[oldest].used) {
				oldest = d
			}
		}
		delete(x.known, oldest)
	}
}

// Start drops indexes that nobody uses, until the context ends. It is a Runnable of the
// manager.
func (x *indexes) Start(ctx context.Context) error {
	tick := time.NewTicker(x.purge)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			x.drop(now.Add(-x.ttl))
		}
	}
}

// drop forgets what was last used before a moment.
func (x *indexes) drop(before time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for digest, known := range x.known {
		if known.used.Before(before) {
			delete(x.known, digest)
		}
	}
}
