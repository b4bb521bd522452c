package e2e_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKillAtEveryRequestOfADeletion kills kustomize-controller at each request that
// the deletion of a Kustomization costs.
func TestKillAtEveryRequestOfADeletion(t *testing.T) {
	t.Parallel()
	killAtEach(t, remove, []step{
		{"GET", "/configmaps/settings", "a look at what is to be deleted"},
		{"GET", "/configmaps/by-hand", "a look at what is not ours"},
		{"DELETE", "/configmaps/settings", "a deletion"},
		{"DELETE", "/serviceaccounts/account", "the last deletion"},
		{"PATCH", "/kustomizations/app", "the end of the finalizer"},
	})
}

// remove deletes a Kustomization, with a controller that dies at a certain request,
// and one that takes over then.
func remove(t *testing.T, f fault) string {
	w := newPublisher(t)
	staying := object{kind: "ConfigMap", space: w.Namespace, name: "staying", value: "1", kept: true}
	installed := revision{
		{kind: "ServiceAccount", space: w.Namespace, name: "account"},
		{kind: "ConfigMap", space: w.Namespace, name: "settings", value: "1"},
		staying,
	}
	ks := w.kustomization("app")
	commit := w.publish(installed.files())
	first := w.startKustomize()
	w.waitApplied(ks, commit)
	w.checkApplied(ks, installed)
	w.kill(first)
	made := w.bystanders("app")
	w.takeOver(ks, ids(made)...)
	if err := w.Client.Delete(t.Context(), ks); err != nil {
		t.Fatal(err)
	}

	doomed := w.startBehind(w.startKustomize, f, ordered)
	w.Eventually("the Kustomization gone, or the controller killed", func() bool { return doomed.wasHit() || !w.Get(ks) })
	request := ""
	if doomed.wasHit() {
		<-doomed.killed
		request = doomed.last()
		if w.Get(ks) {
			w.checkNothingOrphaned(ks)
		}
		w.startKustomize()
	}
	w.WaitGone(ks)
	all, _ := w.owned(ks)
	if diff := cmp.Diff(values{staying.id(): staying.value}, all); diff != "" {
		t.Errorf("the Kustomization is gone, and of its objects is left not what should be (-want +got):\n%s", diff)
	}
	w.checkUntouched(made)
	return request
}
