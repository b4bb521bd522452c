package loop_test

import (
	"context"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/testplane"
)

// author is a kind that does what the test says.
type author struct {
	write func(context.Context, *sourcev1.GitRepository) error
}

func (a *author) Reconcile(ctx context.Context, repo *sourcev1.GitRepository) error {
	return a.write(ctx, repo)
}
func (a *author) Finalize(context.Context, *sourcev1.GitRepository) error { return nil }
func (a *author) Report(*sourcev1.GitRepository, loop.Outcome) (string, string) {
	return "Succeeded", "all is well"
}
func (a *author) Events(_, _ *sourcev1.GitRepository, _ loop.Outcome) []loop.Event { return nil }

// nobody listens to events.
type nobody struct{}

func (nobody) Record(runtime.Object, loop.Event) {}

// life is an object on an API server and the Loop that drives it.
type life struct {
	*testplane.Plane
	t    *testing.T
	repo *sourcev1.GitRepository
	kind *author
	loop *loop.Loop[*sourcev1.GitRepository]
}

func newLife(t *testing.T) *life {
	t.Helper()
	l := &life{Plane: testplane.Start(t), t: t, kind: &author{}, repo: &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec:       sourcev1.GitRepositorySpec{URL: "https://example.com/app", Interval: metav1.Duration{Duration: time.Minute}},
	}}
	c, err := client.New(l.Config(), client.Options{Scheme: l.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	l.Create(l.repo)
	l.loop = loop.New(c, c, nobody{}, l.kind, loop.Options[*sourcev1.GitRepository]{FieldOwner: "source-controller"})
	return l
}

// run reconciles the object as write says, and checks how many requests write.
func (l *life) run(writes int, write func(context.Context, *sourcev1.GitRepository) error) {
	l.t.Helper()
	l.kind.write = write
	l.Traffic.Reset()
	if _, err := l.loop.Reconcile(l.t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(l.repo)}); err != nil {
		l.t.Fatalf("Reconcile: %v", err)
	}
	if got := l.Traffic.Count(testplane.Writes()); got != writes {
		l.t.Errorf("%d writes, want %d: %v", got, writes, l.Traffic.Requests())
	}
	now := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: l.repo.Namespace, Name: l.repo.Name}}
	l.Get(now)
	l.repo = now
}

// TestOnAnAPIServer drives an object through a life with the writes that only a
// real server answers in full: it validates, counts generations, refuses what is
// based on an old version, and says only what is there.
func TestOnAnAPIServer(t *testing.T) {
	t.Parallel()
	l := newLife(t)
	then := metav1.NewTime(time.Unix(1_700_000_000, 0))
	publish := func(_ context.Context, repo *sourcev1.GitRepository) error {
		repo.Status.Artifact = &meta.Artifact{
			Revision: "main@sha1:1", Path: "p", URL: "http://example.com/p", LastUpdateTime: then,
			Digest:   "sha256:0000000000000000000000000000000000000000000000000000000000000000",
			Metadata: map[string]string{"a": "b"},
		}
		return nil
	}
	l.run(2, publish) // finalizer and status
	if len(l.repo.Finalizers) != 1 || l.repo.Status.Artifact == nil || l.repo.Status.ObservedGeneration != 1 {
		t.Errorf("the first run left finalizers %v and status %+v", l.repo.Finalizers, l.repo.Status)
	}
	l.run(0, publish)

	// Somebody adds a condition while a run takes the artifact away: one write is
	// refused, the next is on top of the new state.
	l.run(2, func(ctx context.Context, repo *sourcev1.GitRepository) error {
		repo.Status.Artifact = nil
		other := l.repo.DeepCopy()
		other.Status.Conditions = append(other.Status.Conditions, metav1.Condition{
			Type: "Foreign", Status: metav1.ConditionTrue, Reason: "Here", LastTransitionTime: then,
		})
		if err := l.Client.Status().Update(ctx, other); err != nil {
			return err
		}
		return l.loop.Save(ctx, repo)
	})
	if types := conditionTypes(l.repo); l.repo.Status.Artifact != nil || !cmp.Equal(types, []string{"Ready", "Foreign"}) {
		t.Errorf("the run left artifact %+v and conditions %v", l.repo.Status.Artifact, types)
	}
	l.run(0, func(context.Context, *sourcev1.GitRepository) error { return nil })

	if err := l.Client.Delete(t.Context(), l.repo); err != nil {
		t.Fatal(err)
	}
	l.run(1, nil)
	l.WaitGone(l.repo)
}

func conditionTypes(repo *sourcev1.GitRepository) []string {
	var types []string
	for _, c := range repo.Status.Conditions {
		types = append(types, c.Type)
	}
	return types
}
