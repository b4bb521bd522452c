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

// TestOnAnAPIServer drives an object through a life with the writes that only a
// real server answers in full: it validates, counts generations, refuses what is
// based on an old version, and says only what is there.
func TestOnAnAPIServer(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	c, err := client.New(p.Config(), client.Options{Scheme: p.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	repo := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec:       sourcev1.GitRepositorySpec{URL: "https://example.com/app", Interval: metav1.Duration{Duration: time.Minute}},
	}
	p.Create(repo)
	kind := &author{}
	l := loop.New(c, c, nobody{}, kind, loop.Options[*sourcev1.GitRepository]{FieldOwner: "source-controller"})
	run := func() {
		t.Helper()
		if _, err := l.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(repo)}); err != nil {
			t.Fatalf("Reconcile: %v", err)
		}
		p.Get(repo)
	}
	writes := func(want int) {
		t.Helper()
		if got := p.Traffic.Count(testplane.Writes()); got != want {
			t.Errorf("%d writes, want %d: %v", got, want, p.Traffic.Requests())
		}
		p.Traffic.Reset()
	}

	kind.write = func(_ context.Context, repo *sourcev1.GitRepository) error {
		repo.Status.Artifact = &meta.Artifact{
			Revision: "main@sha1:1", Path: "p", URL: "http://example.com/p", LastUpdateTime: metav1.NewTime(time.Unix(1_700_000_000, 0)),
			Digest:   "sha256:0000000000000000000000000000000000000000000000000000000000000000",
			Metadata: map[string]string{"a": "b"},
		}
		return nil
	}
	run() // finalizer and status
	writes(2)
	if len(repo.Finalizers) != 1 || repo.Status.Artifact == nil || repo.Status.ObservedGeneration != 1 {
		t.Errorf("the first run left finalizers %v and status %+v", repo.Finalizers, repo.Status)
	}
	run()
	writes(0)

	// Somebody adds a condition while a run takes the artifact away.
	kind.write = func(ctx context.Context, repo *sourcev1.GitRepository) error {
		repo.Status.Artifact = nil
		other := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: repo.Namespace, Name: repo.Name}}
		p.Get(other)
		other.Status.Conditions = append(other.Status.Conditions, metav1.Condition{
			Type: "Foreign", Status: metav1.ConditionTrue, Reason: "Here", LastTransitionTime: metav1.NewTime(time.Unix(1_700_000_000, 0)),
		})
		if err := p.Client.Status().Update(ctx, other); err != nil {
			return err
		}
		return l.Save(ctx, repo)
	}
	run()
	writes(2) // the one that is refused, and the one on top of the new state
	if types := conditionTypes(repo); repo.Status.Artifact != nil || !cmp.Equal(types, []string{"Ready", "Foreign"}) {
		t.Errorf("the run left artifact %+v and conditions %v", repo.Status.Artifact, types)
	}
	kind.write = func(context.Context, *sourcev1.GitRepository) error { return nil }
	run()
	writes(0)

	if err := p.Client.Delete(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	run()
	writes(1)
	p.WaitGone(repo)
}

func conditionTypes(repo *sourcev1.GitRepository) []string {
	var types []string
	for _, c := range repo.Status.Conditions {
		types = append(types, c.Type)
	}
	return types
}
