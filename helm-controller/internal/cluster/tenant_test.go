package cluster_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/pkg/tenant"
)

// allow lets a ServiceAccount of the namespace of the test do something there.
func (w *world) allow(account, group, resource string, verbs ...string) {
	w.t.Helper()
	name := account + "-" + resource
	w.Create(&rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}},
	})
	w.Create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.Namespace, Name: account}},
	})
}

// TestTenant: all that is done is done as the ServiceAccount, whichever way objects are
// applied, and whatever is done with them.
func TestTenant(t *testing.T) {
	t.Parallel()
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "team")
			w.allow("team", "", "configmaps", "*")
			user := tenant.User(w.Namespace, "team")
			secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s, OWNED}\n"
			_, err := w.install(w.chart(secret), method)
			w.says(err, user, "forbidden")
			w.forgetRelease()
			w.must(w.install(w.chart(configMap("a", "1"), configMap("b", "1")), method, waiting))
			w.must(w.upgrade(w.chart(configMap("a", "2")), method, waiting))
			if w.Get(w.configMap("b")) {
				t.Error("what left the chart is there")
			}
			hooked := "apiVersion: v1\nkind: Secret\nmetadata: {name: h, " + hook("pre-upgrade", "before-hook-creation") + "}\n"
			_, err = w.upgrade(w.chart(configMap("a", "2"), hooked), method)
			w.says(err, "Secret/NS/h", "forbidden")
			if err := w.uninstall(method, waiting); err != nil {
				t.Error(err)
			}
			if w.Get(w.configMap("a")) {
				t.Error("the release was not uninstalled")
			}
		})
	}
}
