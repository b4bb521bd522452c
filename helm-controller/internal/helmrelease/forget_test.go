package helmrelease

import (
	"context"
	"errors"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/dependency"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/watch"
)

// nowhere are clusters that nobody asks.
func nowhere(t *testing.T) *tenant.Clusters {
	t.Helper()
	clusters, err := tenant.New(&rest.Config{Host: "http://127.0.0.1:1"}, http.DefaultClient, meta.NewDefaultRESTMapper(nil), tenant.Options{
		Apply: apply.Config{Manager: "test"}, OwnerName: "name", OwnerNamespace: "namespace",
		Wake: func(types.NamespacedName) {}, Refused: func(string, schema.GroupVersionResource, error) {},
		Extra: func(_ string, open func(schema.GroupVersionResource) watch.Source) tenant.Runner {
			return releases.NewWatcher(open, func(string, string) {})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return clusters
}

// answering answers each request for a HelmRelease with the same.
type answering struct {
	client.Reader
	uid types.UID
	err error
}

func (r answering) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	obj.SetUID(r.uid)
	return r.err
}

// TestWhatIsGoneIsForgotten, although nobody has let it go. An action goes on only for what is
// there, if in another shard, and has its cluster until it ends.
func TestWhatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	refused := errors.New("no such luck")
	tests := map[string]struct {
		why    string
		live   answering
		cause  error // of the end of the action; nil if it goes on
		failed error
	}{
		"gone":            {live: answering{err: apierrors.NewNotFound(schema.GroupResource{}, "web")}, cause: errGone},
		"another is here": {why: "its cache is behind", live: answering{uid: "2"}, cause: errGone},
		"in another shard": {
			why: "what comes of it is found in the storage", live: answering{uid: one.uid},
		},
		"who knows": {why: "it is asked again", live: answering{err: refused}, failed: refused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hr := a()
			r := &Reconciler{
				clusters: nowhere(t), jobs: newJobs(1), live: tc.live,
				dependencies: dependency.New(nil, dependency.Options[*helmv2.HelmRelease]{}),
				backoff:      workqueue.DefaultTypedControllerRateLimiter[reconcile.Request](),
			}
			if _, err := r.clusters.Enter(one.NamespacedName, ""); err != nil {
				t.Fatal(err)
			}
			kept := r.known.of(hr)
			end, ended := make(chan struct{}), make(chan error, 1)
			b, _ := r.jobs.start(one, longest, func(ctx context.Context, _ func() func()) {
				select {
				case <-ctx.Done():
				case <-end:
				}
				ended <- context.Cause(ctx)
			}, func(b *job) { b.takenUp() })
			if err := r.Forget(t.Context(), one.NamespacedName); !errors.Is(err, tc.failed) {
				t.Errorf("forgetting it ends with %v; want %v", err, tc.failed)
			}
			if tc.cause == nil {
				if r.clusters.At(one.NamespacedName) == nil || r.known.of(hr) != kept {
					t.Errorf("it is forgotten while its action goes on (%s)", tc.why)
				}
				close(end)
			}
			await(t, "the action", b.ended)
			if cause := <-ended; !errors.Is(cause, tc.cause) {
				t.Errorf("the action ended because of %v; want %v (%s)", cause, tc.cause, tc.why)
			}
			if err := r.Forget(t.Context(), one.NamespacedName); err != nil {
				t.Errorf("after the action, forgetting it ends with %v", err)
			}
			if r.clusters.At(one.NamespacedName) != nil || r.known.of(hr) == kept {
				t.Error("it is not forgotten")
			}
		})
	}
}

// TestStorageWakesThoseOfItsCluster only: in another cluster, anybody may have a release of
// that name.
func TestStorageWakesThoseOfItsCluster(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := helmv2.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	here := a()
	there, yet := here.DeepCopy(), here.DeepCopy()
	there.Name, yet.Name = "there", "yet-to-come"
	for _, hr := range []*helmv2.HelmRelease{here, there, yet} {
		hr.Spec.ReleaseName = "web"
	}
	r := &Reconciler{
		clusters: nowhere(t),
		client:   fake.NewClientBuilder().WithScheme(scheme).WithObjects(here, there, yet).WithIndex(&helmv2.HelmRelease{}, releaseIndex, indexRelease).Build(),
	}
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	t.Cleanup(q.ShutDown)
	if err := r.wakes.Source().Start(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	local, err := r.clusters.Enter(keyOf(here), "")
	if err != nil {
		t.Fatal(err)
	}
	far := tenant.Remote{Name: "far", Config: &rest.Config{Host: "http://127.0.0.1:2"}}
	remote, err := r.clusters.EnterRemote(keyOf(there), far, "")
	if err != nil {
		t.Fatal(err)
	}
	for of, want := range map[tenant.Runner]string{local.Extra: here.Name, remote.Extra: there.Name} {
		r.wakeOwners(of, "apps", "web")
		for _, hr := range []*helmv2.HelmRelease{here, there, yet} {
			if woken := !r.wakes.Take(keyOf(hr)).IsZero(); woken != (hr.Name == want) {
				t.Errorf("a write where %s is wakes %s: %t", want, hr.Name, woken)
			}
		}
	}
}

var _ loop.Forgetter = (*Reconciler)(nil)
