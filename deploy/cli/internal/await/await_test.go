package await_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/await"
)

// cluster has one object, and tells of its changes.
type cluster struct {
	client.WithWatch
	now     *unstructured.Unstructured
	changes chan watch.Interface // one a watch
	refuse  error
}

func (c *cluster) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if c.refuse != nil {
		return c.refuse
	}
	if c.now != nil {
		list.(*unstructured.UnstructuredList).Items = []unstructured.Unstructured{*c.now}
	}
	return nil
}

func (c *cluster) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	return <-c.changes, nil
}

func target() await.Target {
	return await.Target{
		GVK: (&unstructured.Unstructured{Object: map[string]any{"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization"}}).GroupVersionKind(),
		Key: types.NamespacedName{Namespace: "prod", Name: "apps"},
	}
}

func TestForFollowsChanges(t *testing.T) {
	t.Parallel()
	first, second := watch.NewFake(), watch.NewFake()
	c := &cluster{now: object(t, "status: {observedGeneration: -1}"), changes: make(chan watch.Interface, 2)}
	c.changes <- first
	c.changes <- second
	go func() {
		first.Modify(object(t, "status: {observedGeneration: 1, conditions: ["+bad+"]}"))
		first.Stop() // as the API server ends each watch some day
		second.Modify(object(t, "status: {observedGeneration: 2, conditions: ["+good+"]}"))
	}()
	var said []string
	got, err := await.For(t.Context(), c, target(), await.Ready, func(why string) { said = append(said, why) })
	if err != nil || got == nil {
		t.Fatalf("For = %v, %v", got, err)
	}
	if all := strings.Join(said, "; "); !strings.Contains(all, "no such path") || strings.Count(all, "no such path") != 1 {
		t.Errorf("said %q; what is missing is said once, when it changes", all)
	}
}

func TestForSaysWhyInVain(t *testing.T) {
	t.Parallel()
	c := &cluster{now: object(t, "status: {observedGeneration: 1, conditions: ["+bad+"]}"), changes: make(chan watch.Interface, 1)}
	c.changes <- watch.NewFake()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := await.For(ctx, c, target(), await.Ready, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("For = %v, want the end of time", err)
	}
	if !strings.Contains(err.Error(), "Ready is False: BuildFailed: no such path") {
		t.Errorf("%q does not say what the object says", err)
	}
}

func TestForEndsWhereItMayNotLook(t *testing.T) {
	t.Parallel()
	c := &cluster{refuse: apierrors.NewForbidden(target().GVK.GroupVersion().WithResource("kustomizations").GroupResource(), "apps", errors.New("no"))}
	if _, err := await.For(t.Context(), c, target(), await.Ready, nil); !apierrors.IsForbidden(err) {
		t.Errorf("For = %v, want forbidden", err)
	}
}
