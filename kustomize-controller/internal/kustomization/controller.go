// Package kustomization reconciles Kustomization objects: it builds what a source
// publishes, applies the objects, prunes those that have left the source, waits
// until they are healthy, and undoes what others change.
//
// A run does only what is new. The tree of an artifact is fetched once for all; a
// build is repeated only if something that it read has changed; an object is
// applied only if its content is new or somebody has touched it. A run that finds
// nothing to do makes no request to the API server.
package kustomization

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/artifact/fetch"
	"weir.dev/pkg/build"
	"weir.dev/pkg/correction"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/dependency"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/tenantaccess"
)

// +kubebuilder:rbac:groups=kustomize.toolkit.fluxcd.io,resources=kustomizations,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=kustomize.toolkit.fluxcd.io,resources=kustomizations/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=kustomize.toolkit.fluxcd.io,resources=kustomizations/finalizers,verbs=update
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=gitrepositories;ocirepositories;buckets;externalartifacts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// statusOwner is the field manager of status writes. That of applied objects is
// the name of the controller.
const statusOwner = "gotk-kustomize-controller"

// Options say how Kustomizations are handled.
type Options struct {
	// RequeueDependency is when something that is not ready is looked at again.
	RequeueDependency time.Duration
	// SameNamespaceOnly refuses sources of other namespaces.
	SameNamespaceOnly bool
	// AdditiveReadyExpr has a readyExpr of dependsOn come on top of the usual conditions,
	// not in their place.
	AdditiveReadyExpr bool
	// DirectSources reads sources past the cache.
	DirectSources bool
	// WaitForStalled goes on waiting when an object has failed that may recover.
	WaitForStalled bool
	// EmptyVariables has variables without a value be empty instead of an error.
	EmptyVariables bool
	// GroupChanges has the log list the objects of each effect of an apply, not the effect
	// on each object.
	GroupChanges bool
	// ExternalArtifacts allows sources that another program publishes.
	ExternalArtifacts bool
	// Apply is how objects are applied; the manager is that of the controller.
	Apply apply.Config
	// CustomStage are kinds that are applied before the rest.
	CustomStage manifest.Kinds
	// Access is how Kustomizations get in to clusters; the kind, the identities and the
	// user agent are those of the controller.
	Access tenantaccess.Options
	// Decryption is what all that decrypt share.
	Decryption Decryption
	// Configs follows Secrets, ConfigMaps and ServiceAccounts; nil reads them in each run.
	Configs *followed.Objects
	// Identities get tokens for other clusters and for the services of clouds.
	Identities *cloud.Identities
}

// patience is how long objects may take to become healthy, or a source to become
// ready, before users are told of it. Most take a fraction of it.
const patience = 2 * time.Second

// Reconciler applies Kustomization objects.
type Reconciler struct {
	artifacts *fetch.Cache
	run       func(build.Source, build.Spec, build.Decrypter) (build.Result, error)
	opts      Options
	manager   string // field manager of applied objects

	client       client.Client
	live         client.Reader // past the cache
	save         func(context.Context, *kustomizev1.Kustomization) error
	clusters     *tenant.Clusters
	access       *tenantaccess.Access
	wakes        loop.Wakes
	dependencies *dependency.Gate[*kustomizev1.Kustomization]
	examiner     *correction.Examiner
	metrics      *metrics
	known        memories
}

// New returns a Reconciler that takes artifacts from a cache.
func New(artifacts *fetch.Cache, opts Options) *Reconciler {
	return &Reconciler{artifacts: artifacts, run: build.Run, opts: opts, metrics: shared(), known: memories{byUID: make(map[types.UID]*memory)}}
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(kustomizev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	r.client, r.live, r.manager = d.Client(), d.Live(), d.Name
	if err := r.connect(d); err != nil {
		return err
	}
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*kustomizev1.Kustomization]{
		FieldOwner: statusOwner, Jitter: d.Jitter(), Metrics: d.Durations(),
		RetryInterval: (*kustomizev1.Kustomization).GetRetryInterval, Patience: patience,
	})
	r.save = l.Save
	mgr := d.Manager()
	ctx, indexer := context.Background(), mgr.GetFieldIndexer()
	if err := indexer.IndexField(ctx, &kustomizev1.Kustomization{}, sourceIndex, indexSource); err != nil {
		return err
	}
	r.dependencies = r.gate(d)
	if err := r.dependencies.Index(ctx, indexer); err != nil {
		return err
	}
	news := newDispatcher(r)
	if err := mgr.Add(news); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		For(&kustomizev1.Kustomization{}, builder.WithPredicates(loop.Asked())).
		Watches(&kustomizev1.Kustomization{}, r.dependencies.Dependents()).
		WatchesRawSource(r.wakes.Source()).
		WithOptions(d.ControllerOptions())
	for _, kind := range r.opts.watched() {
		b = b.Watches(kind, news)
	}
	if r.opts.Configs != nil {
		b = b.WatchesRawSource(r.opts.Configs.Wake(kustomizev1.KustomizationKind))
	}
	return b.Complete(l)
}

// connect makes the engines, and the watches of what they apply.
func (r *Reconciler) connect(d *daemon.Daemon) error {
	mgr := d.Manager()
	opts := tenant.Options{
		Apply: r.opts.Apply, OwnerName: kustomizev1.LabelName, OwnerNamespace: kustomizev1.LabelNamespace, Wake: r.wakes.Wake,
		Refused: func(cluster string, resource schema.GroupVersionResource, err error) {
			d.Log.Error(err, "applied objects cannot be watched, so drift is undone at the interval only", "resource", resource.String(), "cluster", cluster)
		},
		Unwatched: func(cluster, user string, resource schema.GroupVersionResource, err error) {
			d.Log.Error(err, "objects of health checks cannot be watched, so they are looked at every few seconds", "resource", resource.String(), "cluster", cluster, "user", user)
		},
	}
	opts.Apply.Manager = r.manager
	var err error
	if r.clusters, err = tenant.New(mgr.GetConfig(), mgr.GetHTTPClient(), mgr.GetRESTMapper(), opts); err != nil {
		return err
	}
	access := r.opts.Access
	access.Kind, access.Identities, access.UserAgent = kustomizev1.KustomizationKind, r.opts.Identities, r.manager
	r.examiner = correction.New(r.manager, r.opts.Apply.Override...)
	r.access = tenantaccess.New(r.clusters, access)
	return mgr.Add(r.clusters)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, ks *kustomizev1.Kustomization) error {
	s := &scope{ks: ks, owner: client.ObjectKeyFromObject(ks), memory: r.known.of(ks.UID), start: time.Now()}
	s.woken = r.wakes.Take(s.owner)
	defer s.close()
	s.memory.begin()
	return r.withoutSecrets(ctx, s, loop.Run(ctx, s,
		r.refuseSource,
		r.compileExpressions,
		r.findSource,
		r.awaitDependencies,
		r.readVariables,
		r.readKeys,
		r.build, // fetches the artifact if anything in it can matter
		r.enterPlace,
		r.plan,
		r.recordInventory, // what is about to be created is known first
		r.apply,
		r.prune,
		r.awaitHealth,
		r.conclude,
	))
}
