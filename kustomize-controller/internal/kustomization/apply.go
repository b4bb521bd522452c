package kustomization

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/buildspec"
	"weir.dev/pkg/correction"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/mask"
)

// plan decides what to do about each object.
func (r *Reconciler) plan(_ context.Context, s *scope) error {
	before, err := inventoryOf(s.ks)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonReconciliationFailed, err)
	}
	s.before = before
	prepared, err := r.prepare(s)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonBuildFailed, err)
	}
	s.plan = prepared.Plan(s.at.Drift, apply.Options{Owner: s.owner, Proven: proven(s)})
	return nil
}

// prepare returns the objects in order, with their digests, which is done once for each
// build and spec. The objects of the build are not kept beside it.
func (r *Reconciler) prepare(s *scope) (*apply.Prepared, error) {
	m := s.memory
	if m.prepared != nil && m.preparedFor == s.ks.Generation {
		return m.prepared, nil
	}
	opts := apply.Options{CustomStage: r.opts.CustomStage.Has, Ignore: buildspec.IgnoreRules(s.ks)}
	objects, err := m.objects()
	if err != nil {
		return nil, err
	}
	prepared, err := apply.Prepare(objects, opts)
	if err != nil {
		return nil, err
	}
	m.result.Objects, m.prepared, m.preparedFor = nil, prepared, s.ks.Generation
	return m.prepared, nil
}

// proven reports whether the very same content was applied completely before.
func proven(s *scope) bool {
	last := s.ks.Status.History.Latest()
	return last != nil && last.Digest == s.result.Digest && last.LastReconciledStatus == kustomizev1.ReasonReconciliationSucceeded &&
		s.ks.Status.ObservedGeneration == s.ks.Generation
}

// recordInventory saves the identities of what is about to be created, together
// with those there are, so that a crash loses track of nothing.
func (r *Reconciler) recordInventory(ctx context.Context, s *scope) error {
	if s.before.Contains(s.plan.Inventory) {
		return nil
	}
	defer spend(&s.time().applying, time.Now())
	setInventory(s.ks, inventory.Union(s.before, s.plan.Inventory))
	loop.MarkProgressing(s.ks, "Detecting drift for revision %s with a timeout of %s", s.revision(), s.ks.GetTimeout())
	if err := r.save(ctx, s.ks); err != nil {
		return fmt.Errorf("recording the inventory: %w", err)
	}
	return nil
}

// apply writes what is new or was touched.
func (r *Reconciler) apply(ctx context.Context, s *scope) error {
	if s.plan.Idle() {
		return nil
	}
	took := s.time()
	defer spend(&took.applying, time.Now())
	changes, err := s.at.Engine.Apply(ctx, s.plan, apply.Request{Force: s.ks.Spec.Force, Validated: func(d time.Duration) {
		took.validating += d
		took.applying -= d // which counts all of this
	}})
	hiding := sync.OnceValue(func() *correction.Examiner { return r.hiding(ctx, s) })
	for _, c := range changes {
		switch {
		case c.Restored:
			s.memory.restored = append(s.memory.restored, hiding().Restored(ctx, s.at.Drift, c, s.sinceWoken()))
		case c.Effect != apply.Unchanged && c.Effect != apply.Skipped:
			s.memory.changes = append(s.memory.changes, c)
		}
	}
	if len(s.memory.changes) > 0 {
		log.FromContext(ctx).Info("server-side apply completed", "revision", s.revision(), "output", r.output(s.memory.changes))
	}
	if err != nil {
		remember(s, kustomizev1.ReasonReconciliationFailed)
		return loop.Fail(kustomizev1.ReasonReconciliationFailed, err)
	}
	return nil
}

// hiding returns an examiner that tells no variables that come from Secrets.
func (r *Reconciler) hiding(ctx context.Context, s *scope) *correction.Examiner {
	return r.examiner.Hiding(r.mask(ctx, s).Text)
}

// withoutSecrets returns an error that quotes no variables that come from Secrets, as the API
// server quotes what it refuses.
func (r *Reconciler) withoutSecrets(ctx context.Context, s *scope, err error) error {
	if err == nil || s.variables == nil {
		return err
	}
	return r.mask(ctx, s).Error(err)
}

// mask hides variables that come from Secrets.
func (r *Reconciler) mask(ctx context.Context, s *scope) mask.Mask {
	return mask.New(buildspec.Sensitive(ctx, r.configs(s.ks), s.ks)...)
}

// output is what was changed, for the log: the effect on each object or, if a user has
// many of them, the objects of each effect.
func (r *Reconciler) output(changes []apply.Change) any {
	if !r.opts.GroupChanges {
		effects := make(map[string]string, len(changes))
		for _, c := range changes {
			effects[c.ID.String()] = c.Effect.String()
		}
		return effects
	}
	objects := make(map[string][]string)
	for _, c := range changes {
		objects[c.Effect.String()] = append(objects[c.Effect.String()], c.ID.String())
	}
	return objects
}

// prune deletes what was applied before and is not wanted any more. It is reached
// only if every apply succeeded.
func (r *Reconciler) prune(ctx context.Context, s *scope) error {
	stale := inventory.Difference(s.before, s.plan.Inventory)
	now := s.plan.Inventory
	var err error
	defer s.time().done()
	if len(stale) > 0 && s.ks.Spec.Prune {
		defer spend(&s.time().applying, time.Now())
		var p apply.Pruned
		p, err = s.at.Engine.Prune(ctx, stale, ownedBy(s.ks))
		s.memory.changes = append(s.memory.changes, deleted(p.Changes)...)
		now = inventory.Union(p.Left, now)
	} else {
		for id := range stale {
			s.at.Drift.Forget(id)
		}
	}
	setInventory(s.ks, now)
	if err != nil {
		remember(s, kustomizev1.ReasonPruneFailed)
		return loop.Fail(kustomizev1.ReasonPruneFailed, err)
	}
	return nil
}

// ownedBy tells by its labels whether an object is of a Kustomization.
func ownedBy(ks *kustomizev1.Kustomization) func(metav1.Object) bool {
	return func(obj metav1.Object) bool {
		l := obj.GetLabels()
		return l[kustomizev1.LabelName] == ks.Name && l[kustomizev1.LabelNamespace] == ks.Namespace
	}
}

// conclude records a complete run.
func (r *Reconciler) conclude(_ context.Context, s *scope) error {
	if took := s.time(); took.healthy == 0 {
		spend(&took.healthy, took.applied)
	}
	s.memory.took = time.Since(s.begun())
	last := s.ks.Status.History.Latest()
	if len(s.memory.changes) > 0 || last == nil || last.Digest != s.result.Digest ||
		last.LastReconciledStatus != kustomizev1.ReasonReconciliationSucceeded || last.Metadata[loop.MetaRevision] != s.revision() {
		remember(s, kustomizev1.ReasonReconciliationSucceeded)
		r.metrics.applied(s.owner, *s.time())
	}
	s.memory.waitFor = ""
	s.ks.Status.LastAppliedRevision, s.ks.Status.LastAppliedOriginRevision = s.revision(), s.origin()
	return nil
}

// remember puts the run into the history.
func remember(s *scope, status string) {
	metadata := map[string]string{loop.MetaRevision: s.revision()}
	if origin := s.origin(); origin != "" {
		metadata[loop.MetaOriginRevision] = origin
	}
	for stage, spent := range s.time().all() {
		metadata[stage] = spent.Round(time.Millisecond).String()
	}
	s.ks.Status.History.Upsert(s.result.Digest, time.Now(), time.Since(s.begun()), status, metadata)
}
