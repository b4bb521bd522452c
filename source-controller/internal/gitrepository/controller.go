// Package gitrepository reconciles GitRepository objects: it follows a reference
// of a Git remote and publishes the tree of its commit as an artifact.
//
// A run that finds nothing new costs one request to the remote and none to the
// API server. What is published is never replaced by anything that is not whole:
// while a remote or the storage fails, the last artifact stays advertised.
package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=gitrepositories,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=gitrepositories/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=gitrepositories/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets;serviceaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts/token,verbs=create
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Reconciler publishes GitRepository objects.
type Reconciler struct {
	shelf   *source.Shelf
	secrets *source.Secrets
	access  *gitaccess.Access
	stores  *git.Stores
	remotes *git.Client
	requeue time.Duration

	reader client.Reader // of GitRepository objects, from the cache
	save   func(context.Context, *sourcev1.GitRepository) error
	deeds  source.Deeds

	modules sync.Map // the remotes of submodules, by the UID of the object
}

// New returns a Reconciler that keeps objects in stores. After requeue, an included
// repository that is not there is looked for again; its coming is noticed at once.
func New(c source.Services, stores *git.Stores, remotes *git.Client, requeue time.Duration) *Reconciler {
	access := gitaccess.New(c.Identities)
	access.Legacy = logLegacyKeys
	return &Reconciler{
		shelf: c.Shelf(sourcev1.GitRepositoryKind), secrets: c.Secrets(sourcev1.GitRepositoryKind), access: access,
		stores: stores, remotes: remotes, requeue: requeue,
	}
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(sourcev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	r.reader = d.Client()
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*sourcev1.GitRepository]{
		FieldOwner: d.Name, Jitter: d.Jitter(), Metrics: d.Durations(),
	})
	r.save = l.Save
	if err := d.Manager().Add(manager.RunnableFunc(func(ctx context.Context) error { return gitaccess.Sweep(ctx, r.stores) })); err != nil {
		return err
	}
	if err := d.Manager().GetFieldIndexer().IndexField(context.Background(), &sourcev1.GitRepository{}, includeIndex, indexIncludes); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(d.Manager()).
		For(&sourcev1.GitRepository{}, builder.WithPredicates(loop.Asked())).
		Watches(&sourcev1.GitRepository{}, handler.EnqueueRequestsFromMapFunc(r.includers), builder.WithPredicates(forIncluders())).
		WatchesRawSource(r.secrets.Wake()).
		WithOptions(d.ControllerOptions()).
		Complete(l)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, repo *sourcev1.GitRepository) error {
	s := &scope{repo: repo}
	defer s.close()
	defer r.deeds.Keep(repo, &s.did)
	return loop.Run(ctx, s,
		r.forgetLostArtifact, // the status never advertises a file that is gone
		r.collectGarbage,
		r.checkVerification,
		r.findIncludes, // which are published here, so that nobody is asked
		r.authenticate,
		r.resolveRevision, // asks the remote; fetches nothing
		r.stopIfPublished,
		r.fetch,
		r.verifySignature,
		r.stopIfVerified, // when that was all there was to do
		r.list,
		r.addSubmodules,
		r.addIncludes,
		r.publish,
	)
}

// Finalize implements loop.Reconciler.
func (r *Reconciler) Finalize(_ context.Context, repo *sourcev1.GitRepository) error {
	var did source.Deed
	defer r.deeds.Keep(repo, &did)
	r.access.Forget(repo)
	r.secrets.Forget(repo)
	r.modules.Delete(repo.UID)
	return r.shelf.Clear(repo, &did)
}

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *sourcev1.GitRepository, out loop.Outcome) []loop.Event {
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
	repo *sourcev1.GitRepository

	remote   *git.Remote   // by authenticate
	objects  *git.Store    // by authenticate: what was fetched before
	conn     *git.Conn     // by resolveRevision, unless the revision is known without
	targets  []git.Target  // by resolveRevision; usually one
	target   git.Target    // by resolveRevision, or by fetch where there are several
	snapshot *git.Snapshot // by fetch

	includes []include                    // by findIncludes
	verified sourcev1.GitVerificationMode // by verifySignature: what was found signed
	files    []file                       // by list, addSubmodules and addIncludes
	open     []io.Closer                  // by the steps that read files from elsewhere

	did source.Deed // by the steps that do what an event tells
}

func (s *scope) close() {
	s.closeConn()
	for _, c := range s.open {
		_ = c.Close() // it was only read
	}
}

func (s *scope) closeConn() {
	if s.conn != nil {
		_ = s.conn.Close() // everything was read, or the run failed for another reason
	}
}

// onClose closes c when the run ends.
func (s *scope) onClose(c io.Closer) { s.open = append(s.open, c) }

// failed wraps an error of git with the reason that a condition gives.
func failed(err error) error {
	wrapped := fmt.Errorf("failed to checkout and determine revision: %w", err)
	switch {
	case errors.Is(err, git.ErrEmpty):
		return loop.Fail(sourcev1.ReasonEmptyGitRepository, git.ErrEmpty)
	case errors.Is(err, git.ErrInvalidReference):
		return loop.Stall(sourcev1.ReasonGitOperationFailed, wrapped)
	case errors.Is(err, git.ErrUnauthorized), errors.Is(err, git.ErrUntrusted):
		return loop.Fail(sourcev1.ReasonAuthenticationFailed, wrapped)
	default:
		return loop.Fail(sourcev1.ReasonGitOperationFailed, wrapped)
	}
}
