package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	"helm.sh/helm/v3/pkg/chart"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/charts"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/overlay"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/pkg/health"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
)

// work is an action that was begun, until what came of it is taken up.
type work struct {
	job    *job
	newer  chan struct{} // closed when something newer takes the place of what is made
	cut    error         // why it was ended from outside; nil if it was not
	action plan.Action
	of     inputs
	before *helmv2.Snapshot // the newest of the history when it began; nil if there was none
	target *helmv2.Snapshot // of a rollback
	stored *state.Release   // the newest when it began; nil if there was none, or it is of no matter
	place  types.NamespacedName
	chart  string // of the release, as messages name it

	ready      *metav1.Condition // what Ready says while it is under way
	revision   string            // of the artifact of the chart
	ociDigest  string
	appVersion string
	laid       laid
	woken      time.Time // when the drift was noticed that is corrected
	log        logr.Logger

	history   *releases.History
	historyOf string // of which release
	historyAt *tenant.Place
	result    action.Result

	concluded bool          // the outcome was told, and is yet to be saved
	counted   plan.Counters // the failures, this outcome included
}

// laid are the digests of what is laid over the objects of a chart.
type laid struct{ postRenderers, commonMetadata string }

func laidBy(hr *helmv2.HelmRelease) laid {
	return laid{postRenderers: overlay.PostRenderersDigest(hr.Spec.PostRenderers), commonMetadata: overlay.CommonMetadataDigest(hr.Spec.CommonMetadata)}
}

// named is the release in messages of what has no version yet.
func (w *work) named() string { return w.place.String() }

// newest is the newest release that the action has written, else the one of before.
func (w *work) newest() *helmv2.Snapshot {
	if n := len(w.result.Snapshots); n > 0 {
		return w.result.Snapshots[n-1]
	}
	return w.before
}

// underWay says that an action is.
func underWay(hr *helmv2.HelmRelease, what plan.Action, after time.Duration) error {
	return loop.Progress(after, "Running '%s' action with timeout of %s", what, action.Timeout(hr, what))
}

// begin begins an action, once it is recorded what is attempted. The end of it asks for
// another run.
func (r *Reconciler) begin(ctx context.Context, s *scope, seen *seen, d plan.Decision) error {
	w := &work{
		newer: make(chan struct{}), action: d.Action, of: s.memory.pass.of, place: targetOf(s.hr), chart: s.chart.name + "@" + s.chart.version,
		revision: s.artifactRevision(), ociDigest: s.ociDigest(), appVersion: s.chart.appVersion, laid: laidBy(s.hr), woken: s.woken,
		before: s.hr.Status.History.Latest(), target: seen.target, stored: seen.stored,
		history: seen.history, historyOf: seen.place.Storage + "/" + seen.place.Name, historyAt: s.at,
	}
	in, release, err := r.input(ctx, s, seen, w)
	if err != nil {
		return err
	}
	if err := r.record(ctx, s, w); err != nil {
		release()
		return err
	}
	if w.action.Type() == plan.Releases {
		s.memory.pass.forced = false
	}
	s.memory.pass.done = s.memory.pass.done.With(w.action)
	env := action.Env{
		At: s.at, History: seen.history, Waits: &r.waits, Newer: w.newer, Checks: s.checks(),
		Digest: r.opts.Digest, DNS: r.opts.DNS, Defaults: r.opts.Defaults.action(),
	}
	// The job outlives the run, so what it is about is its own.
	in.HelmRelease = r.opts.Defaults.with(s.hr.DeepCopy())
	w.log = log.FromContext(ctx)
	w.log.V(1).Info("begun an action", "action", w.action.String(), "why", d.Why)
	job, ok := r.jobs.start(s.object(), workLimit(action.Timeout(s.hr, w.action)), func(ctx context.Context, lend func() func()) {
		defer release()
		defer r.metrics.begun()()
		env.Lend = r.metrics.lending(lend)
		ctx = log.IntoContext(ctx, w.log)
		w.result = carryOut(ctx, w.action, func() action.Result { return action.Run(ctx, env, w.action, in) })
		w.cut = cutBy(ctx, w.result.Err)
	}, r.ended)
	if !ok { // the process that comes next begins it
		release()
		return underWay(s.hr, w.action, 0)
	}
	r.keepClaim(s, seen.place, job)
	w.job, s.memory.work = job, w
	return underWay(s.hr, w.action, r.opts.RequeueDependency)
}

// carryOut runs an action. One that panics has failed, and may have written anything. What
// it says then could be a value that must not be told.
func carryOut(ctx context.Context, what plan.Action, run func() action.Result) (res action.Result) {
	defer func() {
		if p := recover(); p != nil {
			log.FromContext(ctx).Error(nil, "an action panicked", "action", what.String(), "stack", string(debug.Stack()))
			res = action.Result{Action: what, Err: fmt.Errorf("panic while running the %s: the log of the controller says where", what), Wrote: true}
		}
	}()
	return run()
}

// ended asks for a run that takes up what came of a job, unless its object is gone.
func (r *Reconciler) ended(b *job) {
	var hr helmv2.HelmRelease
	err := r.client.Get(context.Background(), b.owner.NamespacedName, &hr)
	if apierrors.IsNotFound(err) || err == nil && hr.UID != b.owner.uid {
		b.takenUp()
	}
	r.wakes.Wake(b.owner.NamespacedName) // there may be another of its name, which waits for that
}

// awaitOutlived ends the run while an action is under way that was begun for another object
// of the same name, which is gone: objects are waited for by the name of their owner.
func (r *Reconciler) awaitOutlived(_ context.Context, s *scope) error {
	if !r.jobs.abandon(s.owner, s.hr.UID) {
		return nil
	}
	return loop.Progress(r.opts.RequeueDependency, "Awaiting the end of an action for a HelmRelease that had this name before")
}

// input returns what an action is about, but for the HelmRelease, and what is to be called
// at its end.
func (r *Reconciler) input(ctx context.Context, s *scope, seen *seen, w *work) (action.Input, func(), error) {
	in := action.Input{
		Release: w.place, Values: s.values, Sensitive: s.sensitive, OCIDigest: w.ociDigest, Target: seen.target, Drift: seen.drift,
	}
	if last := w.before; last != nil && (w.action == plan.Uninstall || w.action == plan.UninstallRemediation) {
		w.place, w.chart = types.NamespacedName{Namespace: last.Namespace, Name: last.Name}, last.VersionedChartName()
		in.Release = w.place
	}
	if w.action.Type() != plan.Releases {
		return in, func() {}, nil
	}
	var err error
	in.Overlay, err = overlay.New(overlay.Spec{
		PostRenderers: s.hr.Spec.PostRenderers, CommonMetadata: s.hr.Spec.CommonMetadata,
		Strategy: s.hr.GetPostRenderStrategy(r.opts.Defaults.PostRender), Owner: s.owner,
	})
	if err != nil {
		return in, nil, loop.Fail(reasonOf(w.action), fmt.Errorf("post-renderers: %w", err))
	}
	var got *charts.Chart
	if got, err = r.fetchChart(ctx, s); err != nil {
		return in, nil, err
	}
	version := s.chart.version
	in.Chart = func() *chart.Chart {
		c := got.Helm()
		c.Metadata.Version = version
		return c
	}
	return in, got.Release, nil
}

// checks are the rules by which the health of objects is judged; none for one that goes.
func (s *scope) checks() health.Rules {
	if s.expressions == nil {
		return nil
	}
	return s.expressions.health
}

// reasonOf is the reason for an install or upgrade to have failed.
func reasonOf(a plan.Action) string {
	if a == plan.Install {
		return helmv2.ReasonInstallFailed
	}
	return helmv2.ReasonUpgradeFailed
}

// record saves what is attempted, before it is, and what came of the action before it.
func (r *Reconciler) record(ctx context.Context, s *scope, w *work) error {
	st := &s.hr.Status
	switch w.action {
	case plan.Install:
		st.LastAttemptedReleaseAction = helmv2.ReleaseActionInstall
	case plan.Upgrade:
		st.LastAttemptedReleaseAction = helmv2.ReleaseActionUpgrade
	}
	if w.action.Type() == plan.Releases {
		st.StorageNamespace = s.hr.GetStorageNamespace()
	}
	w.ready = running(s.hr, w.action)
	if w.action.Type() != plan.Releases && !s.unsaved {
		return nil // nothing is lost if the process is killed
	}
	return r.saveNow(ctx, s)
}

// saveNow saves the status in the middle of a run.
func (r *Reconciler) saveNow(ctx context.Context, s *scope) error {
	if err := r.save(ctx, s.hr); err != nil {
		return fmt.Errorf("recording what is about to be done: %w", err)
	}
	s.unsaved = false
	s.memory.settle()
	return nil
}

// takeUp takes up what came of the last action, or ends the run while it is under way. If
// the status cannot be saved with it, the next run does the same again.
func (r *Reconciler) takeUp(ctx context.Context, s *scope) error {
	w := s.memory.work
	switch {
	case w == nil:
		return nil
	case !w.job.hasEnded():
		return r.overtake(ctx, s, w)
	}
	s.unsaved, s.history, s.historyOf, s.historyAt = true, w.history, w.historyOf, w.historyAt
	r.conclude(ctx, s.hr, s.memory, w)
	return nil
}

// Suspend implements loop.Suspender: an action that was under way goes on to its end, and
// what comes of it is recorded.
func (r *Reconciler) Suspend(hr *helmv2.HelmRelease) {
	r.jobs.abandon(keyOf(hr), hr.UID)
	m := r.known.of(hr)
	if w := m.work; w != nil && w.job.hasEnded() {
		r.conclude(log.IntoContext(context.Background(), w.log), hr, m, w)
		defer r.settleSuspended(hr, m)
		if summary(hr) != nil { // which Ready says by now
			conditions.Delete(hr, meta.ReconcilingCondition)
		}
	}
	if conditions.IsReady(hr) {
		hr.SetObservedGeneration(hr.Generation)
	}
}

// settleSuspended saves what came of an action. Nobody tells that the status was saved of
// what is suspended, so if it is not by now, another run finds out.
func (r *Reconciler) settleSuspended(hr *helmv2.HelmRelease, m *memory) {
	if err := r.save(context.Background(), hr); err != nil && !errors.Is(err, loop.ErrGone) {
		time.AfterFunc(r.opts.RequeueDependency, func() { r.wakes.Wake(keyOf(hr)) })
		return
	}
	m.settle()
	for _, e := range m.toldAbout(hr) { // which would be old news when it is resumed
		r.publish(hr, e)
	}
}

// overtake ends the run while an action is under way. If that is asked for, a new spec or
// another chart ends the waits of an action that makes a release.
func (r *Reconciler) overtake(ctx context.Context, s *scope, w *work) error {
	if r.opts.NewRevisionEndsWait && w.action.Type() == plan.Releases && r.overtaken(ctx, s.hr, w) {
		w.overtake()
	}
	return underWay(s.hr, w.action, r.opts.RequeueDependency)
}

// overtaken reports whether an action is about what is not asked for any more.
func (r *Reconciler) overtaken(ctx context.Context, hr *helmv2.HelmRelease, w *work) bool {
	if w.of.generation != hr.Generation {
		return true
	}
	kind, key, ok := sourceOf(hr)
	source := newSource(kind)
	if !ok || source == nil || r.sources().Get(ctx, key, source) != nil || unready(source) != "" {
		return false
	}
	return source.GetArtifact().Revision != w.revision
}

// cutBy returns why an action was ended from outside that ended with err; nil if it was not.
// One that hangs has failed by itself, and one that succeeded was at its end already.
func cutBy(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if err == nil || errors.As(cause, &overworked{}) {
		return nil
	}
	return cause
}

// isCut reports whether the action was ended from outside.
func (w *work) isCut() bool { return w.cut != nil || errors.Is(w.result.Err, cluster.ErrNewer) }

// overtake ends the waits of the action for the health of objects. Hooks and writes are not
// cut off.
func (w *work) overtake() {
	select {
	case <-w.newer:
	default:
		close(w.newer)
	}
}

// conclude records in the status what came of an action, and has it told, but once only. If
// that panics it would do so again, so what is not recorded by then is found in the storage.
func (r *Reconciler) conclude(ctx context.Context, hr *helmv2.HelmRelease, m *memory, w *work) {
	defer func() {
		if p := recover(); p != nil {
			log.FromContext(ctx).Error(nil, "recording what came of an action panicked", "action", w.action.String(), "stack", string(debug.Stack()))
			if w.concluded = true; m.pass.failed == nil {
				m.pass.failed = fmt.Errorf("panic while recording what came of the %s: the log of the controller says where", w.action)
			}
		}
	}()
	if !w.concluded {
		w.counted = countersOf(hr) // as they are, if they cannot be counted on
		w.counted = countedAfter(hr, r.opts.Defaults, w)
	}
	recordResult(hr, w)
	e, failed := r.say(hr, w)
	if w.concluded {
		return
	}
	w.concluded = true
	m.pass.failed = failed
	if e.Reason != "" {
		m.tell(e)
	}
	r.tellChanges(ctx, hr, m, w)
	res := &w.result
	if res.Wrote && (w.action.Type() == plan.Releases || w.action == plan.Rollback) {
		m.fight.release(time.Now())
	}
	r.metrics.acted(w.action, res.Err, res.Took)
	if res.Err != nil {
		log.FromContext(ctx).Info("an action failed", "action", w.action.String(), "release", w.named(), "error", res.Err.Error(), "took", res.Took.String())
	} else {
		log.FromContext(ctx).Info("an action succeeded", "action", w.action.String(), "release", w.named(), "took", res.Took.String())
	}
}

// withLogs adds the last lines of the log of an action to what is told of its failure.
func withLogs(message string, lines []string) string {
	if len(lines) == 0 {
		return message
	}
	return message + "\n\nLast Helm logs:\n\n" + strings.Join(lines, "\n")
}

// targetOf is the release that a HelmRelease asks for.
func targetOf(hr *helmv2.HelmRelease) types.NamespacedName {
	return types.NamespacedName{Namespace: hr.GetReleaseNamespace(), Name: hr.GetReleaseName()}
}

// took is a duration as the status has it.
func took(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
