package kustomization_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/testplane"
)

func TestAppliesWhatTheSourcePublishes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "./app")
	rev := w.publish(map[string]string{"app/a.yaml": configMapYAML("a", "k", "1")})
	w.waitApplied(ks, rev)

	cm := w.configMap("a")
	if !w.Get(cm) || cm.Data["k"] != "1" {
		t.Errorf("ConfigMap is %v; want k=1", cm.Data)
	}
	want := map[string]string{kustomizev1.LabelName: "app", kustomizev1.LabelNamespace: w.Namespace}
	for k, v := range want {
		if cm.Labels[k] != v {
			t.Errorf("label %s is %q; want %q", k, cm.Labels[k], v)
		}
	}
	if got := ks.Status.Inventory.Entries; len(got) != 1 || got[0].ID != w.Namespace+"_a__ConfigMap" {
		t.Errorf("inventory is %v; want the one ConfigMap", got)
	}
}

func TestSteadyStateAsksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "./app", func(s *kustomizev1.KustomizationSpec) {
		s.Interval = metav1.Duration{Duration: 500 * time.Millisecond}
	})
	rev := w.publish(map[string]string{"app/a.yaml": configMapYAML("a", "k", "1")})
	w.waitApplied(ks, rev)
	w.settle()

	w.Traffic.Forbid(testplane.Any)
	w.pass(4 * 500 * time.Millisecond) // three intervals and some
}

func TestCommitRebuildsOnlyWhatItTouches(t *testing.T) {
	t.Parallel()
	const n = 20
	w := newWorld(t)
	tree := make(map[string]string, n)
	list := make([]*kustomizev1.Kustomization, n)
	for i := range n {
		name := fmt.Sprintf("app-%d", i)
		tree[name+"/cm.yaml"] = configMapYAML(name, "k", "1") + "---\n" + configMapYAML(name+"-other", "k", "1")
		list[i] = w.kustomization(name, name)
	}
	first := w.publish(tree)
	for _, ks := range list {
		w.waitApplied(ks, first)
	}
	if got := w.downloads.Load(); got != 1 {
		t.Errorf("%d Kustomizations downloaded the artifact %d times; want once", n, got)
	}
	w.settle()

	w.Traffic.Reset()
	tree["app-7/cm.yaml"] = configMapYAML("app-7", "k", "2") + "---\n" + configMapYAML("app-7-other", "k", "1")
	second := w.publish(tree)
	for _, ks := range list {
		w.waitApplied(ks, second)
	}
	w.settle()

	objects := w.Traffic.Count(func(r testplane.Request) bool { return r.Resource == "configmaps" })
	if objects != 1 {
		t.Errorf("%d requests about ConfigMaps; want 1, for the one that changed: %v", objects, w.Traffic.Requests())
	}
	patches := w.Traffic.Count(func(r testplane.Request) bool { return r.Resource == "kustomizations" })
	if patches != n {
		t.Errorf("%d requests about Kustomizations; want a status patch for each of %d", patches, n)
	}
	if got := w.downloads.Load(); got != 2 {
		t.Errorf("the second artifact was downloaded %d times; want once", got-1)
	}
}

func TestPrunesWhatHasLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1"), "b.yaml": configMapYAML("b", "k", "1")}))
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	w.WaitGone(w.configMap("b"))
	if !w.Get(w.configMap("a")) {
		t.Error("ConfigMap a is gone; want only b pruned")
	}
}

func TestDeletionFollowsThePolicy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy  kustomizev1.DeletionPolicy
		prune   bool
		suspend bool
		stays   bool
	}{
		"mirrors prune":                   {prune: true},
		"mirrors no prune":                {stays: true},
		"deletes without prune":           {policy: kustomizev1.DeletionPolicyDelete},
		"waits for the end":               {policy: kustomizev1.DeletionPolicyWaitForTermination, prune: true},
		"orphans":                         {policy: kustomizev1.DeletionPolicyOrphan, prune: true, stays: true},
		"leaves all when it is suspended": {prune: true, suspend: true, stays: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) {
				s.DeletionPolicy, s.Prune = tc.policy, tc.prune
			})
			w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
			if tc.suspend {
				w.Patch(ks, "test", "spec: {suspend: true}")
			}
			if err := w.Client.Delete(t.Context(), ks); err != nil {
				t.Fatal(err)
			}
			w.WaitGone(ks)
			if got := w.Get(w.configMap("a")); got != tc.stays {
				t.Errorf("the ConfigMap is there: %t; want %t", got, tc.stays)
			}
		})
	}
}

// settle waits until the events of what was done are written.
func (w *world) settle() {
	w.t.Helper()
	last, since := -1, time.Now()
	w.Eventually("no more requests", func() bool {
		if n := len(w.Traffic.Requests()); n != last || w.Traffic.Open() > 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > 700*time.Millisecond
	})
}

// pass lets time go by, in which something must not happen.
func (w *world) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.t.Context().Done():
	}
}
