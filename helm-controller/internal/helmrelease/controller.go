// Package helmrelease reconciles HelmRelease objects: it keeps the HelmChart that each asks
// for, puts together chart and values, and has the release made, tested, taken back or
// taken away as packages state, plan and action say.
//
// A run does only what is new. Charts are fetched and read once for all; a release that
// nobody has touched is not looked at again; objects are watched. A run that finds nothing
// to do makes no request to the API server.
//
// An action of Helm takes as long as it takes, so it is a job of its own: the run that
// begins it ends, and its end asks for another, which takes up what came of it and decides
// what follows. So a pass, of which one action of each type is a part, is several runs.
package helmrelease

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charts"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/correction"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/dependency"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/tenantaccess"
	"weir.dev/pkg/watch"
)

// +kubebuilder:rbac:groups=helm.toolkit.fluxcd.io,resources=helmreleases,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=helm.toolkit.fluxcd.io,resources=helmreleases/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=helm.toolkit.fluxcd.io,resources=helmreleases/finalizers,verbs=update
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=helmcharts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=ocirepositories;externalartifacts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=configmaps;serviceaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Options say how HelmReleases are handled.
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
	// ExternalArtifacts allows charts that another program publishes.
	ExternalArtifacts bool
	// NewRevisionEndsWait has a new chart or spec end the wait of the action that is under
	// way. New values of a Secret or ConfigMap do not.
	NewRevisionEndsWait bool
	// PlainVersions leaves the digest of an OCI artifact out of the version of its chart.
	PlainVersions bool
	// DNS lets templates look up names.
	DNS bool
	// Defaults are what specs that say nothing mean.
	Defaults Defaults
	// Digest is the algorithm of the digests of releases.
	Digest digest.Algorithm
	// Apply is how objects are applied; the manager is that of the controller.
	Apply apply.Config
	// DefaultServiceAccount is as whom HelmReleases are carried out that name nobody; ""
	// is the controller itself.
	DefaultServiceAccount string
	// DefaultKubeconfigAccount is whose identity opens other clusters for those that name
	// none; "" is the controller's.
	DefaultKubeconfigAccount string
	// Kubeconfigs are what those of tenants may do.
	Kubeconfigs tenant.Kubeconfigs
	// Configs follows Secrets, ConfigMaps and ServiceAccounts; nil reads them in each run.
	Configs *followed.Objects
	// Identities get tokens for other clusters.
	Identities *cloud.Identities
}

// patience is how long an action may take before users are told that it is under way.
const patience = 2 * time.Second

// Reconciler carries out HelmRelease objects.
type Reconciler struct {
	charts  *charts.Cache
	opts    Options
	manager string // field manager of applied objects, and of the status

	client       client.Client
	live         client.Reader // past the cache
	save         func(context.Context, *helmv2.HelmRelease) error
	publish      func(runtime.Object, loop.Event)
	clusters     *tenant.Clusters
	wakes        loop.Wakes
	dependencies *dependency.Gate[*helmv2.HelmRelease]
	backoff      workqueue.TypedRateLimiter[reconcile.Request]
	waits        cluster.Waits
	access       *tenantaccess.Access
	examiner     *correction.Examiner
	jobs         *jobs
	metrics      *metrics
	known        memories
	claims       *claims
}

// New returns a Reconciler that takes charts from a cache.
func New(cache *charts.Cache, opts Options) *Reconciler {
	opts.Defaults = opts.Defaults.documented()
	r := &Reconciler{charts: cache, opts: opts, metrics: shared()}
	r.claims = newClaims(r.wakes.Wake)
	return r
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(helmv2.GroupVersion.Group)
	if err != nil {
		return err
	}
	queue := d.ControllerOptions()
	r.client, r.live, r.manager = d.Client(), d.Live(), d.Name
	r.backoff, r.jobs = d.ControllerOptions().RateLimiter, newJobs(queue.MaxConcurrentReconciles)
	if err := r.connect(d); err != nil {
		return err
	}
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*helmv2.HelmRelease]{
		FieldOwner: r.manager, Jitter: d.Jitter(), Metrics: d.Durations(), Patience: patience,
		HandledAtEnd: true,
	})
	r.save, r.publish = l.Save, recorder.Record
	mgr := d.Manager()
	ctx, indexer := context.Background(), mgr.GetFieldIndexer()
	for name, index := range map[string]client.IndexerFunc{sourceIndex: indexSource, releaseIndex: indexRelease} {
		if err := indexer.IndexField(ctx, &helmv2.HelmRelease{}, name, index); err != nil {
			return err
		}
	}
	r.dependencies = r.gate(d)
	if err := r.dependencies.Index(ctx, indexer); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		For(&helmv2.HelmRelease{}, builder.WithPredicates(loop.Asked())).
		Watches(&helmv2.HelmRelease{}, r.dependencies.Dependents()).
		Watches(&helmv2.HelmRelease{}, r.twins()).
		Watches(&helmv2.HelmRelease{}, r.heirs()).
		WatchesRawSource(r.wakes.Source()).
		WithOptions(queue)
	for _, kind := range r.opts.watched() {
		b = b.Watches(kind, r.followers())
	}
	if r.opts.Configs != nil {
		b = b.WatchesRawSource(r.opts.Configs.Wake(helmv2.HelmReleaseKind))
	}
	return b.Complete(l)
}

// connect makes the engines, the watches of what they apply, and those of what is stored.
func (r *Reconciler) connect(d *daemon.Daemon) error {
	mgr := d.Manager()
	opts := tenant.Options{
		Apply: r.opts.Apply, OwnerName: helmv2.LabelName, OwnerNamespace: helmv2.LabelNamespace,
		Wake: func(owner types.NamespacedName) {
			if !r.waits.Tell(owner) {
				r.wakes.Wake(owner)
			}
		},
		Refused: func(cluster string, resource schema.GroupVersionResource, err error) {
			d.Log.Error(err, "objects of releases cannot be watched, so drift is undone at the interval only", "resource", resource.String(), "cluster", cluster)
		},
		Unwatched: func(cluster, user string, resource schema.GroupVersionResource, err error) {
			d.Log.Error(err, "objects that are waited for cannot be watched, so they are looked at every few seconds", "resource", resource.String(), "cluster", cluster, "user", user)
		},
		Extra: func(_ string, open func(schema.GroupVersionResource) watch.Source) tenant.Runner {
			var of *releases.Watcher
			of = releases.NewWatcher(open, func(storage, name string) { r.wakeOwners(of, storage, name) })
			return of
		},
	}
	opts.Apply.Manager = r.manager
	var err error
	if r.clusters, err = tenant.New(mgr.GetConfig(), mgr.GetHTTPClient(), mgr.GetRESTMapper(), opts); err != nil {
		return err
	}
	r.examiner = correction.New(r.manager, r.opts.Apply.Override...)
	r.access = tenantaccess.New(r.clusters, tenantaccess.Options{
		Kind: helmv2.HelmReleaseKind, DefaultServiceAccount: r.opts.DefaultServiceAccount, DefaultKubeconfigAccount: r.opts.DefaultKubeconfigAccount,
		Kubeconfigs: r.opts.Kubeconfigs, Identities: r.opts.Identities, UserAgent: r.manager,
	})
	return mgr.Add(r.clusters)
}

// Drain begins no more actions, and returns when those under way have ended and their
// outcome is in the status, but no later than grace allows. It is called while the
// controller still runs.
func (r *Reconciler) Drain(grace time.Duration) {
	if r.jobs != nil {
		r.jobs.drain(grace)
	}
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, hr *helmv2.HelmRelease) error {
	s := r.scope(hr)
	defer s.end()
	err := loop.Run(ctx, s,
		r.awaitOutlived,
		r.takeUp, // what came of the last action is known first
		r.refuse,
		r.compileExpressions,
		r.refuseTwin,
		r.syncChart,
		r.awaitDependencies,
		r.findSource,
		r.composeValues,
		r.readChart,
		r.enterPlace,
		r.beginPass,
		r.goOn, // observes, decides, and begins the next action if there is one
	)
	if !s.unsaved {
		return err
	}
	if failed := r.saveNow(ctx, s); failed != nil {
		return failed
	}
	return err
}
