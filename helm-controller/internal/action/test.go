package action

import (
	"fmt"
	"slices"
	"sync"
	"time"

	helmaction "helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
)

// test runs the tests of the newest release.
func (d *deed) test() error {
	cfg := d.configure(releases.ServerSide, true)
	whole := &wholeHooks{Driver: d.storage.Driver, hooks: make(map[int][]*release.Hook)}
	log := d.storage.Log
	d.storage = storage.Init(whole)
	d.storage.Log = log
	cfg.Releases = d.storage
	a := helmaction.NewReleaseTesting(cfg)
	a.Namespace = d.in.Release.Namespace
	a.Timeout = Timeout(d.in.HelmRelease, d.what)
	a.Filters = filters(d.in.HelmRelease.GetTest())
	begun := time.Now()
	rel, err := a.Run(d.in.Release.Name)
	if rel == nil {
		return err
	}
	ran := 0
	for _, h := range rel.Hooks {
		if !slices.Contains(h.Events, release.HookTest) {
			continue
		}
		d.result.Tests++
		if !h.LastRun.StartedAt.Time.Before(begun) {
			ran++
		}
	}
	d.tested = (err == nil || ran > 0) && !d.leavesUnderWay() // the next process runs them
	if err != nil && ran == 0 {
		return fmt.Errorf("no test could be run: %w", err)
	}
	return err
}

// filters returns the filters of the SDK.
func filters(spec helmv2.Test) map[string][]string {
	out := make(map[string][]string)
	for _, f := range spec.GetFilters() {
		key := helmaction.IncludeNameFilter
		if f.Exclude {
			key = helmaction.ExcludeNameFilter
		}
		out[key] = append(out[key], f.Name)
	}
	return out
}

// wholeHooks is a storage that stores all hooks of a release, in their order. The SDK leaves
// out those that filters exclude while tests run, and puts them at the front after that:
// the release would be another one, and for good if the process is killed meanwhile.
type wholeHooks struct {
	driver.Driver

	mu    sync.Mutex
	hooks map[int][]*release.Hook // of each version, as it was read
}

// Query implements driver.Queryor.
func (w *wholeHooks) Query(labels map[string]string) ([]*release.Release, error) {
	found, err := w.Driver.Query(labels)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range found {
		w.hooks[r.Version] = slices.Clone(r.Hooks)
	}
	return found, err
}

// Update implements driver.Updator.
func (w *wholeHooks) Update(key string, rel *release.Release) error {
	w.mu.Lock()
	hooks, ok := w.hooks[rel.Version]
	w.mu.Unlock()
	if !ok {
		return w.Driver.Update(key, rel)
	}
	whole := *rel
	whole.Hooks = hooks // the same hooks, so what is known of their runs is in them
	return w.Driver.Update(key, &whole)
}
