package e2e_test

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// elected are the flags of a controller that others stand by for. A leader that cannot
// renew its lease for as long as a busy machine may take would end by itself.
func elected() []string {
	return []string{
		"--enable-leader-election", "--leader-election-lease-duration=10s",
		"--leader-election-renew-deadline=8s", "--leader-election-retry-period=500ms", ordered,
	}
}

// TestLeaderIsKilled kills the leader of two kustomize-controllers while it applies a
// revision. The other finishes that, and has done nothing before.
func TestLeaderIsKilled(t *testing.T) {
	t.Parallel()
	// The request that creates the third object of five, or the fourth: it depends on
	// whether the leader first finds that there is no artifact.
	const midway = 9
	w := newPublisher(t)
	more := w.Namespace + "-more"
	w.removeNamespace(more)
	made := w.bystanders("app")
	revisions := twoRevisions(w.Namespace, more)

	leader := w.startBehind(w.startKustomize, fault{at: midway, done: true}, elected()...)
	first := w.waitLeader("")
	standby := w.startBehind(w.startKustomize, fault{}, elected()...)

	install := w.publish(revisions[0].files())
	ks := w.kustomization("app")
	if !w.diesBefore(leader, ks, install) {
		t.Fatal("the leader was done before it was killed")
	}
	if n := standby.count(); n > 0 {
		t.Errorf("the standby made %d requests while another led", n)
	}
	all, _ := w.owned(ks)
	if n := len(all); n == 0 || n >= len(revisions[0]) {
		t.Errorf("%d of %d objects were applied when the leader was killed; want it midway", n, len(revisions[0]))
	}
	w.checkNothingOrphaned(ks)

	w.waitLeader(first)
	w.waitApplied(ks, install)
	w.checkApplied(ks, revisions[0])
	upgrade := w.publish(revisions[1].files())
	w.waitApplied(ks, upgrade)
	w.checkApplied(ks, revisions[1], revisions[0])
	w.checkUntouched(made)
}

// waitLeader waits until somebody else than the one named leads, and returns who.
func (w *world) waitLeader(other string) string {
	w.t.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: kustomizeController + "-leader-election"}}
	w.Wait("a new leader", lease, func() bool {
		return lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" && *lease.Spec.HolderIdentity != other
	})
	return *lease.Spec.HolderIdentity
}
