package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/loop"
)

// inputs are what a pass is about. Others begin another pass.
type inputs struct {
	generation int64
	chart      string // the version
	config     string // the digest of the values
	request    string // the token by which somebody asks for a run
}

// pass is what has begun because there was something to do, and goes on over several runs.
// Of each type of action it has one at most.
type pass struct {
	of     inputs
	done   plan.Done
	asked  bool // a user asks for a run, which has not come to its end yet
	forced bool // a user asks for a release, which is yet to come
	reset  bool // a user asks for the failures to count no more, which they do yet

	failed error     // what the last action that failed says; nil if none has
	rests  time.Time // nothing is tried before; zero means that there is nothing to wait for
}

// failure is why a pass ended, with the reason that it has in conditions.
type failure struct {
	reason  string
	message string
}

func (f *failure) Error() string { return f.message }

// isTold reports whether an error is one that the events of an action have told of.
func isTold(err error) bool {
	var f *failure
	return errors.As(err, &f)
}

// beginPass goes on with the pass that is under way, or begins one if that is over or was
// about something else. Failures of before count no more if something else is attempted.
func (r *Reconciler) beginPass(_ context.Context, s *scope) error {
	request, _ := loop.RequestedAt(s.hr)
	now := inputs{generation: s.hr.Generation, chart: s.chart.version, config: s.config, request: request}
	p := &s.memory.pass
	if p.of != now {
		asked := request != s.hr.Status.LastHandledReconcileAt || p.of != (inputs{}) && request != p.of.request
		*p = pass{of: now, asked: request != "" && asked, forced: p.forced && p.of.request == request, reset: p.reset && p.of.request == request}
		r.backoff.Forget(requestOf(s.owner))
		s.memory.fight.until = time.Time{} // what is new is not held up
	}
	if asks(s.hr, helmv2.ForceRequestAnnotation, &s.hr.Status.LastHandledForceAt) {
		p.forced = true
	}
	if asks(s.hr, helmv2.ResetRequestAnnotation, &s.hr.Status.LastHandledResetAt) {
		p.reset = true
	}
	if left := time.Until(p.rests); left > 0 && p.failed != nil && !p.forced && !p.reset {
		return r.rest(p, left)
	}
	p.rests = time.Time{}
	return nil
}

// rest ends a run before it is time to try again.
func (r *Reconciler) rest(p *pass, left time.Duration) error {
	var f *failure
	if !errors.As(p.failed, &f) {
		f = &failure{reason: helmv2.ReasonFailed, message: p.failed.Error()}
	}
	return loop.Wait(f.reason, left, "%w", f)
}

// asks reports whether a user asks for something by an annotation, which counts once and
// only together with the request for a run. What does not count is recorded as handled at
// once. What does is when it was done, for a process that is killed before that must not take
// it along.
func asks(hr *helmv2.HelmRelease, annotation string, handled *string) bool {
	token, ok := hr.Annotations[annotation]
	if !ok || token == *handled {
		return false
	}
	if request, _ := loop.RequestedAt(hr); token == request {
		return true
	}
	*handled = token
	return false
}

// attempt records what is attempted, and forgets the failures of anything else.
func (r *Reconciler) attempt(ctx context.Context, s *scope, reset bool) {
	st := &s.hr.Status
	last := plan.Attempt{Generation: st.LastAttemptedGeneration, ChartVersion: st.LastAttemptedRevision, ConfigDigest: st.LastAttemptedConfigDigest}
	now := plan.Attempt{Generation: s.hr.Generation, ChartVersion: s.chart.version, ConfigDigest: s.config}
	r.warn(ctx, s)
	if why, resets := plan.Resets(last, now, reset); resets {
		if st.Failures+st.InstallFailures+st.UpgradeFailures > 0 {
			log.FromContext(ctx).V(1).Info("failures count no more", "why", why)
		}
		st.ClearFailures()
	}
	if reset {
		st.LastHandledResetAt = s.hr.Annotations[helmv2.ResetRequestAnnotation]
	}
	st.LastAttemptedGeneration, st.LastAttemptedRevision, st.LastAttemptedConfigDigest = now.Generation, now.ChartVersion, now.ConfigDigest
	st.LastAttemptedRevisionDigest = s.ociDigest()
	st.LastAttemptedValuesChecksum, st.LastReleaseRevision = "", 0
}

// isUnmade reports whether a release is as it should be only because another of the same could
// not be made: a user has asked for it, and it failed before anything was stored, as where the
// chart does not render. What is recovered was made.
func isUnmade(s *scope, found observe.Found) bool {
	st, c := &s.hr.Status, conditions.Get(s.hr, helmv2.ConditionReleased)
	return (found.State == state.InSync || found.State == state.Drifted) && len(found.Recovered) == 0 &&
		c != nil && c.Status == metav1.ConditionFalse && c.Reason == helmv2.ReasonUpgradeFailed && c.ObservedGeneration == s.hr.Generation &&
		st.LastAttemptedGeneration == s.hr.Generation && st.LastAttemptedRevision == s.chart.version && st.LastAttemptedConfigDigest == s.config
}

// acquit has a release that is made of what is asked for say so before anything else is done
// about it, although the last thing that was said is that another failed: that is not asked for
// any more, which nobody would know once this is what was attempted last.
func acquit(hr *helmv2.HelmRelease, found observe.Found) {
	last := hr.Status.History.Latest()
	if last != nil && (found.State == state.Drifted || found.State == state.Untested) {
		inOrder(hr, last, false)
	}
}

// warn tells, once for each spec, of fields that are ignored.
func (r *Reconciler) warn(ctx context.Context, s *scope) {
	m := s.memory
	if !s.hr.GetRollback().Recreate || s.hr.Status.LastAttemptedGeneration == s.hr.Generation || m.warned == s.hr.Generation {
		return
	}
	m.warned = s.hr.Generation
	log.FromContext(ctx).Info("a field of the spec is ignored", "field", "spec.rollback.recreate")
	m.tell(loop.Event{
		Warning: true, Reason: helmv2.ReasonFieldIgnored,
		Message: "spec.rollback.recreate has no effect: objects that a rollback leaves as they are go on running; take the field out",
	})
}

// endPass ends a pass as was decided.
func (r *Reconciler) endPass(s *scope, d plan.Decision) error {
	p := &s.memory.pass
	p.done, p.asked, s.unsaved = plan.Done{}, false, false // the end of the run saves what came of it
	err := p.failed
	if c := summary(s.hr); err == nil && c != nil && (c.Status == metav1.ConditionFalse || c.Type == helmv2.ConditionRemediated) {
		err = &failure{reason: c.Reason, message: c.Message} // of another process
	}
	if err == nil {
		err = errors.New(d.Why)
	}
	switch request := requestOf(s.owner); d.Then {
	case plan.Stall:
		r.backoff.Forget(request)
		return loop.Stall(d.Reason, errors.New(d.Why))
	case plan.Later:
		p.failed, p.rests = err, restsUntil(s.hr)
	default: // Again and Fail
		p.failed, p.rests = err, time.Now().Add(r.backoff.When(request))
	}
	var f *failure
	if errors.As(err, &f) {
		return loop.Fail(f.reason, err)
	}
	return loop.Fail(meta.FailedReason, fmt.Errorf("the release cannot be taken further: %w", err))
}
