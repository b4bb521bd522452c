// Package imageupdateautomation reconciles ImageUpdateAutomation objects: it writes the
// images that the policies of a namespace have selected to the marked values of a Git
// repository, and pushes the commit.
//
// There is no checkout: the commit is made on the tree of the one before, and pushed with
// the condition that the branch has not moved. If it has, the commit is made again on what
// is there now, so that no commit of anybody is lost, and those of several automations on
// one branch follow each other. The push is what counts: whoever is killed after it finds
// the files as they should be at the next run, and says so in the status.
//
// A run that finds nothing new costs one request to the remote and none to the API server.
package imageupdateautomation

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/image-controller/internal/writeback"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/loop"
)

// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imageupdateautomations,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imageupdateautomations/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imageupdateautomations/finalizers,verbs=update
// +kubebuilder:rbac:groups=image.toolkit.fluxcd.io,resources=imagepolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=source.toolkit.fluxcd.io,resources=gitrepositories,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=secrets;serviceaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts/token,verbs=create
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Options say what automations may do. The zero value lets them refer to sources of other
// namespaces, and never replaces a commit that was pushed.
type Options struct {
	// SameNamespaceOnly refuses references to sources of other namespaces.
	SameNamespaceOnly bool
	// ForcePush lets a branch that has nothing but our own commits be made anew on top of
	// the branch that it is for.
	ForcePush bool
}

// Reconciler updates Git repositories.
type Reconciler struct {
	objects *followed.Objects
	access  *gitaccess.Access
	stores  *git.Stores
	remotes *git.Client
	opts    Options
	finder  *writeback.Finder
	turns   turns
	memory  memories
	now     func() time.Time

	client client.Client
}

// New returns a Reconciler that keeps objects in stores, and asks remotes through a client.
func New(objects *followed.Objects, access *gitaccess.Access, stores *git.Stores, remotes *git.Client, opts Options) *Reconciler {
	return &Reconciler{
		objects: objects, access: access, stores: stores, remotes: remotes, opts: opts,
		finder: writeback.NewFinder(), now: time.Now,
	}
}

// Register implements daemon.Reconciler.
func (r *Reconciler) Register(d *daemon.Daemon) error {
	recorder, err := d.Recorder(imagev1.GroupVersion.Group)
	if err != nil {
		return err
	}
	r.client = d.Client()
	l := loop.New(d.Client(), d.Live(), recorder, r, loop.Options[*imagev1.ImageUpdateAutomation]{
		FieldOwner: d.Name, Jitter: d.Jitter(), Metrics: d.Durations(),
	})
	if err := d.Manager().Add(manager.RunnableFunc(func(ctx context.Context) error { return gitaccess.Sweep(ctx, r.stores) })); err != nil {
		return err
	}
	if err := d.Manager().GetFieldIndexer().IndexField(context.Background(), &imagev1.ImageUpdateAutomation{}, sourceIndex, indexSource); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(d.Manager()).
		For(&imagev1.ImageUpdateAutomation{}, builder.WithPredicates(asked())).
		Watches(&imagev1.ImagePolicy{}, handler.EnqueueRequestsFromMapFunc(r.ofPolicy), builder.WithPredicates(policyChanged())).
		Watches(&sourcev1.GitRepository{}, handler.EnqueueRequestsFromMapFunc(r.ofSource), builder.WithPredicates(sourceChanged())).
		WatchesRawSource(r.objects.Wake(imagev1.ImageUpdateAutomationKind)).
		WithOptions(d.ControllerOptions()).
		Complete(l)
}

// Reconcile implements loop.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, auto *imagev1.ImageUpdateAutomation) error {
	s := &scope{auto: auto, memory: r.memory.begin(auto)}
	defer s.close()
	return loop.Run(ctx, s,
		r.checkSpec,
		r.findPolicies,
		r.findSource,
		r.chooseBranches,
		r.connect,
		r.waitForTurn,  // of those that push to the same branch
		r.writeBack,    // asks the remote; fetches, commits and pushes if there is something new
		r.remindSource, // of a commit that somebody was killed after
		r.askForMerge,
		r.remember,
	)
}

// Finalize implements loop.Reconciler. What was pushed stays.
func (r *Reconciler) Finalize(_ context.Context, auto *imagev1.ImageUpdateAutomation) error {
	r.objects.Forget(user(auto))
	r.memory.forget(auto.UID)
	return nil
}

// secrets reads Secrets for a run.
func (r *Reconciler) secrets(auto *imagev1.ImageUpdateAutomation) client.Reader {
	return r.objects.For(user(auto), loop.Awaited(auto))
}

func user(auto *imagev1.ImageUpdateAutomation) followed.User {
	return followed.User{Kind: imagev1.ImageUpdateAutomationKind, NamespacedName: types.NamespacedName{Namespace: auto.Namespace, Name: auto.Name}}
}
