package helmrelease

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/log"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/loop"
)

const (
	// reaction is how soon after a release of ours somebody else must write it anew, for that
	// to be the work of a machine that watches it, and not of a person or of a timer.
	reaction = 10 * time.Second
	// answers is how many times in a row a machine is answered at once.
	answers = 5
	// firstPause and longestPause are how long the release is left to the machine then; each
	// further time twice as long.
	firstPause   = 10 * time.Second
	longestPause = 10 * time.Minute
)

// fight is how often in a row a release was taken from us by somebody who does so each time
// at once.
type fight struct {
	made  time.Time // when our last release was there; zero if this process has made none
	taken bool      // somebody has written it since
	times int
	until time.Time // it is left to the other; zero if it is not
}

// release notes that there is a release of ours.
func (f *fight) release(now time.Time) { f.made, f.taken, f.until = now, false, time.Time{} }

// take notes that somebody else was seen at the release, at some time, and reports whether
// a pause begins with that.
func (f *fight) take(at, now time.Time) (pauses bool) {
	if f.taken || f.made.IsZero() {
		return false
	}
	f.taken = true
	if at.Sub(f.made) >= reaction {
		f.times = 0
	}
	if f.times++; f.times <= answers {
		return false
	}
	f.until = now.Add(pause(f.times))
	return true
}

// pause is how long a release is left alone when it is taken for the nth time.
func pause(n int) time.Duration {
	d := firstPause
	for n -= answers + 1; n > 0 && d < longestPause; n-- {
		d *= 2
	}
	return min(d, longestPause)
}

// isTakenAway reports whether somebody else has written, deleted, or is about to write what
// this HelmRelease has made.
func isTakenAway(s *scope, found observe.Found) bool {
	last := s.hr.Status.History.Latest()
	if last == nil {
		return false
	}
	switch found.State {
	case state.Unmanaged:
		return true
	case state.Locked:
		return isAtWork(s, found)
	case state.Absent:
		return last.Deleted.IsZero() && last.Status != state.StatusUninstalled
	default:
		return false
	}
}

// watchRival notes that somebody else was at the release, and tells if that is done as fast
// as a machine does, over and over.
func (r *Reconciler) watchRival(ctx context.Context, s *scope, found observe.Found, at plan.Place) {
	if !isTakenAway(s, found) {
		return
	}
	now, f := time.Now(), &s.memory.fight
	seen := now
	if !s.woken.IsZero() {
		seen = s.woken
	}
	if !f.take(seen, now) {
		return
	}
	message := fmt.Sprintf("release %s/%s: taken over by %s at once each time, made anew %d times, now left alone for %s",
		at.Namespace, at.Name, r.rival(ctx, s, found, at), f.times-1, f.until.Sub(now))
	log.FromContext(ctx).Info("leaving a release to another for a while", "release", at.Namespace+"/"+at.Name, "times", f.times, "for", f.until.Sub(now).String())
	s.memory.tell(loop.Event{Warning: true, Reason: helmv2.ReasonDriftContested, Message: message})
}

// rival names who has written a release, by the field manager of its Secret.
func (r *Reconciler) rival(ctx context.Context, s *scope, found observe.Found, at plan.Place) string {
	const unknown = "somebody unknown"
	if found.Facts.Stored == nil {
		return unknown
	}
	client, err := metadata.NewForConfigAndClient(s.at.Config(), s.at.HTTP())
	if err != nil {
		return unknown
	}
	name := fmt.Sprintf("sh.helm.release.v1.%s.v%d", at.Name, found.Facts.Stored.Version)
	secret, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(at.Storage).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return unknown
	}
	var last metav1.ManagedFieldsEntry
	for _, e := range secret.GetManagedFields() {
		if last.Time == nil || e.Time != nil && last.Time.Before(e.Time) {
			last = e
		}
	}
	if last.Manager == "" {
		return unknown
	}
	return last.Manager
}

// yield ends the run while a release is left to another. What a user asks for is done all
// the same.
func (r *Reconciler) yield(s *scope, found observe.Found, at plan.Place, d plan.Decision) error {
	left := time.Until(s.memory.fight.until)
	if left <= 0 || d.Then != plan.Act || d.Action.Type() != plan.Releases || s.memory.pass.forced || !isTakenAway(s, found) {
		return nil
	}
	return loop.Wait(helmv2.ReasonDriftContested, left, "%w", &failure{
		reason: helmv2.ReasonDriftContested,
		message: fmt.Sprintf("release %s/%s is taken over by somebody else at once each time it is made, so it is left alone for a while: see the events, and have one of the two let it go",
			at.Namespace, at.Name),
	})
}
