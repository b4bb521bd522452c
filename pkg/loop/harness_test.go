package loop

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	sourcev1 "weir.dev/api/source/v1"
)

// The requests that a Loop makes.
const (
	patch       = "patch"
	patchStatus = "patch status"
	readLive    = "read live"
)

// errFault is what a fault of the API server is made of.
var errFault = errors.New("the API server is unwell")

// conflict is how the API server refuses a write that is based on an old version.
func conflict() error { return apierrors.NewConflict(gitRepositories(), "app", errFault) }

// gone is how the API server answers a request for what is not there.
func gone() error { return apierrors.NewNotFound(gitRepositories(), "app") }

func gitRepositories() schema.GroupResource {
	return schema.GroupResource{Group: sourcev1.GroupVersion.Group, Resource: "gitrepositories"}
}

// world is one object on an API server, a cache that is as old as the test wants,
// and a Loop for a kind that does what the test says.
type world struct {
	t      *testing.T
	server client.WithWatch
	key    types.NamespacedName
	loop   *Loop[*sourcev1.GitRepository]
	kind   *kind

	// cached is what the cache holds; nil means the present state.
	cached *sourcev1.GitRepository
	// readFault is what the cache answers with.
	readFault error
	// before is called before a request is carried out, to fail it or to be faster.
	before func(request string) error

	requests []string
	bodies   []string // of the requests that write
	owners   []string // their field managers
	events   []recorded
}

// recorded is an event and the object that it is about.
type recorded struct {
	Revision string
	Event    Event
}

// newWorld makes a world with a copy of repo, or of none.
func newWorld(t *testing.T, repo *sourcev1.GitRepository) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := sourcev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&sourcev1.GitRepository{})
	if repo != nil {
		b.WithObjects(repo.DeepCopy())
	}
	w := &world{t: t, server: b.Build(), key: client.ObjectKeyFromObject(repository()), kind: &kind{}}
	w.drive(w.kind, Options[*sourcev1.GitRepository]{FieldOwner: "tester"})
	return w
}

// drive makes a Loop for a kind.
func (w *world) drive(k Reconciler[*sourcev1.GitRepository], opts Options[*sourcev1.GitRepository]) {
	cache := interceptor.NewClient(w.server, interceptor.Funcs{
		Get: w.readCache,
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
			return w.write(patch, obj, p, opts, func(into client.Object) error { return c.Patch(ctx, into, p, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			var flat client.SubResourcePatchOptions
			flat.ApplyOptions(opts)
			return w.write(patch+" "+sub, obj, p, []client.PatchOption{&flat.PatchOptions}, func(into client.Object) error {
				return c.SubResource(sub).Patch(ctx, into, p, opts...)
			})
		},
	})
	live := interceptor.NewClient(w.server, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if err := w.ask(readLive); err != nil {
				return err
			}
			return c.Get(ctx, key, obj, opts...)
		},
	})
	w.loop = New(cache, live, w, k, opts)
}

// readCache answers as a cache does.
func (w *world) readCache(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if w.readFault != nil {
		return w.readFault
	}
	if w.cached == nil {
		return c.Get(ctx, key, obj, opts...)
	}
	w.cached.DeepCopyInto(obj.(*sourcev1.GitRepository))
	return nil
}

// ask records a request and lets the test fail it.
func (w *world) ask(request string) error {
	w.requests = append(w.requests, request)
	if w.before != nil {
		return w.before(request)
	}
	return nil
}

// write carries out a patch and reads the answer as a real client does: on top of
// what the object holds.
func (w *world) write(request string, obj client.Object, p client.Patch, opts []client.PatchOption, call func(client.Object) error) error {
	body, err := p.Data(obj)
	if err != nil {
		return err
	}
	var flat client.PatchOptions
	flat.ApplyOptions(opts)
	w.bodies, w.owners = append(w.bodies, string(body)), append(w.owners, flat.FieldManager)
	if err := w.ask(request); err != nil {
		return err
	}
	scratch := obj.DeepCopyObject().(client.Object)
	if err := call(scratch); err != nil {
		return err
	}
	scratch.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "somebody"}})
	data, err := json.Marshal(scratch)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, obj)
}

// Record implements Recorder.
func (w *world) Record(obj runtime.Object, e Event) {
	r := recorded{Event: e}
	if a := obj.(*sourcev1.GitRepository).Status.Artifact; a != nil {
		r.Revision = a.Revision
	}
	w.events = append(w.events, r)
}

// run reconciles the object once.
func (w *world) run() (reconcile.Result, error) {
	w.t.Helper()
	return w.loop.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: w.key})
}

// mustRun reconciles the object and fails the test on an error.
func (w *world) mustRun() reconcile.Result {
	w.t.Helper()
	result, err := w.run()
	if err != nil {
		w.t.Fatalf("Reconcile: %v", err)
	}
	return result
}

// take returns the requests since the last call.
func (w *world) take() []string {
	requests := w.requests
	w.requests, w.bodies, w.owners = nil, nil, nil
	return requests
}

// wants compares the requests since the last call.
func (w *world) wants(requests ...string) {
	w.t.Helper()
	if diff := cmp.Diff(requests, w.take(), cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// get returns the object as the server has it.
func (w *world) get() *sourcev1.GitRepository {
	w.t.Helper()
	repo := &sourcev1.GitRepository{}
	if err := w.server.Get(w.t.Context(), w.key, repo); err != nil {
		w.t.Fatal(err)
	}
	return repo
}

// somebody changes the object, as another writer does: spec and metadata by edit,
// status by editStatus.
func (w *world) somebody(edit, editStatus func(*sourcev1.GitRepository)) {
	w.t.Helper()
	repo := w.get()
	if edit != nil {
		edit(repo)
		if err := w.server.Update(w.t.Context(), repo); err != nil {
			w.t.Fatal(err)
		}
	}
	if editStatus != nil {
		editStatus(repo)
		if err := w.server.Status().Update(w.t.Context(), repo); err != nil {
			w.t.Fatal(err)
		}
	}
}

// once returns a hook that acts before the first request of a sort.
func once(request string, act func() error) func(string) error {
	done := false
	return func(r string) error {
		if r != request || done {
			return nil
		}
		done = true
		return act()
	}
}

// kind does what the test says and records what the Loop asks of it.
type kind struct {
	reconcile func(context.Context, *sourcev1.GitRepository) error
	finalize  func(context.Context, *sourcev1.GitRepository) error
	list      []Event // what Events returns

	calls  []string
	states []states // what Events was called with
}

// states is what Events was told.
type states struct {
	Before, After string // revisions
	Verdict       Verdict
}

func (k *kind) Reconcile(ctx context.Context, repo *sourcev1.GitRepository) error {
	k.calls = append(k.calls, "Reconcile")
	if k.reconcile == nil {
		return nil
	}
	return k.reconcile(ctx, repo)
}

func (k *kind) Finalize(ctx context.Context, repo *sourcev1.GitRepository) error {
	k.calls = append(k.calls, "Finalize")
	if k.finalize == nil {
		return nil
	}
	return k.finalize(ctx, repo)
}

func (k *kind) Report(*sourcev1.GitRepository, Outcome) (string, string) {
	return "Done", "all is well"
}

func (k *kind) Events(before, after *sourcev1.GitRepository, out Outcome) []Event {
	k.states = append(k.states, states{Before: revision(before), After: revision(after), Verdict: out.Verdict})
	return k.list
}

// suspending is a kind that keeps its status current while suspended.
type suspending struct{ *kind }

func (k suspending) Suspend(repo *sourcev1.GitRepository) {
	k.calls = append(k.calls, "Suspend")
	repo.Status.ObservedIgnore = new(string)
}

// repository is an object that was never reconciled.
func repository() *sourcev1.GitRepository {
	return &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "app", UID: "first", Generation: 1},
		Spec:       sourcev1.GitRepositorySpec{URL: "https://example.com/app", Interval: metav1.Duration{Duration: time.Minute}},
		Status:     sourcev1.GitRepositoryStatus{ObservedGeneration: -1},
	}
}

// held is an object that has the finalizer.
func held() *sourcev1.GitRepository {
	repo := repository()
	repo.Finalizers = []string{Finalizer}
	return repo
}

// doomed is an object that is being deleted.
func doomed() *sourcev1.GitRepository {
	repo := held()
	repo.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}
	return repo
}

// requested asks for a run.
func requested(repo *sourcev1.GitRepository, token string) *sourcev1.GitRepository {
	repo.Annotations = map[string]string{meta.ReconcileRequestAnnotation: token}
	return repo
}

// artifact is one of a revision.
func artifact(revision string) *meta.Artifact {
	return &meta.Artifact{Revision: revision, Path: "p", URL: "http://example.com/p", Digest: "sha256:00"}
}

func revision(repo *sourcev1.GitRepository) string {
	if repo.Status.Artifact == nil {
		return ""
	}
	return repo.Status.Artifact.Revision
}

// publish is a Reconcile that publishes a revision.
func publish(revision string) func(context.Context, *sourcev1.GitRepository) error {
	return func(_ context.Context, repo *sourcev1.GitRepository) error {
		repo.Status.Artifact = artifact(revision)
		return nil
	}
}

// condition is one as a test expects it: without its time.
func condition(conditionType string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: status, Reason: reason, Message: message, ObservedGeneration: 1}
}

// sameConditions compares conditions but for their times.
func sameConditions(t *testing.T, got []metav1.Condition, want ...metav1.Condition) {
	t.Helper()
	timeless := cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")
	if diff := cmp.Diff(want, got, timeless, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}
