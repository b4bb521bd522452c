// Package helmrepository reconciles HelmRepository objects: it follows the index of a
// chart repository and publishes it as JSON.
//
// A run that finds nothing new costs one conditional request to the server and none to
// the API server, also after a restart. What is published is never replaced by anything
// that is not a valid index: while a server or the storage fails, the last artifact
// stays advertised. An object of the type "oci" is left alone: it only holds what
// HelmChart objects read.
package helmrepository

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/helm"
	"weir.dev/source-controller/internal/helm/index"
	"weir.dev/source-controller/internal/helm/remote"
	"weir.dev/source-controller/internal/source"
)

// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=helmrepositories,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=helmrepositories/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=helmrepositories/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Reconciler publishes HelmRepository objects.
type Reconciler struct {
	shelf   *source.Shelf
	secrets *source.Secrets
	notes   *notes
	wires   *remote.Wires
	limit   int64 // bytes of an index

	save  func(context.Context, *sourcev1.HelmRepository) error
	deeds source.Deeds
}

// New returns a Reconciler that keeps in the folder dir, which is not to be served, what
// it has to know of artifacts.
func New(c source.Services, dir string, wires *remote.Wires, opts helm.Options) *Reconciler {
	return &Reconciler{
		shelf: c.Shelf(sourcev1.HelmRepositoryKind), secrets: c.Secrets(sourcev1.HelmRepositoryKind),
		notes: newNotes(dir), wires: wires, limit: opts.IndexMaxSize,
	}
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(sourcev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*sourcev1.HelmRepository]{
		FieldOwner: d.Name, Jitter: d.Jitter(), Metrics: d.Durations(),
	})
	r.save = l.Save
	return ctrl.NewControllerManagedBy(d.Manager()).
		For(&sourcev1.HelmRepository{}, builder.WithPredicates(loop.Asked())).
		WatchesRawSource(r.secrets.Wake()).
		WithOptions(d.ControllerOptions()).
		Complete(l)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, repo *sourcev1.HelmRepository) error {
	s := &scope{repo: repo}
	defer r.deeds.Keep(repo, &s.did)
	return loop.Run(ctx, s,
		r.forgetLostArtifact, // the status never advertises a file that is gone
		r.collectGarbage,
		r.authenticate,
		r.fetch, // reads nothing if the server knows that nothing is new
		r.stopIfPublished,
		r.parse,
		r.publish,
		r.note,
	)
}

// Finalize implements loop.Reconciler.
func (r *Reconciler) Finalize(_ context.Context, repo *sourcev1.HelmRepository) error {
	var did source.Deed
	defer r.deeds.Keep(repo, &did)
	r.notes.forget(repo)
	r.secrets.Forget(repo)
	return r.shelf.Clear(repo, &did)
}

// Abstains implements loop.Abstainer.
func (r *Reconciler) Abstains(repo *sourcev1.HelmRepository) bool { return repo.IsOCI() }

// Withdraw implements loop.Abstainer.
func (r *Reconciler) Withdraw(_ context.Context, repo *sourcev1.HelmRepository) error {
	r.notes.forget(repo)
	r.secrets.Forget(repo)
	if err := r.shelf.Clear(repo, new(source.Deed)); err != nil {
		return err
	}
	repo.Status = sourcev1.HelmRepositoryStatus{}
	return nil
}

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *sourcev1.HelmRepository, out loop.Outcome) []loop.Event {
	return r.deeds.Events(before, after, out)
}

// forgetLostArtifact takes from the status what cannot be downloaded any more.
func (r *Reconciler) forgetLostArtifact(ctx context.Context, s *scope) error {
	return r.shelf.ForgetLost(ctx, s.repo, &s.did)
}

// collectGarbage removes artifacts that are no longer advertised.
func (r *Reconciler) collectGarbage(ctx context.Context, s *scope) error {
	return r.shelf.Collect(ctx, s.repo, &s.did)
}

// scope is what one run knows.
type scope struct {
	repo *sourcev1.HelmRepository

	remote   *remote.Repository // by authenticate
	answer   remote.Answer      // by fetch
	revision string             // by fetch
	index    *index.Index       // by parse

	did source.Deed // by the steps that do what an event tells
}
