package soak_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// breakRelease commits a HelmRelease that fails, and waits until the release of before is
// back.
func (s *soak) breakRelease() {
	s.t.Helper()
	a, o := s.fleet.remediated()
	was := o.value
	for ok := true; ok; ok = brokenBy(o) == "" {
		o.value++
	}
	s.commit(a.repo, "Break "+o.id(), o.file(a))
	s.eventually(o.id()+" is rolled back", settleTimeout, func(ctx context.Context) string {
		hr := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: o.space, Name: o.name}}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: o.space, Name: o.name + "-settings"}}
		for _, obj := range []client.Object{hr, cm} {
			if err := s.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
				return err.Error()
			}
		}
		if conditions.GetReason(hr, helmv2.ConditionRemediated) != helmv2.ReasonRollbackSucceeded || cm.Data["value"] != fmt.Sprint(was) {
			return fmt.Sprintf("it has the value %s; want %d; it says: %v", cm.Data["value"], was, hr.Status.Conditions)
		}
		return ""
	})
}

// mend commits what ends all failures.
func (s *soak) mend() {
	s.t.Helper()
	for repo, changes := range s.fleet.mend() {
		s.commit(repo, "Mend", changes...)
	}
}

// commit commits changes, and tells the source of it.
func (s *soak) commit(repo int, message string, changes ...gitserver.Change) {
	s.t.Helper()
	head, err := s.repos[repo].Commit(branch, message, changes...)
	if err != nil {
		s.t.Fatalf("committing to %s: %v", repoName(repo), err)
	}
	s.heads[repo] = head
	source := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: repoName(repo)}}
	if err := s.poke(s.t.Context(), source); err != nil {
		s.t.Logf("asking for a run of %s: %v", source.Name, err)
	}
}

// tellFailures tells how often releases failed, and what became of that.
func (w *world) tellFailures() {
	w.t.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	count := make(map[string]int32)
	for _, e := range list.Items {
		switch e.Reason {
		case helmv2.ReasonInstallFailed, helmv2.ReasonUpgradeFailed, helmv2.ReasonTestFailed,
			helmv2.ReasonRollbackSucceeded, helmv2.ReasonRollbackFailed, helmv2.ReasonUninstallSucceeded, helmv2.ReasonUninstallFailed, helmv2.ReasonPendingRelease:
			count[e.Reason] += max(e.Count, 1)
		}
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s %d", reason, count[reason]))
	}
	w.t.Logf("of releases: %s", strings.Join(parts, ", "))
}
