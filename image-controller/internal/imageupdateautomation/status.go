package imageupdateautomation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-git/go-git/v5/plumbing"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/writeback"
	"weir.dev/pkg/loop"
)

const (
	// upToDate is what Ready says when the repository has what the policies say.
	upToDate = "repository up-to-date"
	// mostProblems is how many problems Ready tells.
	mostProblems = 5
)

// observe records what the repository has now. Where commits go to another branch, the
// revision is the one that the branch is made on: it stays while the branch does.
func observe(s *scope) {
	status := &s.auto.Status
	status.ObservedPolicies = s.observed
	if len(s.observed) == 0 {
		status.ObservedPolicies = nil
	}
	fresh := s.view.tip.IsZero() || s.built.on.Commit.Hash == s.view.start.Commit
	if !s.switched || fresh || observedCommit(status.ObservedSourceRevision).IsZero() {
		status.ObservedSourceRevision = s.view.start.Revision()
	}
}

// recordPush records the commit that was pushed last.
func recordPush(s *scope, commit plumbing.Hash, at time.Time) {
	s.auto.Status.LastPushCommit = commit.String()
	s.auto.Status.LastPushTime = &metav1.Time{Time: at}
}

// remember keeps what this run saw, so that the next one need not do it again.
func (r *Reconciler) remember(_ context.Context, s *scope) error {
	if s.done {
		return nil
	}
	s.memory.sight = s.sight()
	s.memory.message = summary(s)
	if problems := s.built.update.Problems; len(problems) > 0 {
		s.memory.did.problems = list(problems)
	}
	return nil
}

// summary is what Ready says after a run.
func summary(s *scope) string {
	message := upToDate
	if s.merged.URL != "" {
		message += fmt.Sprintf(", pull request %s is %s", s.merged.URL, s.merged.State)
	}
	if problems := told(s); problems != "" {
		message += "; " + problems
	}
	return message
}

// told says what is not updated though somebody may think that it is.
func told(s *scope) string {
	problems := s.built.update.Problems
	if len(problems) == 0 {
		if s.built.update.Marked == 0 {
			return noMarkers(s.auto)
		}
		return ""
	}
	return "not updated: " + list(problems)
}

// noMarkers says that nothing is marked.
func noMarkers(auto *imagev1.ImageUpdateAutomation) string {
	if auto.Spec.Update != nil && auto.Spec.Update.Path != "" {
		return fmt.Sprintf("no file in '%s' has a marker", auto.Spec.Update.Path)
	}
	return "no file has a marker"
}

// list names the first problems.
func list(problems []writeback.Problem) string {
	var texts []string
	for _, p := range problems[:min(len(problems), mostProblems)] {
		texts = append(texts, p.String())
	}
	if more := len(problems) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// Report implements loop.Reconciler. That a run was there is recorded with what else it
// changes, and not by itself.
func (r *Reconciler) Report(auto *imagev1.ImageUpdateAutomation, out loop.Outcome) (reason, message string) {
	own := r.memory.of(auto.UID)
	ready := metav1.Condition{Status: metav1.ConditionFalse, Reason: out.Reason, Message: out.Message(), ObservedGeneration: auto.Generation}
	if out.Verdict == loop.Succeeded {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionTrue, imagev1.ReasonSucceeded, own.message
	} else {
		own.sight = nil // what has failed is done again
	}
	if changes(auto, own.before, ready, out) {
		auto.Status.LastAutomationRunTime = &metav1.Time{Time: r.now()}
	}
	return ready.Reason, ready.Message
}

// changes reports whether the status will be another than before once the outcome is in it.
func changes(auto *imagev1.ImageUpdateAutomation, before imagev1.ImageUpdateAutomationStatus, ready metav1.Condition, out loop.Outcome) bool {
	now := conditions.Get(auto, meta.ReadyCondition)
	token, asks := loop.RequestedAt(auto)
	settled := out.Verdict == loop.Succeeded || out.Verdict == loop.Stalled
	return now == nil || now.Status != ready.Status || now.Reason != ready.Reason || now.Message != ready.Message ||
		now.ObservedGeneration != ready.ObservedGeneration ||
		asks && token != before.LastHandledReconcileAt ||
		settled && before.ObservedGeneration != auto.Generation ||
		!equality.Semantic.DeepEqual(before, auto.Status)
}
