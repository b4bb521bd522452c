// Package bucket reconciles Bucket objects: it publishes the objects of a bucket in an
// object storage as an artifact.
//
// A run that finds nothing new costs one listing, a request for each thousand objects,
// and no request to the API server. Objects that were downloaded stay on disk, so that
// only those that changed are downloaded again. What is published is never replaced by
// anything that is not whole: while a storage or the disk fails, the last artifact stays
// advertised.
package bucket

import (
	"context"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"golang.org/x/oauth2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/bucket/mirror"
	"weir.dev/source-controller/internal/source"
)

// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=buckets,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=buckets/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=buckets/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets;serviceaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts/token,verbs=create
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// sweepEvery is how often downloaded objects are looked for that belong to no Bucket.
const sweepEvery = time.Hour

// Identities get the credentials of Buckets that name no Secret.
type Identities interface {
	S3(ctx context.Context, o cloud.Object, region, endpoint string, proxy creds.Proxy) (cloud.Keys, error)
	GCS(ctx context.Context, o cloud.Object, proxy creds.Proxy) (oauth2.TokenSource, error)
	Blobs(o cloud.Object, proxy creds.Proxy) (azcore.TokenCredential, error)
	Forget(o cloud.Object)
}

// Reconciler publishes Bucket objects.
type Reconciler struct {
	shelf       *source.Shelf
	secrets     *source.Secrets
	mirror      *mirror.Mirror
	identities  Identities
	connections connections

	reader client.Reader // of Bucket objects, from the cache
	save   func(context.Context, *sourcev1.Bucket) error
	deeds  source.Deeds
}

// New returns a Reconciler that keeps downloaded objects in m.
func New(c source.Services, m *mirror.Mirror) *Reconciler {
	return &Reconciler{shelf: c.Shelf(sourcev1.BucketKind), secrets: c.Secrets(sourcev1.BucketKind), mirror: m, identities: c.Identities}
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(sourcev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	r.reader = d.Client()
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*sourcev1.Bucket]{
		FieldOwner: d.Name, Jitter: d.Jitter(), Metrics: d.Durations(),
	})
	r.save = l.Save
	if err := d.Manager().Add(manager.RunnableFunc(r.sweep)); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(d.Manager()).
		For(&sourcev1.Bucket{}, builder.WithPredicates(loop.Asked())).
		WatchesRawSource(r.secrets.Wake()).
		WithOptions(d.ControllerOptions()).
		Complete(l)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, b *sourcev1.Bucket) error {
	s := &scope{bucket: b}
	defer s.close()
	defer r.deeds.Keep(b, &s.did)
	return loop.Run(ctx, s,
		r.forgetLostArtifact, // the status never advertises a file that is gone
		r.collectGarbage,
		r.connect, // reads Secrets; asks no storage
		r.list,    // the only request of a run that finds nothing new
		r.readIgnoreFile,
		r.choose,
		r.stopIfPublished,
		r.download,
		r.stopIfPublished, // what is new may be gone again
		r.publish,
		r.link,
	)
}

// Finalize implements loop.Reconciler.
func (r *Reconciler) Finalize(_ context.Context, b *sourcev1.Bucket) error {
	var did source.Deed
	defer r.deeds.Keep(b, &did)
	r.connections.forget(b.UID)
	r.identities.Forget(whose(b))
	r.secrets.Forget(b)
	if err := r.shelf.Clear(b, &did); err != nil {
		return err
	}
	if err := r.mirror.Remove(b.Namespace, b.Name); err != nil {
		return loop.Fail(sourcev1.ReasonGarbageCollectionFailed, fmt.Errorf("garbage collection for deleted resource failed: %w", err))
	}
	return nil
}

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *sourcev1.Bucket, out loop.Outcome) []loop.Event {
	return r.deeds.Events(before, after, out)
}

// forgetLostArtifact takes from the status what cannot be downloaded any more.
func (r *Reconciler) forgetLostArtifact(ctx context.Context, s *scope) error {
	err := r.shelf.ForgetLost(ctx, s.bucket, &s.did)
	if s.bucket.Status.Artifact == nil {
		s.bucket.Status.URL = ""
	}
	return err
}

// collectGarbage removes artifacts that are no longer advertised.
func (r *Reconciler) collectGarbage(ctx context.Context, s *scope) error {
	return r.shelf.Collect(ctx, s.bucket, &s.did)
}

// sweep removes what is kept for Buckets that went away while nobody looked, now and
// again.
func (r *Reconciler) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		n, err := r.mirror.Sweep(func() (map[string]bool, error) { return r.known(ctx) })
		if err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "removing downloaded objects that belong to no bucket")
		}
		if n > 0 {
			log.FromContext(ctx).Info("removed downloaded objects that belong to no bucket", "buckets", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// known returns the Buckets that there are, by namespace and name.
func (r *Reconciler) known(ctx context.Context) (map[string]bool, error) {
	var list sourcev1.BucketList
	if err := r.reader.List(ctx, &list); err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(list.Items))
	for _, b := range list.Items {
		known[b.Namespace+"/"+b.Name] = true
	}
	return known, nil
}

// whose tells the identities which object asks.
func whose(b *sourcev1.Bucket) cloud.Object {
	return cloud.Object{Kind: sourcev1.BucketKind, Namespace: b.Namespace, Name: b.Name, ServiceAccount: b.Spec.ServiceAccountName}
}
