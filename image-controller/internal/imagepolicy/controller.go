// Package imagepolicy reconciles ImagePolicy objects: it selects the latest of the tags
// that the scans of an ImageRepository have found, and asks for its digest where the spec
// wants that.
//
// A policy runs when something happened that it depends on: another list of tags, another
// spec, other labels of its namespace. There is no timer but for a digest that is to be
// followed. A run that finds everything as it was asks the API server nothing, and the
// registry nothing but for such a digest. While no tag can be selected, the one that was
// selected last stays in the status.
package imagepolicy

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/tags"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
)

// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imagepolicies,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imagepolicies/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imagepolicies/finalizers,verbs=update
// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imagerepositories,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets;serviceaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts/token,verbs=create
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Lists are the lists of tags that scans have found.
type Lists interface {
	// Get returns the list of an image; false means that there is none.
	Get(repo types.NamespacedName, image string) (tags.List, bool, error)
}

// Registries are asked for digests.
type Registries interface {
	Session(ctx context.Context, read client.Reader, repo *imagev1.ImageRepository) (*oci.Session, error)
}

// Options are those of a Reconciler.
type Options struct {
	// Requeue is when a policy is looked at again whose repository has no tags yet.
	Requeue time.Duration
	// SameNamespaceOnly refuses repositories of other namespaces.
	SameNamespaceOnly bool
}

// Reconciler selects the latest tags of images.
type Reconciler struct {
	lists      Lists
	registries Registries
	secrets    *followed.Users
	opts       Options

	client   client.Reader // of objects, from the cache
	only     string        // the one namespace that is watched; empty: all are
	verdicts sync.Map      // by UID: what each policy selected last
	prepared prepared
}

// New returns a Reconciler that finds lists where scans put them.
func New(lists Lists, registries Registries, objects *followed.Objects, opts Options) *Reconciler {
	return &Reconciler{lists: lists, registries: registries, secrets: objects.Users(imagev1.ImagePolicyKind), opts: opts}
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(imagev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	everywhere, err := d.Flags.GetBool("watch-all-namespaces")
	if err != nil {
		return err
	}
	if !everywhere {
		r.only = d.Namespace()
	}
	r.client = d.Client()
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*imagev1.ImagePolicy]{
		FieldOwner: d.Name, Jitter: d.Jitter(), Metrics: d.Durations(),
	})
	if err := d.Manager().GetFieldIndexer().IndexField(context.Background(), &imagev1.ImagePolicy{}, repositoryIndex, indexRepository); err != nil {
		return fmt.Errorf("indexing policies by their repository: %w", err)
	}
	b := ctrl.NewControllerManagedBy(d.Manager()).
		For(&imagev1.ImagePolicy{}, builder.WithPredicates(loop.Asked())).
		Watches(&imagev1.ImageRepository{}, handler.EnqueueRequestsFromMapFunc(r.behind), builder.WithPredicates(told())).
		WatchesRawSource(r.secrets.Wake()).
		WithOptions(d.ControllerOptions())
	if r.crosses() {
		b.WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.inside), builder.WithPredicates(relabelled()))
	}
	return b.Complete(l)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, obj *imagev1.ImagePolicy) error {
	return loop.Run(ctx, &scope{obj: obj},
		r.compile, // what is wrong with the spec is told first
		r.findRepository,
		r.choose,
		r.reflectDigest,
		r.publish,
	)
}

// Finalize implements loop.Reconciler.
func (r *Reconciler) Finalize(_ context.Context, obj *imagev1.ImagePolicy) error {
	r.secrets.Forget(obj)
	r.verdicts.Delete(obj.UID)
	return nil
}

// scope is what one run knows.
type scope struct {
	obj *imagev1.ImagePolicy

	verdict verdict                  // by compile: of this spec, with what it last selected
	repo    *imagev1.ImageRepository // by findRepository
	ref     imagev1.ImageRef         // by choose, and the digest by reflectDigest
}
