package kustomization_test

import (
	"context"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/kustomize-controller/internal/program"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/testplane"
)

// TestForbiddenWatch: a controller that may change objects, but not watch them, undoes
// drift at its interval, and says so once.
func TestForbiddenWatch(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	w := prepareWorld(t)
	user := w.grant([]rbacv1.PolicyRule{
		{APIGroups: []string{kustomizev1.GroupVersion.Group, "source.toolkit.fluxcd.io"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "patch", "delete"}},
	})
	log := &testplane.Log{}
	w.RunWith(func(d *daemon.Daemon) {
		d.Config.Impersonate = rest.ImpersonationConfig{UserName: user}
		d.Log = log.Logger()
	}, "kustomize-controller", program.Run)
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) { s.Interval = metav1.Duration{Duration: interval} })
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1"), "b.yaml": configMapYAML("b", "k", "1")}))

	cm := w.configMap("a")
	for _, value := range []string{"by-hand", "by-hand-again"} {
		w.Patch(cm, "night-shift", "data: {k: "+value+"}")
		w.Wait("the value is put back at the interval", cm, func() bool { return cm.Data["k"] == "1" })
	}
	w.pass(3 * interval)
	if lines := log.With("cannot be watched", "configmaps"); len(lines) != 1 {
		t.Errorf("the log says %d times that ConfigMaps cannot be watched; want once: %q", len(lines), lines)
	}
	lists := func(r testplane.Request) bool {
		return r.Resource == "configmaps" && (r.Watch || r.Path == "/api/v1/configmaps")
	}
	if n := w.Traffic.Count(lists); n == 0 || n > 4 {
		t.Errorf("the controller asked %d times for what it is refused; want it to ask, and to let it be", n)
	}
}

// grant allows a user what rules say, in every namespace, and returns its name.
func (w *world) grant(rules []rbacv1.PolicyRule) (user string) {
	w.t.Helper()
	name := w.Namespace + "-user"
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}
	for _, obj := range []client.Object{role, binding} {
		if err := w.Client.Create(w.t.Context(), obj); err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() {
			if err := w.Client.Delete(context.WithoutCancel(w.t.Context()), obj); err != nil {
				w.t.Errorf("deleting %s: %v", name, err)
			}
		})
	}
	return name
}
