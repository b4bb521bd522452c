package definitions

import (
	"context"
	"fmt"
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
	wanted := d.objects
	switch policy {
	case helmv2.Skip:
		return nil, nil
	case helmv2.CreateReplace:
	case helmv2.Create:
		var err error
		if wanted, err = d.missing(ctx, at); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("the policy %q for definitions is not known", policy)
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	prepared, err := apply.Prepare(owned(wanted, owner), apply.Options{})
	if err != nil {
		return nil, fmt.Errorf("applying definitions: %w", err)
	}
	defer func() {
		for id := range d.Inventory {
			at.Drift.Forget(id)
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

// missing returns the definitions that the cluster does not have.
func (d *Definitions) missing(ctx context.Context, at *tenant.Place) ([]*unstructured.Unstructured, error) {
	client, err := metadata.NewForConfigAndClient(at.Config(), at.HTTP())
	if err != nil {
		return nil, fmt.Errorf("looking for definitions: %w", err)
	}
	there := make([]bool, len(d.objects))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, obj := range d.objects {
		g.Go(func() error {
			_, err := client.Resource(resource).Get(ctx, obj.GetName(), metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("looking for definition %s: %w", obj.GetName(), err)
			}
			there[i] = err == nil
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for i, obj := range d.objects {
		if !there[i] {
			out = append(out, obj)
		}
	}
	return out, nil
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
