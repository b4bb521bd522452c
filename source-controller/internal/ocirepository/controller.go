// Package ocirepository reconciles OCIRepository objects: it follows a tag, or a range
// of versions, of an artifact in a container registry, and publishes one of its layers.
//
// A run that finds nothing new costs one HEAD to the registry and none to the API
// server. What a tag was resolved to is what is verified and pulled: the tag may move
// meanwhile.
package ocirepository

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlsource "sigs.k8s.io/controller-runtime/pkg/source"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/signature"
	"weir.dev/source-controller/internal/source"
)

// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=ocirepositories,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=ocirepositories/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=ocirepositories/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets;serviceaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts/token,verbs=create
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Identities get credentials of short life from clouds.
type Identities interface {
	Registry(ctx context.Context, provider string, o cloud.Object, address string, proxy creds.Proxy) (authn.Authenticator, error)
	ServiceAccount(o cloud.Object) (string, error)
	Forget(o cloud.Object)
}

// Options bound what is read of an artifact. The zero value is generous.
type Options struct {
	MaxLayer int64          // bytes of a layer; 0 means archive.DefaultMaxSize
	Unpacked archive.Limits // of a layer that is extracted
}

// Reconciler publishes OCIRepository objects.
type Reconciler struct {
	shelf      *source.Shelf
	secrets    secrets
	registries *oci.Client
	identities Identities
	signatures *signature.Verifiers
	opts       Options

	save  func(context.Context, *sourcev1.OCIRepository) error
	deeds source.Deeds
}

// secrets are the Secrets and ServiceAccounts that objects read.
type secrets interface {
	For(obj source.Object) client.Reader
	Forget(obj source.Object)
	Wake() ctrlsource.Source
}

// New returns a Reconciler.
func New(c source.Services, registries *oci.Client, signatures *signature.Verifiers, opts Options) *Reconciler {
	if opts.MaxLayer == 0 {
		opts.MaxLayer = archive.DefaultMaxSize
	}
	return &Reconciler{
		shelf: c.Shelf(sourcev1.OCIRepositoryKind), secrets: c.Secrets(sourcev1.OCIRepositoryKind), identities: c.Identities,
		registries: registries, signatures: signatures, opts: opts,
	}
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(sourcev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*sourcev1.OCIRepository]{
		FieldOwner: d.Name, Jitter: d.Jitter(), Metrics: d.Durations(),
	})
	r.save = l.Save
	return ctrl.NewControllerManagedBy(d.Manager()).
		For(&sourcev1.OCIRepository{}, builder.WithPredicates(loop.Asked())).
		WatchesRawSource(r.secrets.Wake()).
		WithOptions(d.ControllerOptions()).
		Complete(l)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, repo *sourcev1.OCIRepository) error {
	s := &scope{repo: repo}
	defer r.deeds.Keep(repo, &s.did)
	return loop.Run(ctx, s,
		r.forgetLostArtifact, // the status never advertises a file that is gone
		r.collectGarbage,
		r.authenticate,
		r.resolve, // asks for a digest; pulls nothing
		r.verify,
		r.stopIfPublished,
		r.inspect,
		r.publish,
		r.link,
	)
}

// Finalize implements loop.Reconciler.
func (r *Reconciler) Finalize(_ context.Context, repo *sourcev1.OCIRepository) error {
	var did source.Deed
	defer r.deeds.Keep(repo, &did)
	r.identities.Forget(identityOf(repo))
	r.secrets.Forget(repo)
	return r.shelf.Clear(repo, &did)
}

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *sourcev1.OCIRepository, out loop.Outcome) []loop.Event {
	told := r.deeds.Events(before, after, out)
	if trace, ok := missingLogin(after, out.Err); ok && !loop.Repeats(before, after) {
		told = append(told, loop.Event{Trace: true, Reason: sourcev1.ReasonAuthenticationFailed, Message: trace})
	}
	return told
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
	repo *sourcev1.OCIRepository

	session  *oci.Session  // by authenticate
	ref      string        // by resolve: what was followed, for people
	digest   v1.Hash       // by resolve
	revision string        // by resolve
	image    *v1.Manifest  // by inspect
	layer    v1.Descriptor // by inspect

	did source.Deed // by the steps that do what an event tells
}
