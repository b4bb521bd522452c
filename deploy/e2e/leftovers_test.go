package e2e_test

import (
	"os"
	"testing"
)

// TestKilledControllersLeaveNoFiles: the volume for temporary files of a Pod outlives
// its containers, and a controller that is killed for its use of memory, say, comes
// back in the same Pod each time.
func TestKilledControllersLeaveNoFiles(t *testing.T) {
	t.Parallel()
	const kills = 3
	w := newPublisher(t)
	ks := w.kustomization("app")
	commit := w.publish(revision{{kind: "ConfigMap", space: w.Namespace, name: "settings", value: "1"}}.files())
	for range kills {
		p := w.startKustomize()
		w.handled(ks)
		w.waitApplied(ks, commit)
		w.kill(p)
	}
	w.startKustomize()
	w.handled(ks)
	files, err := os.ReadDir(w.temp)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 1 {
		t.Errorf("after %d kills, %d temporary folders are there: %v; want only that of the one that runs", kills, len(files), files)
	}
}
