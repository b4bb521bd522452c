package imageupdateautomation

import (
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/pullrequest"
)

// deed is what a run did and the status does not tell.
type deed struct {
	commit, refspec, message string // what was pushed; all empty if nothing was
	branch                   string // that it was pushed to, or that is to be merged
	merge                    pullrequest.PullRequest
	problems                 string // what is not updated
}

// pushed tells that a commit was pushed.
func (d *deed) pushed(s *scope, message string) {
	d.commit, d.branch, d.message = s.pushed.String(), s.branch, message
}

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *imagev1.ImageUpdateAutomation, out loop.Outcome) []loop.Event {
	if !after.DeletionTimestamp.IsZero() {
		return nil
	}
	did := r.memory.of(after.UID).did
	var events []loop.Event
	if did.commit != "" {
		events = append(events, did.pushEvent())
	}
	if did.merge.Created {
		events = append(events, loop.Event{Reason: imagev1.ReasonSucceeded, Message: fmt.Sprintf("opened pull request %s for branch '%s'", did.merge.URL, did.branch)})
	}
	switch {
	case out.Verdict == loop.Failed, out.Verdict == loop.Stalled:
		if !loop.Repeats(before, after) {
			events = append(events, loop.Event{Warning: true, Reason: out.Reason, Message: out.Message()})
		}
		return events
	case did.problems != "" && !strings.Contains(conditions.GetMessage(before, meta.ReadyCondition), did.problems):
		events = append(events, loop.Event{Warning: true, Reason: imagev1.ReasonMarkersSkipped, Message: did.problems})
	}
	if len(events) == 0 && out.Verdict == loop.Succeeded && conditions.IsFalse(before, meta.ReadyCondition) {
		events = append(events, loop.Event{Reason: imagev1.ReasonSucceeded, Message: upToDate})
	}
	return events
}

// pushEvent tells what was pushed, with the message of the commit.
func (d deed) pushEvent() loop.Event {
	const short = 7
	where := fmt.Sprintf("pushed commit '%s' to branch '%s'", d.commit[:short], d.branch)
	if d.refspec != "" {
		where += fmt.Sprintf(" and refspecs '%s'", d.refspec)
	}
	return loop.Event{Reason: imagev1.ReasonSucceeded, Message: where + "\n" + d.message}
}
