package kustomization_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/testplane"
)

// TestWatchesEndAndResume: the API server ends each watch after some minutes. What was
// done while nobody looked is seen later, and only that is written.
func TestWatchesEndAndResume(t *testing.T) {
	t.Parallel()
	errAway := errors.New("the API server is away")
	tests := map[string]struct {
		why  string
		away bool // watches cannot be begun again at once
	}{
		"at once":       {why: "the watch goes on from where it was"},
		"after a while": {why: "all is listed anew", away: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 6
			w := newWorld(t)
			tree := make(map[string]string, n)
			for i := range n {
				tree[fmt.Sprintf("%d.yaml", i)] = configMapYAML(fmt.Sprintf("cm-%d", i), "k", "1")
			}
			ks := w.kustomization("app", "")
			w.waitApplied(ks, w.publish(tree))
			w.settle()
			w.Traffic.Reset()

			if tc.away {
				w.Traffic.Break(func(r testplane.Request) error {
					if r.Watch {
						return errAway
					}
					return nil
				})
			}
			if w.Traffic.EndWatches() == 0 {
				t.Fatal("there is no watch to end")
			}
			w.Patch(w.configMap("cm-1"), "night-shift", "data: {k: by-hand}")
			if err := w.Client.Delete(t.Context(), w.configMap("cm-2")); err != nil {
				t.Fatal(err)
			}
			tree["3.yaml"] = configMapYAML("cm-3", "k", "2")
			second := w.publish(tree)
			w.Traffic.Break(nil)

			w.waitApplied(ks, second)
			w.Eventually("all is as it should be", func() bool {
				for i, want := range []string{"1", "1", "1", "2"} {
					if cm := w.configMap(fmt.Sprintf("cm-%d", i)); !w.Get(cm) || cm.Data["k"] != want {
						return false
					}
				}
				return true
			})
			w.settle()
			if got := w.Traffic.Count(testplane.Writes("configmaps")); got != 3 {
				t.Errorf("%d writes of ConfigMaps; want one for each of the 3 that were touched (%s): %v", got, tc.why, w.Traffic.Requests())
			}
		})
	}
}

// TestStatusConflict: somebody else writes to the object just before its status is. Both
// stay, and nobody is told of it.
func TestStatusConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	w.settle()
	events := len(w.events(ks))
	w.Traffic.Reset()
	statuses := func(r testplane.Request) bool {
		return r.Resource == "kustomizations" && r.Sub == "status" && r.Method == http.MethodPatch
	}
	var once sync.Once
	w.Traffic.Break(func(r testplane.Request) error {
		if statuses(r) {
			once.Do(func() { w.annotate(ks.DeepCopy()) })
		}
		return nil
	})
	second := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "2")})
	w.waitApplied(ks, second)
	w.settle()

	if ks.Annotations["example.com/note"] != "x" {
		t.Errorf("the annotations are %v; want that of somebody else to stay", ks.Annotations)
	}
	if got := w.Traffic.Count(statuses); got != 2 {
		t.Errorf("the status was written %d times; want 2: refused, and again", got)
	}
	for _, e := range w.events(ks)[events:] {
		if e.Type != corev1.EventTypeNormal {
			t.Errorf("an event says %q; a conflict is nobody's business", e.Message)
		}
	}
}

// annotate changes an object without anything that asks for a run.
func (w *world) annotate(ks *kustomizev1.Kustomization) {
	note := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"example.com/note":"x"}}}`))
	if err := w.Client.Patch(w.t.Context(), ks, note, client.FieldOwner("somebody")); err != nil {
		w.t.Errorf("annotating: %v", err)
	}
}
