package definitions

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

const (
	// parallel is how many definitions are looked for at once.
	parallel = 8

	// servedTimeout bounds the wait for discovery to tell the kinds of a definition that is
	// established: the API server publishes them a moment later.
	servedTimeout = 10 * time.Second
)

// resource is where definitions are.
var resource = schema.GroupVersionResource{Group: group, Version: "v1", Resource: "customresourcedefinitions"}

// Apply applies the definitions as policy says, and returns what it did also when it fails.
// When it returns, the changed ones are established and the place knows their kinds. They
// get the labels of their owner, but are not watched for drift.
func (d *Definitions) Apply(ctx context.Context, at *tenant.Place, owner types.NamespacedName, policy helmv2.CRDsPolicy) ([]apply.Change, error) {
	wanted := func(manifest.ID) bool { return true }
	switch policy {
	case helmv2.Skip:
		return nil, nil
	case helmv2.CreateReplace:
	case helmv2.Create:
		missing, err := d.missing(ctx, at)
		if err != nil {
			return nil, err
		}
		wanted = func(id manifest.ID) bool { return slices.Contains(missing, id) }
	default:
		return nil, fmt.Errorf("the policy %q for definitions is not known", policy)
	}
	objects, err := d.objects(wanted)
	if err != nil || len(objects) == 0 {
		return nil, err
	}
	return applied(ctx, at, owner, objects)
}

// applied applies definitions, and waits until their kinds can be used.
func applied(ctx context.Context, at *tenant.Place, owner types.NamespacedName, wanted []*unstructured.Unstructured) ([]apply.Change, error) {
	prepared, err := apply.Prepare(owned(wanted, owner), apply.Options{Wishes: apply.NoWishes})
	if err != nil {
		return nil, fmt.Errorf("applying definitions: %w", err)
	}
	defer func() {
		for _, obj := range wanted {
			at.Drift.Forget(manifest.IDOf(obj))
		}
	}()
	changes, err := at.Engine.Apply(ctx, prepared.Plan(at.Drift, apply.Options{Owner: owner}), apply.Request{})
	if err != nil {
		return changes, fmt.Errorf("applying definitions: %w", err)
	}
	return changes, served(ctx, at, wanted, changes)
}

// owned returns copies of definitions with the labels of their owner.
func owned(objects []*unstructured.Unstructured, owner types.NamespacedName) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, len(objects))
	for i, obj := range objects {
		out[i] = obj.DeepCopy()
		labels := out[i].GetLabels()
		if labels == nil {
			labels = make(map[string]string)
		}
		labels[helmv2.LabelName], labels[helmv2.LabelNamespace] = owner.Name, owner.Namespace
		out[i].SetLabels(labels)
	}
	return out
}

// missing returns which definitions the cluster does not have.
func (d *Definitions) missing(ctx context.Context, at *tenant.Place) ([]manifest.ID, error) {
	client, err := metadata.NewForConfigAndClient(at.Config(), at.HTTP())
	if err != nil {
		return nil, fmt.Errorf("looking for definitions: %w", err)
	}
	ids := d.Inventory.IDs()
	there := make(map[manifest.ID]bool, len(ids))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, id := range ids {
		g.Go(func() error {
			_, err := client.Resource(resource).Get(ctx, id.Name, metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("looking for definition %s: %w", id.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			there[id] = err == nil
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ids, func(id manifest.ID) bool { return there[id] }), nil
}

// served waits until the kinds of the definitions that were changed can be used.
func served(ctx context.Context, at *tenant.Place, objects []*unstructured.Unstructured, changes []apply.Change) error {
	changed := make(map[manifest.ID]bool)
	for _, c := range changes {
		changed[c.ID] = c.Effect != apply.Unchanged && c.Effect != apply.Skipped
	}
	ctx, cancel := context.WithTimeoutCause(ctx, servedTimeout, fmt.Errorf("the API server does not serve it %s after it was established", servedTimeout))
	defer cancel()
	meta.MaybeResetRESTMapper(at.Mapper())
	for _, obj := range objects {
		if !changed[manifest.IDOf(obj)] {
			continue
		}
		for _, kind := range kindsOf(obj) {
			if err := known(ctx, at, kind); err != nil {
				return fmt.Errorf("definition %s: version %s: %w", obj.GetName(), kind.Version, err)
			}
		}
	}
	return nil
}

// known waits until a place knows a kind.
func known(ctx context.Context, at *tenant.Place, kind schema.GroupVersionKind) error {
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		_, err := at.Mapper().RESTMapping(kind.GroupKind(), kind.Version)
		if !meta.IsNoMatchError(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(delay):
		}
	}
}

// kindsOf returns the kinds that a definition defines, in the versions that are served.
func kindsOf(definition *unstructured.Unstructured) []schema.GroupVersionKind {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	var out []schema.GroupVersionKind
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		if on, _ := version["served"].(bool); on && name != "" {
			out = append(out, schema.GroupVersionKind{Group: group, Version: name, Kind: kind})
		}
	}
	return out
}
