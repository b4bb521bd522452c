// Package helmchart reconciles HelmChart objects: it publishes a packaged chart, of a
// chart repository as it is there, or packaged from the files of another source.
//
// A run that finds the source as it was reads nothing and asks nobody. A chart that is
// published is not downloaded again. While a chart cannot be had or built, the last one
// stays advertised.
package helmchart

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/helm"
	"weir.dev/source-controller/internal/helm/access"
	"weir.dev/source-controller/internal/helm/chart"
	"weir.dev/source-controller/internal/helm/remote"
	"weir.dev/source-controller/internal/signature"
	"weir.dev/source-controller/internal/source"
)

// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=helmcharts,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=helmcharts/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=helmcharts/finalizers,verbs=update
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=helmrepositories;gitrepositories;buckets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// remoteTimeout bounds what is asked of chart repositories that no HelmRepository has a
// timeout for.
const remoteTimeout = time.Minute

// Options are those of a Reconciler.
type Options struct {
	helm.Options
	// Requeue is when an object is looked at again whose source is not ready.
	Requeue time.Duration
}

// Reconciler publishes HelmChart objects.
type Reconciler struct {
	shelf   *source.Shelf
	secrets *source.Secrets
	sources map[string]*source.Shelf // by kind
	indexes *indexes

	wires      *remote.Wires
	registries *oci.Client
	identities access.Identities
	signatures *signature.Verifiers
	opts       Options

	client client.Reader // of objects, from the cache
	save   func(context.Context, *sourcev1.HelmChart) error
	deeds  source.Deeds
	asides asides
}

// New returns a Reconciler that finds the artifacts of sources where it keeps its own.
func New(c source.Services, wires *remote.Wires, registries *oci.Client, signatures *signature.Verifiers, opts Options) *Reconciler {
	r := &Reconciler{
		shelf: c.Shelf(sourcev1.HelmChartKind), secrets: c.Secrets(sourcev1.HelmChartKind),
		sources: make(map[string]*source.Shelf), indexes: newIndexes(opts.Options),
		wires: wires, registries: registries, identities: c.Identities, signatures: signatures, opts: opts,
	}
	for _, kind := range []string{sourcev1.HelmRepositoryKind, sourcev1.GitRepositoryKind, sourcev1.BucketKind} {
		r.sources[kind] = c.Shelf(kind)
	}
	return r
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(sourcev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	r.client = d.Client()
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*sourcev1.HelmChart]{
		FieldOwner: d.Name, Jitter: d.Jitter(), Metrics: d.Durations(),
	})
	r.save = l.Save
	if err := d.Manager().GetFieldIndexer().IndexField(context.Background(), &sourcev1.HelmChart{}, sourceIndex, indexSource); err != nil {
		return err
	}
	if r.indexes.enabled() {
		if err := d.Manager().Add(r.indexes); err != nil {
			return err
		}
	}
	b := ctrl.NewControllerManagedBy(d.Manager()).
		For(&sourcev1.HelmChart{}, builder.WithPredicates(loop.Asked())).
		WatchesRawSource(r.secrets.Wake()).
		WithOptions(d.ControllerOptions())
	for _, kind := range []source.Object{&sourcev1.HelmRepository{}, &sourcev1.GitRepository{}, &sourcev1.Bucket{}} {
		b.Watches(kind, handler.EnqueueRequestsFromMapFunc(r.behind), builder.WithPredicates(published()))
	}
	return b.Complete(l)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, obj *sourcev1.HelmChart) error {
	s := &scope{obj: obj, access: access.Reader{Secrets: r.secrets.For(obj), Identities: r.identities}}
	defer r.deeds.Keep(obj, &s.did)
	defer r.asides.keep(obj, &s.aside)
	return loop.Run(ctx, s,
		r.forgetLostArtifact, // the status never advertises a file that is gone
		r.collectGarbage,
		r.findSource,
		r.stopIfNothingNew,
		r.resolve, // finds out which chart is meant; downloads nothing
		r.verify,
		r.stopIfPublished,
		r.announce,
		r.build,
		r.publish,
	)
}

// Finalize implements loop.Reconciler.
func (r *Reconciler) Finalize(_ context.Context, obj *sourcev1.HelmChart) error {
	var did source.Deed
	defer r.deeds.Keep(obj, &did)
	r.secrets.Forget(obj)
	return r.shelf.Clear(obj, &did)
}

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *sourcev1.HelmChart, out loop.Outcome) []loop.Event {
	return append(r.asides.events(after.UID), r.deeds.Events(before, after, out)...)
}

// forgetLostArtifact takes from the status what cannot be downloaded any more.
func (r *Reconciler) forgetLostArtifact(ctx context.Context, s *scope) error {
	return r.shelf.ForgetLost(ctx, s.obj, &s.did)
}

// collectGarbage removes artifacts that are no longer advertised.
func (r *Reconciler) collectGarbage(ctx context.Context, s *scope) error {
	return r.shelf.Collect(ctx, s.obj, &s.did)
}

// scope is what one run knows.
type scope struct {
	obj    *sourcev1.HelmChart
	access access.Reader

	source  source.Object // by findSource
	origin  origin        // by resolve: where the chart is
	name    string        // by resolve
	version string        // by resolve: of the chart in its origin
	want    string        // by resolve: the version to publish

	product product // by build

	did   source.Deed // by the steps that do what an event tells
	aside aside       // likewise
}

// origin is where a chart comes from.
type origin interface {
	// chart reads the chart. The package is nil unless it is there as one.
	chart(ctx context.Context) (c *chart.Chart, packaged []byte, err error)
	// values reads a values file; the error wraps chart.ErrNotFound if there is none.
	values(c *chart.Chart, name string) ([]byte, error)
	// dependencies returns how to find what a chart needs; nil if it is complete.
	dependencies() *dependencies
}

// key is the name of an object.
func key(obj client.Object) types.NamespacedName { return client.ObjectKeyFromObject(obj) }
