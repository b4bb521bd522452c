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
	once    error // fails the first list
	lists   int
}

func (c *cluster) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	c.lists++
	if c.refuse != nil {
		return c.refuse
	}
	if c.once != nil && c.lists == 1 {
		return c.once
	}
	if c.now != nil {
		list.(*unstructured.UnstructuredList).Items = []unstructured.Unstructured{*c.now}
	}
	return nil
}

func (c *cluster) Watch(ctx context.Context, _ client.ObjectList, _ ...client.ListOption) (watch.Interface, error) {
	select {
	case changes := <-c.changes:
		return changes, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
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
	resource := target().GVK.GroupVersion().WithResource("kustomizations").GroupResource()
	for _, refuse := range []error{apierrors.NewForbidden(resource, "apps", errors.New("no")), apierrors.NewUnauthorized("no")} {
		c := &cluster{refuse: refuse}
		if _, err := await.For(t.Context(), c, target(), await.Ready, nil); !errors.Is(err, refuse) || c.lists != 1 {
			t.Errorf("For = %v after %d looks, want %v at once", err, c.lists, refuse)
		}
	}
}

// TestForOutlivesTheAPIServer: an API server that starts anew is waited for.
func TestForOutlivesTheAPIServer(t *testing.T) {
	t.Parallel()
	c := &cluster{now: object(t, "status: {observedGeneration: 2, conditions: ["+good+"]}"), once: errors.New("connection refused")}
	var said []string
	if _, err := await.For(t.Context(), c, target(), await.Ready, func(why string) { said = append(said, why) }); err != nil || c.lists != 2 {
		t.Errorf("For = %v after %d looks, want it to look again", err, c.lists)
	}
	if len(said) != 1 || !strings.Contains(said[0], "connection refused") {
		t.Errorf("said %q, want what stood in the way", said)
	}
}

// TestForPauses: watches that end at once are not begun anew at once.
func TestForPauses(t *testing.T) {
	t.Parallel()
	c := &cluster{now: object(t, "status: {observedGeneration: -1}"), changes: make(chan watch.Interface)}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			ended := watch.NewFake()
			ended.Stop()
			select {
			case c.changes <- ended:
			case <-ctx.Done():
			}
		}
	}()
	if _, err := await.For(ctx, c, target(), await.Ready, nil); !errors.Is(err, context.DeadlineExceeded) || c.lists != 1 {
		t.Errorf("For = %v after %d looks, want one", err, c.lists)
	}
}
