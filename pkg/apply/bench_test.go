package apply_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/apply"
)

// workloads are objects of the size that people have.
func workloads(n int) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for i := range n {
		obj := object("apps/v1", "Deployment", "shop", fmt.Sprintf("web-%d", i))
		obj.SetLabels(map[string]string{"app": "web", "kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"})
		env := make([]any, 20)
		for j := range env {
			env[j] = map[string]any{"name": fmt.Sprintf("VARIABLE_%d", j), "value": "some value or other"}
		}
		obj.Object["spec"] = map[string]any{"replicas": int64(2), "template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "main", "image": "example.com/web:1", "env": env}}}}}
		out = append(out, obj)
	}
	return out
}

// BenchmarkIdlePlan is what a run costs that finds nothing to do, of objects that are
// prepared for each run, or once.
func BenchmarkIdlePlan(b *testing.B) {
	objs := workloads(1000)
	opts := apply.Options{Owner: types.NamespacedName{Namespace: "flux-system", Name: "shop"}}
	set, err := apply.Prepare(objs, opts)
	if err != nil {
		b.Fatal(err)
	}
	tracker := newRecorder()
	for _, item := range set.Plan(tracker, opts).Stages[0].Items {
		tracker.known[item.ID] = apply.Known{Last: apply.Applied{Content: item.Content, Owner: opts.Owner}, Intact: true}
	}
	b.Run("each time", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p, err := newPlan(objs, tracker, opts); err != nil || !p.Idle() {
				b.Fatal(err)
			}
		}
	})
	b.Run("prepared", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p := set.Plan(tracker, opts); !p.Idle() {
				b.Fatal("the plan is not idle")
			}
		}
	})
}
