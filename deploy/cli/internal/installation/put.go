package installation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"weir.dev/deploy/cli/internal/applier"
	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/install"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
)

// Writer brings objects into a cluster.
type Writer struct {
	cfg    *rest.Config
	mapper meta.RESTMapper
}

// NewWriter returns a writer, which learns of kinds that are defined meanwhile.
func NewWriter(cfg *rest.Config) (*Writer, error) {
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(cfg, hc)
	return &Writer{cfg: cfg, mapper: mapper}, err
}

// Put applies objects by server-side apply, and takes over the fields that other commands for
// that have set. The owner is the Kustomization whose labels the objects have, if any.
//
// They are applied in the form in which that controller applies them, which then finds all
// fields to be its own. All is tried by dry runs first, so that what cannot succeed changes
// nothing, and what is as it should be is not written. Put returns what it did also when it
// fails; if only a dry run is asked for, what would be done.
func (w *Writer) Put(ctx context.Context, owner types.NamespacedName, objs []*unstructured.Unstructured, dryRun bool) ([]apply.Change, error) {
	seen := &tried{intact: make(map[manifest.ID]apply.Applied)}
	engine, err := applier.New(w.cfg, w.mapper, seen, "flux")
	if err != nil {
		return nil, err
	}
	opts := apply.Options{Owner: owner}
	normal := make([]*unstructured.Unstructured, len(objs))
	for i, obj := range objs {
		normal[i] = manifest.Normalise(obj)
	}
	prepared, err := apply.Prepare(normal, opts)
	if err != nil {
		return nil, err
	}
	foreseen, err := engine.Apply(ctx, prepared.Plan(seen, opts), apply.Request{DryRun: true})
	switch {
	case dryRun:
		return foreseen, err
	case err != nil:
		return nil, err
	}
	return engine.Apply(ctx, prepared.Plan(seen, opts), apply.Request{})
}

// Try tries to bring objects into the cluster as Put does, and changes nothing. Those that
// would be created are tried as well, as far as what they need is there: not those of a
// kind, or in a namespace, that would be created with them.
func (w *Writer) Try(ctx context.Context, c client.Client, owner types.NamespacedName, objs []*unstructured.Unstructured) ([]apply.Change, error) {
	changes, err := w.Put(ctx, owner, objs, true)
	if err != nil {
		return changes, err
	}
	created := make(map[manifest.ID]bool)
	for _, change := range changes {
		created[change.ID] = change.Effect == apply.Created
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(trials)
	for _, obj := range objs {
		id := manifest.IDOf(obj)
		if !created[id] || created[manifest.ID{Kind: "Namespace", Name: id.Namespace}] {
			continue
		}
		g.Go(func() error {
			err := c.Create(ctx, obj.DeepCopy(), client.DryRunAll)
			if err != nil && !meta.IsNoMatchError(err) && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("%s cannot be created: %w", id, err)
			}
			return nil
		})
	}
	return changes, g.Wait()
}

// trials is how many objects are tried at once.
const trials = 8

// tried is a tracker that knows which objects a dry run has found to be as they should.
type tried struct {
	applier.Unknowing
	mu     sync.Mutex
	intact map[manifest.ID]apply.Applied
}

// Recall implements apply.Tracker.
func (t *tried) Recall(id manifest.ID) apply.Known {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, intact := t.intact[id]
	return apply.Known{Last: last, Intact: intact}
}

// Applied implements apply.Tracker. Fields that have the right values, but are somebody
// else's, are yet to become ours.
func (t *tried) Applied(a apply.Applied) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.Object != nil && a.Noticed == nil && !a.Unowned {
		a.Object = nil // it is not needed
		t.intact[a.ID] = a
	}
}

// deployment is the kind of controllers.
var deployment = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}

// Ready waits until the Deployments among objects run as they should. Of each, in their
// order, tell hears that it does.
func Ready(ctx context.Context, c client.WithWatch, objs []*unstructured.Unstructured, tell func(name string)) error {
	deployments := slices.DeleteFunc(slices.Clone(objs), func(obj *unstructured.Unstructured) bool { return obj.GetKind() != deployment.Kind })
	waits := make([]chan error, len(deployments))
	for i, d := range deployments {
		waits[i] = make(chan error, 1)
		go func() {
			_, err := await.For(ctx, c, await.Target{GVK: deployment, Key: client.ObjectKeyFromObject(d)}, current, nil)
			waits[i] <- err
		}()
	}
	var errs []error // all say what is wrong with them
	for i, d := range deployments {
		if err := <-waits[i]; err != nil {
			errs = append(errs, err)
			continue
		}
		tell(d.GetName())
	}
	return errors.Join(errs...)
}

// current holds of an object that is as its spec asks.
func current(obj *unstructured.Unstructured) await.Verdict {
	if obj == nil {
		return await.Verdict{Why: "it does not exist yet"}
	}
	switch status, why := health.Of(obj); status {
	case health.Current:
		return await.Verdict{Done: true}
	default:
		return await.Verdict{Why: why} // what failed may yet come: an image that is pushed late
	}
}

// end deletes an object; a Deployment not before nothing of it runs.
func end(ctx context.Context, c client.WithWatch, obj *unstructured.Unstructured) error {
	if obj.GroupVersionKind() != deployment {
		return c.Delete(ctx, obj)
	}
	if err := c.Delete(ctx, obj, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
		return err
	}
	_, err := await.For(ctx, c, await.Of(obj), await.Gone, nil)
	return err
}

// TakeBack removes objects of an installation in their order, and returns those that there
// were. A dry run removes nothing. Of a Deployment nothing runs any longer when it returns: what
// takes its place must not work beside it.
func TakeBack(ctx context.Context, c client.WithWatch, objs []*unstructured.Unstructured, dryRun bool) ([]manifest.ID, error) {
	var gone []manifest.ID
	for _, obj := range objs {
		id, live := manifest.IDOf(obj), &unstructured.Unstructured{}
		live.SetGroupVersionKind(obj.GroupVersionKind())
		err := c.Get(ctx, client.ObjectKeyFromObject(obj), live)
		ours := err == nil && live.GetLabels()[install.LabelPartOf] == install.PartOf
		if ours && !dryRun {
			err = end(ctx, c, live)
		}
		switch {
		case client.IgnoreNotFound(err) != nil:
			return gone, fmt.Errorf("removing %s: %w", id, err)
		case ours:
			gone = append(gone, id)
		}
	}
	return gone, nil
}
