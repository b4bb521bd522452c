package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRestartTellsNothing: a controller that comes back to what it left has changed
// nothing, so it neither writes history nor says that it did.
func TestRestartTellsNothing(t *testing.T) {
	t.Parallel()
	w := newPublisher(t)
	ks := w.kustomization("app")
	settled := object{kind: "ConfigMap", space: w.Namespace, name: "settled", value: "1"}
	first := w.startKustomize()
	w.waitApplied(ks, w.publish(revision{settled}.files()))
	w.kill(first)
	before := ks.Status.History

	w.startKustomize()
	w.handled(ks)
	if diff := cmp.Diff(before, ks.Status.History); diff != "" {
		t.Errorf("the restart is in the history (-before +after):\n%s", diff)
	}
	added := object{kind: "ConfigMap", space: w.Namespace, name: "added", value: "1"}
	w.waitApplied(ks, w.publish(revision{settled, added}.files()))
	w.waitEvent(ks, "ConfigMap/"+w.Namespace+"/added created") // whatever was told before is there by now
	for _, e := range w.events(ks) {
		if strings.Contains(e.Message, "settled configured") {
			t.Errorf("an event says %q; nobody changed that", e.Message)
		}
	}
}
