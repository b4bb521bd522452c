package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
)

// seen is what was observed of a release, as far as it matters to an action.
type seen struct {
	place   plan.Place
	history *releases.History
	stored  *state.Release // the newest release; nil if it is of no matter
	target  *helmv2.Snapshot
	drift   *observe.Drift
}

// goOn observes the release, decides what is to be done, and begins it. Where there is
// nothing to do, the pass ends.
func (r *Reconciler) goOn(ctx context.Context, s *scope) error {
	want := askedPlace(s.hr)
	want.Chart = s.chart.name
	was, err := r.formerPlace(ctx, s)
	if err != nil {
		return loop.Fail(helmv2.ReasonFailed, err)
	}
	moved := plan.Moved(was, want, s.hr.GetUpgrade().GetChartNameChangeStrategy() == helmv2.ChartNameChangeInPlaceUpdate)
	at := want
	if moved != "" {
		at = was
	}
	if err := r.claim(s, at); err != nil {
		return err
	}
	found, history, err := r.observe(ctx, s, at)
	if err != nil {
		return loop.Fail(unobserved(err), err)
	}
	if err := r.leaveToOwner(ctx, s, found, at); err != nil {
		return err
	}
	if moved != "" {
		taken, err := r.isTaken(ctx, s, at, found)
		if err != nil {
			return err
		}
		if taken { // so there is nothing to uninstall before
			s.hr.Status.History = nil
			return r.goOn(ctx, s)
		}
	}
	r.watchRival(ctx, s, found, at)
	if err := r.awaitOthers(s, found, at); err != nil {
		return err
	}
	r.takeIn(ctx, s, found.Recovered, at, history)
	d, err := r.decide(ctx, s, found, at, moved)
	if err != nil {
		return err
	}
	switch d.Then {
	case plan.Act:
		return r.begin(ctx, s, &seen{place: at, history: history, stored: found.Facts.Stored, target: found.Previous, drift: found.Drift}, d)
	case plan.Conclude:
		return r.finish(ctx, s, found)
	default:
		log.FromContext(ctx).V(1).Info("the pass has ended", "then", d.Then.String(), "state", found.State.String(), "why", d.Why)
		return r.endPass(s, d)
	}
}

// decide returns what is to be done about a release as it was found, and brings the status to
// where that begins.
func (r *Reconciler) decide(ctx context.Context, s *scope, found observe.Found, at plan.Place, moved string) (plan.Decision, error) {
	unmade := isUnmade(s, found)
	r.attempt(ctx, s, s.memory.pass.reset)
	s.memory.pass.reset = false
	if !unmade {
		acquit(s.hr, found)
	}
	in := r.deciding(s, found, moved)
	in.Unmade = unmade
	d := plan.Decide(in)
	if err := r.yield(s, found, at, d); err != nil {
		return d, err
	}
	if d.Forget {
		s.hr.Status.History = nil
	}
	if d.Truncate {
		s.hr.Status.History = state.Truncate(s.hr.Status.History, ignoresTests(s.hr))
	}
	return d, nil
}

// awaitOthers ends the run while somebody else works on the release, by the helm command
// say: it was in order when it was last looked at, and is in the middle of an action that is
// none of ours. Any change of what is stored asks for another run. Who takes longer than an
// action may take, and who was found at it when this process began, is taken for dead.
func (r *Reconciler) awaitOthers(s *scope, found observe.Found, at plan.Place) error {
	m := s.memory
	if found.State != state.Locked {
		m.looked, m.locked = true, time.Time{}
		return nil
	}
	if !isAtWork(s, found) {
		return nil
	}
	if m.locked.IsZero() {
		m.locked = time.Now()
	}
	left := s.hr.GetTimeout() - time.Since(m.locked)
	if left <= 0 {
		return nil
	}
	return loop.Wait(helmv2.ReasonPendingRelease, left, "Helm release %s/%s.v%d is in %s state: somebody else works on it",
		at.Namespace, at.Name, found.Facts.Stored.Version, found.Facts.Stored.Status)
}

// isAtWork reports whether a release that is locked is so because of somebody else, who has
// begun since this process looked at it first.
func isAtWork(s *scope, found observe.Found) bool {
	return s.memory.looked && s.history == nil && !leftByUs(found)
}

// isOurs reports whether the newest release was made by this HelmRelease, whether its history
// has that already or not.
func isOurs(found observe.Found) bool { return leftByUs(found) || len(found.Recovered) > 0 }

// leftByUs reports whether the newest release is as an action of ours has left it.
func leftByUs(found observe.Found) bool {
	last := found.Facts.Recorded
	return len(found.Recovered) == 0 && last != nil && last.Fits
}

// placeOf is where the newest release of the history is.
func placeOf(hr *helmv2.HelmRelease) plan.Place {
	last := hr.Status.History.Latest()
	if last == nil {
		return plan.Place{}
	}
	return plan.Place{Storage: hr.Status.StorageNamespace, Namespace: last.Namespace, Name: last.Name, Chart: last.ChartName}
}

// observe collects what is known of the release at a place. The storage is that of the
// action that has just ended, which need not be read again. An error tells no value of a
// Secret, although the API server may quote one.
func (r *Reconciler) observe(ctx context.Context, s *scope, at plan.Place) (observe.Found, *releases.History, error) {
	watcher, ok := s.at.Extra.(*releases.Watcher)
	if !ok {
		return observe.Found{}, nil, fmt.Errorf("%w: nothing watches it", errNoStorage)
	}
	history := s.history
	if history == nil || s.historyOf != at.Storage+"/"+at.Name || s.historyAt != s.at { // or else it would be that of another cluster or identity
		secrets, err := secretsOf(s.at, at.Storage)
		if err != nil {
			return observe.Found{}, nil, err
		}
		history = watcher.Open(secrets, at.Storage, at.Name)
	}
	hr := r.opts.Defaults.with(s.hr)
	if !hr.DeletionTimestamp.IsZero() {
		hr.Spec.DriftDetection = nil // it is to go as it is
	}
	found, err := observe.Facts(ctx, &s.memory.observed, observe.Input{
		HelmRelease: hr, At: s.at, History: history, Watcher: watcher,
		Storage: at.Storage, Release: types.NamespacedName{Namespace: at.Namespace, Name: at.Name},
		Wanted:      state.Content{ChartName: s.chart.name, ChartVersion: s.chart.version, ConfigDigest: s.config},
		Values:      s.values,
		Relaid:      relaid(s.hr),
		IgnoreTests: ignoresTests(s.hr),
		Digest:      r.opts.Digest,
	})
	return found, history, action.Masked(err, s.sensitive)
}

// errNoStorage says that nothing can be made to read and write releases with.
var errNoStorage = errors.New("connecting to the storage of releases")

// unobserved is the reason for not finding out how a release is.
func unobserved(err error) string {
	if errors.Is(err, errNoStorage) {
		return helmv2.ReasonFactoryError
	}
	return helmv2.ReasonFailed
}

// secretsOf returns the Secrets of a namespace, as the tenant sees them.
func secretsOf(at *tenant.Place, namespace string) (corev1client.SecretInterface, error) {
	core, err := corev1client.NewForConfigAndClient(at.Config(), at.HTTP())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoStorage, err)
	}
	return core.Secrets(namespace), nil
}

// relaid reports whether what is laid over the objects of the chart is other than it was,
// by a spec that was not carried out yet, or in vain.
func relaid(hr *helmv2.HelmRelease) bool {
	st, last := hr.Status, hr.Status.History.Latest()
	inVain := st.UpgradeFailures > 0 || last != nil && last.Action == helmv2.ReleaseActionRollback
	return (st.ObservedGeneration != hr.Generation || inVain) &&
		laidBy(hr) != laid{postRenderers: st.ObservedPostRenderersDigest, commonMetadata: st.ObservedCommonMetadataDigest}
}

// ignoresTests reports whether failures of tests do not count.
func ignoresTests(hr *helmv2.HelmRelease) bool {
	return hr.GetRemediation(hr.Status.LastAttemptedReleaseAction).IgnoreTestFailures
}

// deciding is all that the next step depends on.
func (r *Reconciler) deciding(s *scope, found observe.Found, moved string) plan.Input {
	p := &s.memory.pass
	in := plan.Input{
		State: found.State, Why: found.Why, Moved: moved, Spec: r.opts.Defaults.plan(s.hr), Attempted: attempted(s.hr),
		Counters:   countersOf(s.hr),
		Remediated: found.Remediated, Forced: p.forced, Resting: !p.asked && time.Now().Before(restsUntil(s.hr)), Done: p.done,
	}
	switch {
	case found.Previous == nil:
	case found.Sound:
		in.Target = plan.Sound
	default:
		in.Target = plan.Lost
	}
	return in
}

// restsUntil is when RetryOnFailure tries again: some time after the end of the last attempt,
// of which Helm notes the beginning, and of its tests.
func restsUntil(hr *helmv2.HelmRelease) time.Time {
	last := hr.Status.History.Latest()
	if last == nil {
		return time.Time{}
	}
	end := last.LastDeployed.Time
	if took := hr.Status.LastAttemptedReleaseActionDuration; took != nil {
		end = end.Add(took.Duration)
	}
	if last.TestHooks != nil {
		for _, test := range *last.TestHooks {
			if test != nil && test.LastCompleted.After(end) {
				end = test.LastCompleted.Time
			}
		}
	}
	return end.Add(retryInterval(hr))
}

// finish ends a pass well: the release is as it should be, or nothing is to be done about
// what is not.
func (r *Reconciler) finish(ctx context.Context, s *scope, found observe.Found) error {
	p := &s.memory.pass
	if found.State == state.Drifted && p.failed != nil {
		return r.endPass(s, plan.Decision{Then: plan.Again, Why: found.Why})
	}
	s.unsaved = false // for the end of the run saves it
	again := found.State == state.Drifted && p.done.Has(plan.Correct)
	p.done, p.asked, p.failed, p.rests = plan.Done{}, false, nil, time.Time{}
	if again { // something was changed while a correction was under way, of which nobody else tells
		time.AfterFunc(r.backoff.When(requestOf(s.owner)), func() { r.wakes.Wake(s.owner) })
	} else {
		r.backoff.Forget(requestOf(s.owner))
	}
	last := s.hr.Status.History.Latest()
	if last == nil {
		return nil
	}
	inOrder(s.hr, last, s.recovered)
	if found.State == state.Drifted {
		r.tellDrift(ctx, s, last, found.Drift)
		return nil
	}
	notDrifted(s.hr, last, r.opts.Defaults.drift(s.hr).Mode != helmv2.DriftDetectionDisabled)
	return nil
}

// tellDrift tells of objects that others have changed, and that are left so.
func (r *Reconciler) tellDrift(ctx context.Context, s *scope, last *helmv2.Snapshot, d *observe.Drift) {
	changes, examiner := d.Changes(), r.examiner.Hiding(action.Mask(s.sensitive))
	drifted(s.hr, last, counted(len(changes)))
	for _, c := range changes {
		e := examiner.Detected(ctx, c).Detected(helmv2.ReasonDriftDetected)
		s.memory.tell(withAbout(e, aboutRelease(last)))
	}
}

// counted says how many objects there are.
func counted(n int) string {
	if n == 1 {
		return "1 object was changed"
	}
	return fmt.Sprintf("%d objects were changed", n)
}

func requestOf(owner types.NamespacedName) reconcile.Request {
	return reconcile.Request{NamespacedName: owner}
}
