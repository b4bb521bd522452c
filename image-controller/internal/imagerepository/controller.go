// Package imagerepository reconciles ImageRepository objects: it asks a registry for the
// tags of an image, and keeps the list for the policies that select from it.
//
// A scan that finds the same list costs one request to the registry, or one a page, and
// none to the API server. The list is stored before the status says so, and only if it is
// whole: a scan that fails leaves everything as it was.
package imagerepository

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/tags"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
)

// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imagerepositories,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imagerepositories/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imagerepositories/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets;serviceaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts/token,verbs=create
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// minTimeout is the least time that a scan gets, whatever the spec says.
const minTimeout = time.Second

// Lists keep what scans have found.
type Lists interface {
	Put(repo types.NamespacedName, image string, tags []string) (tags.List, error)
	Scanned(repo types.NamespacedName, image string) (tags.Scan, bool)
	Delete(repo types.NamespacedName) error
}

// Registries let objects in to registries.
type Registries interface {
	Session(ctx context.Context, read client.Reader, repo *imagev1.ImageRepository) (*oci.Session, error)
	Forget(repo *imagev1.ImageRepository)
}

// Reconciler scans images.
type Reconciler struct {
	lists      Lists
	registries Registries
	secrets    *followed.Users

	now      func() time.Time
	jitter   float64
	save     func(context.Context, *imagev1.ImageRepository) error
	sessions sync.Map // types.NamespacedName -> *oci.Session: of the last scan
}

// New returns a Reconciler.
func New(lists Lists, registries Registries, objects *followed.Objects) *Reconciler {
	return &Reconciler{lists: lists, registries: registries, secrets: objects.Users(imagev1.ImageRepositoryKind), now: time.Now}
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(imagev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	r.jitter = d.Jitter()
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*imagev1.ImageRepository]{
		FieldOwner: d.Name, Jitter: d.Jitter(), Metrics: d.Durations(), Next: r.next,
	})
	r.save = l.Save
	return ctrl.NewControllerManagedBy(d.Manager()).
		For(&imagev1.ImageRepository{}, builder.WithPredicates(loop.Asked())).
		WatchesRawSource(r.secrets.Wake()).
		WithOptions(d.ControllerOptions()).
		Complete(l)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, repo *imagev1.ImageRepository) error {
	ctx, cancel := within(ctx, repo)
	defer cancel()
	return loop.Run(ctx, &scope{repo: repo},
		r.inspect,
		r.decide, // asks nobody unless the Secrets are others
		r.announce,
		r.logIn,
		r.scan,
		r.record,
	)
}

// within bounds a run by the timeout of the spec.
func within(ctx context.Context, repo *imagev1.ImageRepository) (context.Context, context.CancelFunc) {
	limit := max(repo.GetTimeout(), minTimeout)
	return context.WithTimeoutCause(ctx, limit, errors.New("the timeout of "+limit.String()+" is over"))
}

// Finalize implements loop.Reconciler.
func (r *Reconciler) Finalize(_ context.Context, repo *imagev1.ImageRepository) error {
	r.sessions.Delete(client.ObjectKeyFromObject(repo))
	r.registries.Forget(repo)
	r.secrets.Forget(repo)
	return r.lists.Delete(client.ObjectKeyFromObject(repo))
}

// next returns when it is time for the next scan. A run that has made none does not put
// it off.
func (r *Reconciler) next(repo *imagev1.ImageRepository) time.Duration {
	scan, ok := r.lists.Scanned(client.ObjectKeyFromObject(repo), repo.Spec.Image)
	if !ok {
		return repo.GetInterval()
	}
	left := repo.GetInterval() - r.now().Sub(scan.Time)
	return min(max(left, time.Millisecond), repo.GetInterval()) // zero would be never
}

// scope is what one run knows.
type scope struct {
	repo *imagev1.ImageRepository

	image    oci.Repository // by inspect
	excluded exclusions     // by inspect
	why      string         // by decide: what the scan is for
	session  *oci.Session   // by logIn, or by decide
	found    []string       // by scan
}
