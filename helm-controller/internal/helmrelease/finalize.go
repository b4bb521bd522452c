package helmrelease

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/pkg/loop"
)

// errDeleted is the cause of the end of an action of what is being deleted.
var errDeleted = errors.New("the HelmRelease is being deleted")

// Finalize implements loop.Reconciler: it uninstalls the release, and deletes the HelmChart.
// What a HelmRelease that is suspended has made stays.
func (r *Reconciler) Finalize(ctx context.Context, hr *helmv2.HelmRelease) error {
	s := r.scope(hr)
	defer s.end()
	if err := r.awaitOutlived(ctx, s); err != nil {
		return err
	}
	if err := r.awaitLast(ctx, s); err != nil {
		return err
	}
	if !hr.Spec.Suspend {
		if err := r.uninstall(ctx, s); err != nil {
			return err
		}
		if err := r.deleteChart(ctx, hr, s.memory); err != nil {
			return loop.Fail(helmv2.ReasonUninstallFailed, err)
		}
	}
	r.leave(s.owner)
	return nil
}

// awaitLast interrupts the action that is under way, unless that is the last, and takes up
// what came of it.
func (r *Reconciler) awaitLast(ctx context.Context, s *scope) error {
	w := s.memory.work
	if w == nil {
		return nil
	}
	if !w.job.hasEnded() {
		if w.action != plan.Uninstall {
			w.job.interrupt(errDeleted)
		}
		return underWay(s.hr, w.action, r.opts.RequeueDependency)
	}
	defer s.memory.settle() // there is no more to come of it
	r.conclude(ctx, s.hr, s.memory, w)
	if w.action != plan.Uninstall || w.result.Err == nil {
		return nil
	}
	if going, err := r.isGoing(ctx, s.hr, w.place.Namespace); err != nil || !going {
		return loop.Fail(helmv2.ReasonUninstallFailed, &failure{reason: helmv2.ReasonUninstallFailed, message: s.memory.pass.failed.Error()})
	}
	log.FromContext(ctx).Info("the rest of the release goes with its namespace", "release", w.named())
	s.hr.Status.StorageNamespace = ""
	return nil
}

// isGoing reports whether the namespace of a HelmRelease, or that of its release, is being
// deleted. Nothing can be created there any more, such as a hook, and nothing will be left.
// Of other clusters, that is not known.
func (r *Reconciler) isGoing(ctx context.Context, hr *helmv2.HelmRelease, release string) (bool, error) {
	names := []string{hr.Namespace}
	if hr.Spec.KubeConfig == nil {
		names = append(names, release)
	}
	for _, name := range names {
		var ns corev1.Namespace
		err := r.live.Get(ctx, types.NamespacedName{Name: name}, &ns)
		switch {
		case apierrors.IsNotFound(err):
			return true, nil
		case err != nil:
			return false, fmt.Errorf("looking at namespace %q: %w", name, err)
		case !ns.DeletionTimestamp.IsZero():
			return true, nil
		}
	}
	return false, nil
}

// uninstall begins to uninstall the release, if there is one that can be reached.
func (r *Reconciler) uninstall(ctx context.Context, s *scope) error {
	if s.hr.Status.StorageNamespace == "" {
		return nil
	}
	gone, err := r.access.Missing(ctx, r.entering(s.hr))
	if err != nil {
		return loop.Fail(helmv2.ReasonUninstallFailed, err)
	}
	if gone != "" {
		message := fmt.Sprintf("unable to uninstall the release: '%s/%s', which is needed to reach it, is gone; the release is left", s.hr.Namespace, gone)
		log.FromContext(ctx).Info("the release is left, for what it takes to uninstall it is gone", "missing", gone)
		s.memory.tell(loop.Event{Warning: true, Reason: helmv2.ReasonUninstallFailed, Message: message})
		return nil
	}
	if err := r.enterPlace(ctx, s); err != nil {
		return err
	}
	r.recallValues(ctx, s)
	found, err := r.lastOf(ctx, s)
	if err != nil || found == nil {
		return err
	}
	return r.begin(ctx, s, found, plan.Decision{Then: plan.Act, Action: plan.Uninstall, Why: "the HelmRelease is being deleted"})
}

// lastOf returns the release that a HelmRelease has made, nil if there is none. One that was
// made by a process which was killed is known by its objects.
func (r *Reconciler) lastOf(ctx context.Context, s *scope) (*seen, error) {
	at, err := r.formerPlace(ctx, s)
	if err != nil {
		return nil, loop.Fail(helmv2.ReasonUninstallFailed, err)
	}
	if at.Name == "" {
		at = askedPlace(s.hr)
		at.Storage = s.hr.Status.StorageNamespace
	}
	if err := r.claim(s, at); err != nil {
		return nil, err
	}
	found, history, err := r.observe(ctx, s, at)
	known := s.hr.Status.History.Latest() != nil
	switch {
	case err != nil && (!known || !errors.Is(err, releases.ErrCorrupt)): // the uninstallation says what is in its way
		return nil, loop.Fail(helmv2.ReasonUninstallFailed, err)
	case !known && len(found.Recovered) == 0:
		return nil, nil
	}
	if taken, err := r.isTaken(ctx, s, at, found); err != nil || taken {
		return nil, err
	}
	r.takeIn(ctx, s, found.Recovered, at, history)
	return &seen{place: at, history: history}, nil
}

// Forget implements loop.Forgetter, for a HelmRelease that is gone, or is another controller's
// from now on. What is under way for one that is gone ends: nobody takes up what comes of it.
// For one that was moved it goes on to its end, which the other controller finds in the storage.
func (r *Reconciler) Forget(ctx context.Context, owner types.NamespacedName) error {
	if r.jobs.underWay(owner) {
		var hr helmv2.HelmRelease
		if err := r.live.Get(ctx, owner, &hr); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("looking whether HelmRelease %s is gone: %w", owner, err)
		}
		r.jobs.abandon(owner, hr.UID)
		return nil // its end asks for another run
	}
	r.jobs.abandon(owner, "")
	r.leave(owner)
	r.known.forget(owner)
	return nil
}

// leave forgets a HelmRelease that goes, but for what it does and has to tell.
func (r *Reconciler) leave(owner types.NamespacedName) {
	if at := r.clusters.At(owner); at != nil {
		at.Drift.ForgetAll(owner)
	}
	r.clusters.Leave(owner)
	r.wakes.Take(owner)
	r.dependencies.Forget(owner)
	r.backoff.Forget(requestOf(owner))
	if r.opts.Configs != nil {
		r.opts.Configs.Forget(userOf(owner))
	}
}

func keyOf(hr *helmv2.HelmRelease) types.NamespacedName { return client.ObjectKeyFromObject(hr) }
