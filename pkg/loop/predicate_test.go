package loop

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	sourcev1 "weir.dev/api/source/v1"
)

func TestAskedUpdate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		edit func(*sourcev1.GitRepository)
		want bool
	}{
		"a status":             {why: "our own writes must not wake us", edit: func(r *sourcev1.GitRepository) { r.Status.Artifact = artifact("b") }},
		"a finalizer":          {why: "our own writes must not wake us", edit: func(r *sourcev1.GitRepository) { r.Finalizers = []string{Finalizer} }},
		"a label":              {why: "nothing follows from it", edit: func(r *sourcev1.GitRepository) { r.Labels = map[string]string{"a": "b"} }},
		"another annotation":   {why: "nothing follows from it", edit: func(r *sourcev1.GitRepository) { r.Annotations["a"] = "b" }},
		"a generation":         {why: "the spec is new", edit: func(r *sourcev1.GitRepository) { r.Generation++ }, want: true},
		"a new token":          {why: "a user asks for a run", edit: func(r *sourcev1.GitRepository) { requested(r, "two") }, want: true},
		"the token taken away": {why: "nobody asks", edit: func(r *sourcev1.GitRepository) { delete(r.Annotations, meta.ReconcileRequestAnnotation) }},
		"another of its name":  {why: "the watch has missed that one went and one came", edit: func(r *sourcev1.GitRepository) { r.UID = "another" }, want: true},
		"a deletion":           {why: "the finalizer is waiting", edit: func(r *sourcev1.GitRepository) { r.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, want: true},
		"nothing":              {why: "a cache tells all objects again from time to time", edit: func(*sourcev1.GitRepository) {}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := requested(repository(), "one")
			after := before.DeepCopy()
			tc.edit(after)
			if got := Asked().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != tc.want {
				t.Errorf("passes: %v, want %v (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestAskedFirstToken(t *testing.T) {
	t.Parallel()
	before := repository()
	if !Asked().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: requested(before.DeepCopy(), "one")}) {
		t.Error("the first token of an object does not pass")
	}
}

func TestAskedLetsPassWhatComesAndGoes(t *testing.T) {
	t.Parallel()
	p, repo := Asked(), repository()
	if !p.Create(event.CreateEvent{Object: repo}) || !p.Delete(event.DeleteEvent{Object: repo}) || !p.Generic(event.GenericEvent{Object: repo}) {
		t.Error("a new, a deleted or a woken object does not pass")
	}
}

func TestAwaited(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		edit func(*sourcev1.GitRepository)
		want bool
	}{
		"an interval that is over": {why: "nobody has asked", edit: func(*sourcev1.GitRepository) {}},
		"a new spec":               {edit: func(r *sourcev1.GitRepository) { r.Generation++ }, want: true},
		"a new request":            {edit: func(r *sourcev1.GitRepository) { requested(r, "two") }, want: true},
		"a request taken away":     {why: "nobody asks", edit: func(r *sourcev1.GitRepository) { delete(r.Annotations, meta.ReconcileRequestAnnotation) }},
	}
	for name, tc := range tests {
		repo := requested(repository(), "one")
		repo.Status.ObservedGeneration, repo.Status.LastHandledReconcileAt = repo.Generation, "one"
		tc.edit(repo)
		if got := Awaited(repo); got != tc.want {
			t.Errorf("%s: awaited is %t, want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}
