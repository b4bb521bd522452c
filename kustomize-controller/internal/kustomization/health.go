package kustomization

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/manifest"
)

// defaultHealthVersion is that of health checks that name none.
const defaultHealthVersion = "apps/v1"

// awaitHealth ends the run until all objects are healthy, if that is asked for. A
// change of the health of any of them asks for another run, and so does a new
// revision; no worker is held meanwhile.
func (r *Reconciler) awaitHealth(ctx context.Context, s *scope) error {
	open, unserved := s.unhealthy()
	m := s.memory
	if len(open) == 0 {
		return nil
	}
	if what := s.waitKey(); m.waitFor != what {
		m.waitFor, m.waitSince = what, s.start
	}
	timeout := s.ks.GetTimeout()
	left := timeout - time.Since(m.waitSince)
	err := verdict(open, left, timeout, !r.opts.WaitForStalled)
	if err == nil {
		if unserved {
			left = min(left, lookAgain) // nothing tells that a kind is served
		}
		return loop.Progress(left, "Running health checks for revision %s with a timeout of %s", s.revision(), timeout)
	}
	err = verdict(s.at.Lone.Explained(ctx, open), left, timeout, !r.opts.WaitForStalled)
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

// checksHealth reports whether a Kustomization asks for the health of anything.
func checksHealth(ks *kustomizev1.Kustomization) bool {
	return ks.Spec.Wait || len(ks.Spec.HealthChecks) > 0
}

// unhealthy returns what is not healthy of all that the spec asks for, and has any change
// of that ask for a run; but for what is of a kind that is not served.
func (s *scope) unhealthy() (open []health.Verdict, unserved bool) {
	var applied, lone []health.Awaited
	var unknown []health.Verdict
	if s.ks.Spec.Wait {
		applied = s.awaited()
	} else {
		lone, unknown = s.named()
	}
	s.at.Health.Await(s.owner, applied)
	s.at.Lone.Await(s.owner, lone)
	return slices.Concat(s.at.Health.Check(s.owner), s.at.Lone.Check(s.owner), unknown), len(unknown) > 0
}

// awaited returns the applied objects whose health takes watching.
func (s *scope) awaited() []health.Awaited {
	var out []health.Awaited
	for _, stage := range s.plan.Stages {
		for _, item := range stage.Items {
			rule := s.expressions.health.For(item.ID.GroupKind().WithVersion(s.plan.Inventory[item.ID]))
			if item.Action == apply.Skip || rule == nil && health.Immediate(item.ID.GroupKind()) || s.isSelf(item.ID) {
				continue
			}
			last := s.at.Drift.Recall(item.ID).Last
			if last.Content == "" {
				continue // it asks not to be applied, as was seen only then
			}
			out = append(out, health.Awaited{ID: item.ID, Resource: last.Resource, Version: last.Version, Rule: rule})
		}
	}
	return out
}

// named returns the objects that the spec names for health checks, which may be anybody's.
// Those of a kind that is not served, or not yet, are not healthy.
func (s *scope) named() (out []health.Awaited, unknown []health.Verdict) {
	for _, ref := range s.ks.Spec.HealthChecks {
		gvk := schema.FromAPIVersionAndKind(cmp.Or(ref.APIVersion, defaultHealthVersion), ref.Kind)
		id := manifest.ID{Group: gvk.Group, Kind: gvk.Kind, Namespace: ref.Namespace, Name: ref.Name}
		if s.isSelf(id) {
			continue
		}
		resource, namespaced, err := s.at.Resource(gvk)
		if err != nil {
			unknown = append(unknown, health.Verdict{ID: id, Status: health.NotFound, Message: err.Error()})
			continue
		}
		switch {
		case !namespaced:
			id.Namespace = ""
		case id.Namespace == "":
			id.Namespace = s.ks.Namespace
		}
		out = append(out, health.Awaited{
			ID: id, Resource: resource, Version: s.at.Drift.Recall(id).Last.Version, Rule: s.expressions.health.For(gvk),
		})
	}
	return out, unknown
}

// isSelf reports whether an object is the Kustomization that applies it, which cannot
// wait for itself.
func (s *scope) isSelf(id manifest.ID) bool {
	return id.Kind == kustomizev1.KustomizationKind && id.Group == kustomizev1.GroupVersion.Group &&
		id.Namespace == s.owner.Namespace && id.Name == s.owner.Name
}

// verdict decides what becomes of a wait for the objects that are not healthy: nil
// means to go on. If failFast, the first that has failed ends it.
func verdict(open []health.Verdict, left, timeout time.Duration, failFast bool) error {
	var failed, pending []string
	for _, v := range open {
		if v.Status == health.Failed && failFast {
			failed = append(failed, v.String())
		} else {
			pending = append(pending, v.String())
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
