package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	helmaction "helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/values"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/mask"
)

// grace is how long what has become of a release may be stored after its action was
// interrupted.
const grace = 30 * time.Second

// deed is an action under way.
type deed struct {
	ctx     context.Context // of the action
	storing context.Context // of what is stored, which goes on a little longer
	end     func()

	env     Env
	what    plan.Action
	in      Input
	mask    mask.Mask
	logs    *logs
	client  *kubeClient
	storage *storage.Storage
	defined inventory.Set // the definitions of the chart
	result  Result

	mu      sync.Mutex // the SDK works in goroutines of its own
	written map[int]*releases.Release
	made    *release.Release // the release that the action makes, which the SDK may change
	tested  bool             // tests have run, or there are none
}

// begin makes what an action needs, and asks for nothing.
func begin(ctx context.Context, env Env, what plan.Action, in Input) *deed {
	d := &deed{ctx: ctx, env: env, what: what, in: in, written: make(map[int]*releases.Release), result: Result{Action: what}}
	d.storing, d.end = outlive(ctx, grace)
	d.mask = mask.New(in.Sensitive...)
	d.result.Mask = func(text string) string { return d.mask.Text(text) }
	d.logs = &logs{mask: d.result.Mask}
	return d
}

// outlive returns a context that ends a while after another does.
func outlive(ctx context.Context, by time.Duration) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(by)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// do carries out the action. What panics becomes an error.
func (d *deed) do() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked("running the "+d.what.String(), p)
		}
		err = d.settle(err)
	}()
	switch d.what {
	case plan.Install:
		return d.install()
	case plan.Upgrade:
		return d.upgrade()
	case plan.Test:
		return d.test()
	case plan.Rollback:
		return d.rollback()
	case plan.Uninstall, plan.UninstallRemediation:
		return d.uninstall()
	case plan.Unlock:
		return d.unlock()
	case plan.Correct:
		return d.correct()
	default:
		return fmt.Errorf("there is no action %q", d.what)
	}
}

// configure returns what the SDK works with. Method is how objects are applied.
func (d *deed) configure(method releases.Method, own bool) *helmaction.Configuration {
	hr := d.in.HelmRelease
	d.client = &kubeClient{Client: cluster.New(d.ctx, d.env.At, cluster.Options{
		Owner: client.ObjectKeyFromObject(hr), Release: d.in.Release,
		Method: method, TakeOwnership: own, Strict: d.strict(),
		Checks: d.env.Checks, Legacy: hr.GetWaitStrategy(d.env.Defaults.Wait) == helmv2.WaitStrategyLegacy,
		Earlier: d.earlier(), Waits: d.env.Waits, Lend: d.env.Lend, Newer: d.env.Newer, Log: d.logs.printf,
	})}
	store := d.env.History.Driver(d.storing, releases.DriverOptions{Method: method, Prepare: d.prepare, Wrote: d.wrote})
	d.storage = storage.Init(recorder{Driver: store, of: d})
	d.storage.Log = d.logs.printf
	return &helmaction.Configuration{
		RESTClientGetter: cluster.Getter(d.ctx, d.env.At),
		Releases:         d.storage,
		KubeClient:       d.client,
		Log:              d.logs.printf,
		HookOutputFunc:   func(_, _, _ string) io.Writer { return io.Discard },
	}
}

// prepare is called with a release before it is first stored, and so before anything of it
// is applied.
func (d *deed) prepare(rel *release.Release) error {
	if d.what.Type() != plan.Releases {
		return nil
	}
	if err := d.in.Overlay.Hooks(rel); err != nil {
		return fmt.Errorf("post-rendering hooks: %w", err)
	}
	return nil
}

// wrote is called with each release that was written.
func (d *deed) wrote(r *releases.Release) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written[r.Version] = r
}

// recorder is the storage of the SDK. It remembers what the SDK was about to make. The SDK
// calls it from goroutines of its own as well, where nobody else could keep a panic from
// ending the process.
type recorder struct {
	driver.Driver
	of *deed
}

// guardStorage has a panic become an error.
func guardStorage(err *error) {
	if p := recover(); p != nil {
		*err = panicked("working on the storage of releases", p)
	}
}

// Get implements driver.Driver.
func (r recorder) Get(key string) (_ *release.Release, err error) {
	defer guardStorage(&err)
	return r.Driver.Get(key)
}

// List implements driver.Driver.
func (r recorder) List(filter func(*release.Release) bool) (_ []*release.Release, err error) {
	defer guardStorage(&err)
	return r.Driver.List(filter)
}

// Query implements driver.Driver.
func (r recorder) Query(labels map[string]string) (_ []*release.Release, err error) {
	defer guardStorage(&err)
	return r.Driver.Query(labels)
}

// Create implements driver.Driver.
func (r recorder) Create(key string, rel *release.Release) (err error) {
	defer guardStorage(&err)
	if err := r.Driver.Create(key, rel); err != nil {
		return err
	}
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	r.of.made = rel
	return nil
}

// Update implements driver.Driver. A rollback or a test that was interrupted stays one that is
// under way: the next process takes it up again, as it does where this one is killed.
func (r recorder) Update(key string, rel *release.Release) (err error) {
	defer guardStorage(&err)
	if r.of.leavesUnderWay() && (r.of.what == plan.Test || rel.Info.Status == release.StatusFailed) {
		return fmt.Errorf("interrupted: %w", ErrStopping)
	}
	return r.Driver.Update(key, rel)
}

// leavesUnderWay reports whether what the action does to a release is for the next process to
// do. An install or upgrade is not: what it has left has failed, which counts for nothing, and is
// upgraded.
func (d *deed) leavesUnderWay() bool {
	return (d.what == plan.Rollback || d.what == plan.Test) && errors.Is(context.Cause(d.ctx), ErrStopping)
}

// Delete implements driver.Driver. What an uninstallation that was interrupted has not done
// is done by the next one, which must find the release for that.
func (r recorder) Delete(key string) (_ *release.Release, err error) {
	defer guardStorage(&err)
	if r.of.what.Type() != plan.Releases && r.of.ctx.Err() != nil {
		return nil, fmt.Errorf("interrupted: %w", context.Cause(r.of.ctx))
	}
	return r.Driver.Delete(key)
}

// settle stores a release as failed that the SDK has left in between, as it does when a
// hook of a rollback fails: nobody carries it on.
func (d *deed) settle(cause error) error {
	d.mu.Lock()
	var left *releases.Release
	if d.made != nil {
		left = d.written[d.made.Version]
	}
	d.mu.Unlock()
	if cause == nil || left == nil || !left.Info.Status.IsPending() || d.leavesUnderWay() {
		return cause
	}
	failed := *left.Release
	info := *left.Info
	failed.Info, failed.Hooks = &info, d.made.Hooks
	failed.SetStatus(release.StatusFailed, fmt.Sprintf("%s %q failed: %s", title(d.what), failed.Name, d.mask.Text(cause.Error())))
	if err := d.storage.Update(&failed); err != nil {
		return errors.Join(cause, fmt.Errorf("storing that it failed: %w", err))
	}
	return cause
}

// title returns the word for an action as Helm begins sentences with it.
func title(a plan.Action) string {
	switch a {
	case plan.Install:
		return "Install"
	case plan.Upgrade:
		return "Upgrade"
	default:
		return "Rollback"
	}
}

// masked returns an error without what is not to be shown.
func (d *deed) masked(err error) error {
	return said(err, d.mask)
}

// conclude completes the result. What panics becomes an error.
func (d *deed) conclude() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked("telling what came of the "+d.what.String(), p)
		}
	}()
	d.result.Logs = d.logs.all()
	if d.client != nil {
		d.result.Changes = append(d.result.Changes, d.client.Changes()...)
	}
	all := d.takeSnapshots()
	if len(all) > 0 && (d.what.Type() == plan.Releases || d.what == plan.Rollback) {
		d.takeInventory(all)
	}
	return nil
}

// takeSnapshots takes those of the releases that were written, and returns these.
func (d *deed) takeSnapshots() []*releases.Release {
	d.mu.Lock()
	defer d.mu.Unlock()
	byVersion := func(a, b *releases.Release) int { return cmp.Compare(a.Version, b.Version) }
	all := slices.SortedFunc(maps.Values(d.written), byVersion)
	d.result.Wrote = d.result.Wrote || len(all) > 0
	for _, r := range all {
		d.result.Snapshots = append(d.result.Snapshots, d.snapshot(r))
	}
	return all
}

// snapshot returns what the history has of a release.
func (d *deed) snapshot(r *releases.Release) *helmv2.Snapshot {
	known := d.known(r.Version)
	oci, made := "", known == nil && d.made != nil && d.made.Version == r.Version
	switch {
	case known != nil:
		oci = known.OCIDigest
	case made && d.what == plan.Rollback:
		oci = d.in.Target.OCIDigest
	case made:
		oci = d.in.OCIDigest
	}
	s := r.Snapshot(d.env.Digest, oci)
	if tests := r.Tests(); d.tested && s.TestHooks == nil && !r.Testing() {
		s.TestHooks = &tests
	}
	switch {
	case known != nil:
		s.Action, s.ConfigDigest = known.Action, known.ConfigDigest
	case made:
		s.Action = actionOf(d.what)
		if d.what.Type() == plan.Releases {
			// What was asked for, not what came of it: an upgrade may have preserved more values,
			// and the JSON of the storage has no whole numbers beyond 2^53.
			s.ConfigDigest = values.Digest(digest.Canonical, d.in.Values)
		}
	}
	return s
}

// known returns the snapshot of a version that the history has; nil if there is none.
func (d *deed) known(version int) *helmv2.Snapshot {
	for _, s := range d.in.HelmRelease.Status.History {
		if s.Name == d.in.Release.Name && s.Namespace == d.in.Release.Namespace && s.Version == version {
			return s
		}
	}
	return nil
}

// actionOf returns the word of the API for an action that makes a release.
func actionOf(a plan.Action) helmv2.ReleaseAction {
	switch a {
	case plan.Install:
		return helmv2.ReleaseActionInstall
	case plan.Upgrade:
		return helmv2.ReleaseActionUpgrade
	case plan.Rollback:
		return helmv2.ReleaseActionRollback
	default:
		return ""
	}
}
