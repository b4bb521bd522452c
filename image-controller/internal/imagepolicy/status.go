package imagepolicy

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/log"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/loop"
)

// publish says in the status what was selected, and what it was before.
func (r *Reconciler) publish(ctx context.Context, s *scope) error {
	last := s.obj.Status.LatestRef
	if last != nil && *last == s.ref {
		log.FromContext(ctx).V(1).Info("the latest image is as it was", "image", s.ref.String())
		return nil
	}
	log.FromContext(ctx).Info("selected another image", "image", s.ref.String())
	if last != nil {
		s.obj.Status.ObservedPreviousRef = last
	}
	s.obj.Status.LatestRef = &s.ref
	return nil
}

// Report implements loop.Reconciler.
func (r *Reconciler) Report(obj *imagev1.ImagePolicy, _ loop.Outcome) (reason, message string) {
	return imagev1.ReasonSucceeded, selected(obj.Status)
}

// selected says which image is the latest, and which was before it.
func selected(status imagev1.ImagePolicyStatus) string {
	ref := status.LatestRef
	if ref == nil {
		return "" // of a run that has selected nothing, which says itself why
	}
	text := fmt.Sprintf("Latest image tag for %s resolved to %s", ref.Name, ref.Tag)
	if ref.Digest != "" {
		text += " with digest " + ref.Digest
	}
	if previous := status.ObservedPreviousRef; previous != nil && *previous != *ref {
		text += " (previously " + previous.String() + ")"
	}
	return text
}

// Events implements loop.Reconciler. What was told is not told again.
func (r *Reconciler) Events(before, after *imagev1.ImagePolicy, out loop.Outcome) []loop.Event {
	switch {
	case loop.Repeats(before, after), !after.DeletionTimestamp.IsZero() && out.Verdict == loop.Succeeded:
		return nil
	case out.Verdict == loop.Succeeded:
		return []loop.Event{{Reason: imagev1.ReasonSucceeded, Message: selected(after.Status)}}
	case out.Reason == imagev1.ReasonDependencyNotReady:
		return nil // which every policy is at first, and nothing is wrong with it
	default:
		return []loop.Event{{Warning: true, Reason: out.Reason, Message: out.Message()}}
	}
}
