package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

// object is one of those that revisions consist of.
type object struct {
	kind  string // ConfigMap, ServiceAccount or Namespace
	space string // "" of a Namespace
	name  string
	value string // of a ConfigMap
	kept  bool   // asks not to be pruned
}

// id is how an inventory names the object.
func (o object) id() string { return o.space + "_" + o.name + "__" + o.kind }

func (o object) yaml() string {
	s := fmt.Sprintf("apiVersion: v1\nkind: %s\nmetadata:\n  name: %s\n", o.kind, o.name)
	if o.space != "" {
		s += fmt.Sprintf("  namespace: %s\n", o.space)
	}
	if o.kept {
		s += "  annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}\n"
	}
	if o.kind == "ConfigMap" {
		s += fmt.Sprintf("data: {key: %q}\n", o.value)
	}
	return s
}

// values are the values of objects by their id.
type values map[string]string

// revision is the objects that a commit asks for.
type revision []object

// files returns the commit.
func (r revision) files() map[string]string {
	files := make(map[string]string, len(r))
	for i, o := range r {
		files[fmt.Sprintf("%02d.yaml", i)] = o.yaml()
	}
	return files
}

// values returns what is in the cluster when the revision is applied.
func (r revision) values() values {
	v := make(values, len(r))
	for _, o := range r {
		v[o.id()] = o.value
	}
	return v
}

// kustomization makes a Kustomization of everything in the source, that takes over
// objects.
func (p *publisher) kustomization(name string, takenOver ...string) *kustomizev1.Kustomization {
	p.t.Helper()
	ks := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: kustomizev1.KustomizationSpec{
			Interval:  metav1.Duration{Duration: time.Hour},
			Prune:     true,
			SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: p.repo.Name},
		},
	}
	p.Create(ks)
	p.takeOver(ks, takenOver...)
	return ks
}

// takeOver adds to the inventory of ks the ids of objects, as if an earlier
// installation had applied them.
func (w *world) takeOver(ks *kustomizev1.Kustomization, ids ...string) {
	w.t.Helper()
	if len(ids) == 0 {
		return
	}
	if ks.Status.Inventory == nil {
		ks.Status.Inventory = &kustomizev1.ResourceInventory{}
	}
	for _, id := range ids {
		ks.Status.Inventory.Entries = append(ks.Status.Inventory.Entries, kustomizev1.ResourceRef{ID: id, Version: "v1"})
	}
	if err := w.Client.Status().Update(w.t.Context(), ks); err != nil {
		w.t.Fatal(err)
	}
}

// applied reports whether ks, as last read, says that a revision is applied.
func applied(ks *kustomizev1.Kustomization, revision string) bool {
	return ks.Status.LastAppliedRevision == revision && conditions.IsTrue(ks, meta.ReadyCondition) &&
		conditions.GetObservedGeneration(ks, meta.ReadyCondition) == ks.Generation
}

// waitApplied waits until ks says that a revision is applied.
func (w *world) waitApplied(ks *kustomizev1.Kustomization, revision string) {
	w.t.Helper()
	w.Wait("revision "+revision+" applied", ks, func() bool { return applied(ks, revision) })
}

// owned returns the values of the objects that say by their labels that they are of
// ks, and those among them that ask not to be pruned.
func (w *world) owned(ks *kustomizev1.Kustomization) (all, kept values) {
	w.t.Helper()
	ours := client.MatchingLabels{kustomizev1.LabelName: ks.Name, kustomizev1.LabelNamespace: ks.Namespace}
	all, kept = make(values), make(values)
	note := func(kind string, o client.Object, value string) {
		id := object{kind: kind, space: o.GetNamespace(), name: o.GetName()}.id()
		all[id] = value
		if o.GetAnnotations()["kustomize.toolkit.fluxcd.io/prune"] == "disabled" {
			kept[id] = value
		}
	}
	var configMaps corev1.ConfigMapList
	var accounts corev1.ServiceAccountList
	var namespaces corev1.NamespaceList
	for _, list := range []client.ObjectList{&configMaps, &accounts, &namespaces} {
		if err := w.Client.List(w.t.Context(), list, ours); err != nil {
			w.t.Fatal(err)
		}
	}
	for i := range configMaps.Items {
		note("ConfigMap", &configMaps.Items[i], configMaps.Items[i].Data["key"])
	}
	for i := range accounts.Items {
		note("ServiceAccount", &accounts.Items[i], "")
	}
	for i := range namespaces.Items {
		note("Namespace", &namespaces.Items[i], "")
	}
	return all, kept
}

// inventory returns the ids in the inventory of ks, as last read.
func inventory(ks *kustomizev1.Kustomization) map[string]bool {
	ids := make(map[string]bool)
	if in := ks.Status.Inventory; in != nil {
		for _, e := range in.Entries {
			ids[e.ID] = true
		}
	}
	return ids
}

// checkNothingOrphaned checks that whatever there is of ks can be pruned one day.
func (w *world) checkNothingOrphaned(ks *kustomizev1.Kustomization) {
	w.t.Helper()
	w.Get(ks)
	known := inventory(ks)
	all, kept := w.owned(ks)
	for id := range all {
		if _, ok := kept[id]; !ok && !known[id] {
			w.t.Errorf("%s was applied, but is not in the inventory: %v", id, known)
		}
	}
}

// checkApplied checks that there is of ks what a revision asks for, and what earlier
// ones have left that asks not to be pruned, and that the inventory has just the former.
func (w *world) checkApplied(ks *kustomizev1.Kustomization, r revision, earlier ...revision) {
	w.t.Helper()
	w.Get(ks)
	all, _ := w.owned(ks)
	want := r.values()
	ids := make(map[string]bool, len(want))
	for id := range want {
		ids[id] = true
	}
	if diff := cmp.Diff(ids, inventory(ks)); diff != "" {
		w.t.Errorf("the inventory is not what the revision asks for (-want +got):\n%s", diff)
	}
	for _, o := range slices.Concat(earlier...) {
		if _, ok := want[o.id()]; !ok && o.kept {
			want[o.id()] = o.value
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		w.t.Errorf("in the cluster is not what the revision asks for (-want +got):\n%s", diff)
	}
}

// bystanders makes objects that must never be pruned, though the inventory of ks may
// have them, and returns them by their ids.
func (w *world) bystanders(ks string) map[string]client.Object {
	w.t.Helper()
	made := make(map[string]client.Object)
	for name, labels := range map[string]map[string]string{
		"by-hand":    nil,
		"of-another": {kustomizev1.LabelName: "another", kustomizev1.LabelNamespace: w.Namespace},
		"of-abroad":  {kustomizev1.LabelName: ks, kustomizev1.LabelNamespace: "elsewhere"},
	} {
		o := object{kind: "ConfigMap", space: w.Namespace, name: name}
		made[o.id()] = w.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: maps.Clone(labels)}})
	}
	return made
}

func ids(made map[string]client.Object) []string { return slices.Sorted(maps.Keys(made)) }

// checkUntouched checks that objects are as they were made.
func (w *world) checkUntouched(made map[string]client.Object) {
	w.t.Helper()
	for id, was := range made {
		now := &corev1.ConfigMap{}
		now.SetNamespace(was.GetNamespace())
		now.SetName(was.GetName())
		if !w.Get(now) {
			w.t.Errorf("%s is gone; nobody asked for that", id)
			continue
		}
		if now.UID != was.GetUID() || now.ResourceVersion != was.GetResourceVersion() {
			w.t.Errorf("%s was touched; nobody asked for that: %+v", id, now)
		}
	}
}

// removeNamespace deletes a namespace with the test.
func (w *world) removeNamespace(name string) {
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), tellTimeout)
		defer cancel()
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := client.IgnoreNotFound(w.Client.Delete(ctx, ns)); err != nil {
			w.t.Logf("deleting namespace %q: %v", name, err)
		}
	})
}
