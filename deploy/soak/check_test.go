package soak_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

const (
	// mostGoroutines and mostMemory bound a controller at rest. Neither grows with what
	// was done before; the first not with the number of objects either.
	mostGoroutines = 250
	mostMemory     = 256 << 20
	// calm is how many looks in a row must show no request before all is at rest.
	calm = 8
	// mostDifferences is how many a failure tells.
	mostDifferences = 40
)

// waitEqual waits until the cluster is what Git says.
func (s *soak) waitEqual() {
	s.t.Helper()
	s.eventually("the cluster is what Git says", settleTimeout, func(ctx context.Context) string {
		differences, err := s.differences(ctx)
		if err != nil {
			return err.Error()
		}
		slices.Sort(differences)
		text := strings.Join(differences[:min(len(differences), mostDifferences)], "\n")
		if more := len(differences) - mostDifferences; more > 0 {
			text += fmt.Sprintf("\nand %d more", more)
		}
		return text
	})
}

// differences tells where the cluster is not what Git says.
func (s *soak) differences(ctx context.Context) ([]string, error) {
	live, err := s.owned(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, a := range s.fleet.apps {
		for _, o := range a.objects {
			got, ok := live[o.id()]
			if !ok {
				all = append(all, o.id()+" is missing, or is not said to be of "+a.name)
				continue
			}
			delete(live, o.id())
			for _, m := range missing(o.wanted(a), got.Object, "") {
				all = append(all, o.id()+m)
			}
		}
	}
	for id, o := range live {
		all = append(all, fmt.Sprintf("%s is there, but not in Git; its labels are %v", id, o.GetLabels()))
	}
	states, err := s.stateDifferences(ctx)
	if err != nil {
		return nil, err
	}
	releases, err := s.releaseDifferences(ctx)
	return append(append(all, states...), releases...), err
}

// wanted is the object as it is when it was applied.
func (o *object) wanted(a *app) map[string]any {
	m := o.manifest()
	labels := map[string]any{valueLabel: fmt.Sprint(o.value), kustomizev1.LabelName: a.name, kustomizev1.LabelNamespace: namespace}
	_ = unstructured.SetNestedMap(m, labels, "metadata", "labels") // it is there already
	return m
}

// owned returns all objects that are said to be of a Kustomization, by their ids. One
// whose labels somebody has changed is not, until that is undone: if Git drops it before,
// it is left to whoever wanted it.
func (w *world) owned(ctx context.Context) (map[string]unstructured.Unstructured, error) {
	live := make(map[string]unstructured.Unstructured)
	for _, k := range kinds() {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(k.GroupVersionKind)
		if err := w.Client.List(ctx, &list, client.HasLabels{kustomizev1.LabelName}, client.MatchingLabels{kustomizev1.LabelNamespace: namespace}); err != nil {
			return nil, fmt.Errorf("listing %s: %w", k.Kind, err)
		}
		for _, item := range list.Items {
			o := object{kind: k, space: item.GetNamespace(), name: item.GetName()}
			live[o.id()] = item
		}
	}
	return live, nil
}

// stateDifferences tells which Kustomizations do not say what is so.
func (s *soak) stateDifferences(ctx context.Context) ([]string, error) {
	var list kustomizev1.KustomizationList
	if err := s.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	byName := make(map[string]*kustomizev1.Kustomization)
	for i := range list.Items {
		byName[list.Items[i].Name] = &list.Items[i]
	}
	var all []string
	for _, a := range s.fleet.apps {
		ks, ok := byName[a.name]
		if !ok {
			all = append(all, a.name+" is missing")
			continue
		}
		if want := branch + "@sha1:" + s.heads[a.repo]; ks.Status.LastAppliedRevision != want {
			all = append(all, fmt.Sprintf("%s is at revision %q; want %q", a.name, ks.Status.LastAppliedRevision, want))
		}
		if !conditions.IsTrue(ks, meta.ReadyCondition) || ks.Status.ObservedGeneration != ks.Generation {
			all = append(all, fmt.Sprintf("%s is not ready: %s", a.name, conditions.GetMessage(ks, meta.ReadyCondition)))
		}
		all = append(all, a.inventoryDifferences(ks)...)
	}
	return all, nil
}

func (a *app) inventoryDifferences(ks *kustomizev1.Kustomization) []string {
	count := make(map[string]int)
	if in := ks.Status.Inventory; in != nil {
		for _, e := range in.Entries {
			count[e.ID]++
		}
	}
	for _, o := range a.objects {
		count[o.id()] -= 1
	}
	var all []string
	for _, id := range slices.Sorted(maps.Keys(count)) {
		if n := count[id]; n != 0 {
			all = append(all, fmt.Sprintf("the inventory of %s has %s %d times too often", a.name, id, n))
		}
	}
	return all
}

// waitRest waits until no controller asks the API server for anything any more.
func (w *world) waitRest() {
	w.t.Helper()
	last, quiet := -1.0, 0
	w.eventually("the controllers are at rest", settleTimeout, func(ctx context.Context) string {
		now, err := w.requests(ctx)
		if err != nil {
			return err.Error()
		}
		if now == last {
			quiet++
		} else {
			last, quiet = now, 0
		}
		if quiet >= calm {
			return ""
		}
		return fmt.Sprintf("they have made %.0f requests", now)
	})
}

// requests returns how many the controllers that run have made.
func (w *world) requests(ctx context.Context) (float64, error) {
	sum := 0.0
	for _, k := range w.keepers {
		f, err := k.figures(ctx)
		if err != nil {
			return 0, err
		}
		sum += f["rest_client_requests_total"]
	}
	return sum, nil
}

// checkProcesses checks that the controllers are as they should be at rest.
func (w *world) checkProcesses() {
	w.t.Helper()
	for _, k := range w.keepers {
		f, err := k.figures(w.t.Context())
		if err != nil {
			w.t.Errorf("measuring %s: %v", k.name, err)
			continue
		}
		goroutines, memory := f["go_goroutines"], f["process_resident_memory_bytes"]
		w.t.Logf("%s has %.0f goroutines and %.0f MiB resident", k.name, goroutines, memory/(1<<20))
		if goroutines < 1 || goroutines > mostGoroutines {
			w.t.Errorf("%s has %.0f goroutines; want %d at most", k.name, goroutines, mostGoroutines)
		}
		if memory < 1 || memory > mostMemory {
			w.t.Errorf("%s has %.0f bytes resident; want %d at most", k.name, memory, mostMemory)
		}
		if n := f["controller_runtime_reconcile_panics_total"]; n > 0 {
			w.t.Errorf("%s panicked %.0f times", k.name, n)
		}
		log, err := os.ReadFile(filepath.Join(w.Dir(), k.name+".log"))
		if err != nil {
			w.t.Error(err)
		}
		for _, sign := range []string{"panic:", "fatal error:", "DATA RACE"} {
			if strings.Contains(string(log), sign) {
				w.t.Errorf("the log of %s has %q", k.name, sign)
			}
		}
	}
}

// deleteAll deletes all Kustomizations, and then the sources. Nothing of them may stay.
func (s *soak) deleteAll() {
	s.t.Helper()
	ctx := s.t.Context()
	if err := s.Client.DeleteAllOf(ctx, &kustomizev1.Kustomization{}, client.InNamespace(namespace)); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("all that was applied is gone", deleteTimeout, func(ctx context.Context) string {
		var list kustomizev1.KustomizationList
		if err := s.Client.List(ctx, &list); err != nil {
			return err.Error()
		}
		live, err := s.owned(ctx)
		if err != nil {
			return err.Error()
		}
		return left("Kustomization", len(list.Items), "") + left("object", len(live), strings.Join(slices.Sorted(maps.Keys(live)), " ")) + s.releasesLeft(ctx)
	})
	for _, source := range []client.Object{&sourcev1.GitRepository{}, &sourcev1.HelmRepository{}} {
		if err := s.Client.DeleteAllOf(ctx, source, client.InNamespace(namespace)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.eventually("all that was fetched is gone", deleteTimeout, func(ctx context.Context) string {
		var list sourcev1.GitRepositoryList
		if err := s.Client.List(ctx, &list); err != nil {
			return err.Error()
		}
		archives := s.below(s.Storage(), func(path string) bool { return strings.HasSuffix(path, ".tar.gz") || strings.HasSuffix(path, ".tgz") })
		return left("GitRepository", len(list.Items), "") + left("artifact", len(archives), strings.Join(archives, " "))
	})
}

func left(what string, n int, which string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("there are %d left of kind %s %s\n", n, what, which)
}

// checkFiles checks what the controllers leave on the disk when they have ended.
func (w *world) checkFiles() {
	w.t.Helper()
	if files := w.below(w.temp, func(string) bool { return true }); len(files) > 0 {
		w.t.Errorf("temporary files are left: %q", files)
	}
	temporary := func(path string) bool {
		name := filepath.Base(path)
		return strings.HasPrefix(name, ".tmp-") || strings.HasPrefix(name, "tmp")
	}
	if files := w.below(w.Storage(), temporary); len(files) > 0 {
		w.t.Errorf("temporary files are left in the storage: %q", files)
	}
}

// below returns the files of a folder that are selected.
func (w *world) below(dir string, selected func(path string) bool) []string {
	w.t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && selected(path) {
			found = append(found, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	return found
}
