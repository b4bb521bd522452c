package kustomization

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/loop"
)

// awaitHealth ends the run until all objects are healthy, if that is asked for. A
// change of the health of any of them asks for another run, and so does a new
// revision; no worker is held meanwhile.
func (r *Reconciler) awaitHealth(_ context.Context, s *scope) error {
	if !s.ks.Spec.Wait {
		s.at.Health.Await(s.owner, nil)
		return nil
	}
	s.at.Health.Await(s.owner, s.awaited())
	open := s.at.Health.Check(s.owner)
	m := s.memory
	if len(open) == 0 {
		return nil
	}
	if what := s.waitKey(); m.waitFor != what {
		m.waitFor, m.waitSince = what, s.start
	}
	timeout := s.ks.GetTimeout()
	left := timeout - time.Since(m.waitSince)
	err := verdict(open, left, timeout)
	if err == nil {
		return loop.Progress(left, "Running health checks for revision %s with a timeout of %s", s.revision(), timeout)
	}
	if m.unhealthy != m.waitFor {
		m.unhealthy = m.waitFor // a retry that sees the same is no news
		remember(s, kustomizev1.ReasonHealthCheckFailed)
	}
	return loop.Fail(kustomizev1.ReasonHealthCheckFailed, err)
}

// begun is when the work began that this run concludes: with the run that began to
// wait, if one did.
func (s *scope) begun() time.Time {
	if s.memory.waitFor == s.waitKey() {
		return s.memory.waitSince
	}
	return s.start
}

// waitKey identifies what is waited for: a new revision or spec begins a new wait.
func (s *scope) waitKey() string {
	return fmt.Sprintf("%s %d %s", s.revision(), s.ks.Generation, s.result.Digest)
}

// awaited returns the objects whose health takes watching.
func (s *scope) awaited() []health.Awaited {
	var out []health.Awaited
	for _, stage := range s.plan.Stages {
		for _, item := range stage.Items {
			if item.Action == apply.Skip || health.Immediate(item.ID.GroupKind()) || s.isSelf(item) {
				continue
			}
			last := s.at.Drift.Recall(item.ID).Last
			if last.Content == "" {
				continue // it asks not to be applied, as was seen only then
			}
			out = append(out, health.Awaited{ID: item.ID, Resource: last.Resource, Version: last.Version})
		}
	}
	return out
}

// isSelf reports whether an item is the Kustomization that applies it, which cannot
// wait for itself.
func (s *scope) isSelf(item apply.Item) bool {
	return item.ID.Kind == kustomizev1.KustomizationKind && item.ID.Group == kustomizev1.GroupVersion.Group &&
		item.ID.Namespace == s.owner.Namespace && item.ID.Name == s.owner.Name
}

// verdict decides what becomes of a wait for the objects that are not healthy: nil
// means to go on.
func verdict(open []health.Verdict, left, timeout time.Duration) error {
	var failed, pending []string
	for _, v := range open {
		text := fmt.Sprintf("%s status: '%s'", v.ID, v.Status)
		if v.Message != "" {
			text += ": " + v.Message
		}
		if v.Status == health.Failed {
			failed = append(failed, text)
		} else {
			pending = append(pending, text)
		}
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("health check failed: failed early due to stalled resources: [%s]", strings.Join(failed, ", "))
	case left <= 0:
		return fmt.Errorf("health check failed after %s: %w: [%s]", timeout, errTimeout, strings.Join(pending, ", "))
	default:
		return nil
	}
}

var errTimeout = errors.New("timeout waiting for")
