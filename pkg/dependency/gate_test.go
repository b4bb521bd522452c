package dependency_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/dependency"
)

type kind = kustomizev1.Kustomization

// object is one that depends on others of its namespace.
func object(name string, on ...string) *kind {
	obj := &kind{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, Generation: 2}}
	for _, name := range on {
		obj.Spec.DependsOn = append(obj.Spec.DependsOn, meta.DependencyReference{Name: name})
	}
	return obj
}

// ready is an object that is ready, but for what adjust says.
func ready(name string, adjust ...func(*kind)) *kind {
	obj := object(name)
	obj.Status.ObservedGeneration = obj.Generation
	obj.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionTrue}}
	for _, f := range adjust {
		f(obj)
	}
	return obj
}

// indexer notes what is indexed, for a cache that is made then.
type indexer func(name string, of client.IndexerFunc)

func (f indexer) IndexField(_ context.Context, _ client.Object, name string, of client.IndexerFunc) error {
	f(name, of)
	return nil
}

// newGate returns a gate, and the cache that it reads from.
func newGate(t *testing.T, opts dependency.Options[*kind], objs ...client.Object) (*dependency.Gate[*kind], client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := kustomizev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	opts.Of = func(obj *kind) []meta.DependencyReference { return obj.Spec.DependsOn }
	opts.List, opts.Retry = &kustomizev1.KustomizationList{}, time.Minute
	b := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...)
	err := dependency.New(nil, opts).Index(t.Context(), indexer(func(name string, of client.IndexerFunc) { b.WithIndex(&kind{}, name, of) }))
	if err != nil {
		t.Fatal(err)
	}
	c := b.Build()
	return dependency.New(c, opts), c
}

func TestAwait(t *testing.T) {
	t.Parallel()
	const notReady = "dependency 'a/infra' is not ready"
	tests := map[string]struct {
		why      string
		dep      *kind
		expr     string
		additive bool
		also     string
		want     string // "" means that the object may pass
	}{
		"ready":           {dep: ready("infra")},
		"not there":       {dep: ready("other"), want: "dependency 'a/infra' not found"},
		"without a word":  {why: "nobody has looked at it yet", dep: ready("infra", func(k *kind) { k.Status.Conditions = nil }), want: notReady},
		"of another spec": {why: "what is Ready is the spec before", dep: ready("infra", func(k *kind) { k.Generation = 3 }), want: notReady},
		"not ready":       {dep: ready("infra", func(k *kind) { k.Status.Conditions[0].Status = metav1.ConditionFalse }), want: notReady},
		"not enough for the kind": {
			why: "a kind may ask for more", dep: ready("infra"), also: "dependency 'a/infra' is behind", want: "dependency 'a/infra' is behind",
		},
		"by an expression alone": {
			why: "it takes the place of all else", dep: object("infra"), expr: "dep.metadata.name == 'infra' && self.metadata.name == 'app'", also: "never",
		},
		"by an expression that does not hold": {
			why: "its being ready does not help", dep: ready("infra"), expr: "dep.metadata.generation == 1", want: "dependency 'a/infra' is not ready according to readyExpr",
		},
		"by an expression on top": {
			why: "the usual conditions count, too", dep: object("infra"), expr: "dep.metadata.generation == 2", additive: true, want: notReady,
		},
		"by an expression on top that does not hold": {
			why: "both count", dep: ready("infra"), expr: "dep.metadata.generation == 1", additive: true, want: "dependency 'a/infra' is not ready according to readyExpr",
		},
		"by an expression about a field that is missing": {
			why: "it may come yet", dep: ready("infra"), expr: "dep.metadata.labels.x == 'y'", want: "dependency 'a/infra': ",
		},
	}
	for name, tc := range tests {
		g, _ := newGate(t, dependency.Options[*kind]{Additive: tc.additive}, tc.dep)
		app := object("app", "infra")
		app.Spec.DependsOn[0].ReadyExpr = tc.expr
		exprs, err := dependency.Compile(app.Spec.DependsOn)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := g.Await(t.Context(), app, exprs, func(*kind) string { return tc.also }); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" {
			t.Errorf("%s: %q; want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestCompileNamesTheEntry(t *testing.T) {
	t.Parallel()
	_, err := dependency.Compile([]meta.DependencyReference{{Name: "a"}, {Name: "b", ReadyExpr: "dep."}})
	if err == nil || !strings.HasPrefix(err.Error(), "dependsOn[1].readyExpr: ") {
		t.Errorf("the error is %v; want it to name dependsOn[1].readyExpr", err)
	}
}

// TestDependencyOfAnotherShard is not in the cache.
func TestDependencyOfAnotherShard(t *testing.T) {
	t.Parallel()
	_, live := newGate(t, dependency.Options[*kind]{}, ready("infra"))
	for name, tc := range map[string]struct {
		live   client.Reader
		passes bool
	}{"read past the cache": {live: live, passes: true}, "of a cache that has all": {}} {
		g, _ := newGate(t, dependency.Options[*kind]{Live: tc.live})
		if err := g.Await(t.Context(), object("app", "infra"), nil, nil); (err == nil) != tc.passes {
			t.Errorf("%s: %v; want it to pass: %t", name, err, tc.passes)
		}
	}
}

func TestAwaitNamesTheCycle(t *testing.T) {
	t.Parallel()
	a := object("a", "b")
	g, _ := newGate(t, dependency.Options[*kind]{}, a, object("b", "c"), object("c", "a"))
	err := g.Await(t.Context(), a, nil, nil)
	if want := "dependency cycle: a/a -> a/b -> a/c -> a/a"; err == nil || err.Error() != want {
		t.Errorf("%v; want %q", err, want)
	}
}

// TestDependentsWakesWhoWaits: one that does not wait has no use for the news.
func TestDependentsWakesWhoWaits(t *testing.T) {
	t.Parallel()
	infra, waits, gone, passed, other := object("infra"), object("waits", "infra"), object("gone", "infra"), object("passed", "infra"), object("other", "passed")
	g, c := newGate(t, dependency.Options[*kind]{}, infra, waits, gone, passed, other)
	for _, obj := range []*kind{waits, gone, passed, other} {
		if err := g.Await(t.Context(), obj, nil, nil); err == nil {
			t.Fatalf("%s passes", obj.Name)
		}
	}
	g.Forget(client.ObjectKeyFromObject(gone))
	after := ready("infra")
	after.ResourceVersion = ""
	if err := c.Delete(t.Context(), infra); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	if err := g.Await(t.Context(), passed, nil, nil); err != nil {
		t.Fatal(err)
	}
	handler := g.Dependents()
	for name, tell := range map[string]func(workqueue.TypedRateLimitingInterface[reconcile.Request]){
		"new": func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			handler.Create(t.Context(), event.CreateEvent{Object: after}, q)
		},
		"changed": func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			handler.Update(t.Context(), event.UpdateEvent{ObjectOld: infra, ObjectNew: after}, q)
		},
	} {
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		t.Cleanup(queue.ShutDown)
		tell(queue)
		var woken []string
		for queue.Len() > 0 {
			req, _ := queue.Get()
			woken = append(woken, req.Name)
		}
		if got, want := fmt.Sprint(woken), "[waits]"; got != want {
			t.Errorf("a dependency that is %s wakes %v; want %v", name, got, want)
		}
	}
}
