package install_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/install"
	"weir.dev/pkg/manifest"
)

// everything reports whether a rule, though it may not look like it, lets do whatever anybody
// may do.
func everything(rule map[string]any) bool {
	has := func(field string, values ...string) bool {
		all, _ := rule[field].([]any)
		return slices.ContainsFunc(all, func(v any) bool { return v == "*" || slices.Contains(values, v.(string)) })
	}
	token := has("apiGroups", "") && has("resources", "serviceaccounts/token") && has("verbs", "create")
	roles := has("apiGroups", "rbac.authorization.k8s.io") && has("resources", "clusterroles", "roles") && has("verbs", "bind", "escalate")
	return token || roles || has("apiGroups", "") && has("resources", "users", "groups") && has("verbs", "impersonate")
}

func TestLockdownGivesNobodyEverything(t *testing.T) {
	t.Parallel()
	o := profile(t, install.ProfileAll, install.ProfileLockdown)
	for _, obj := range objects(t, o) {
		rules, _, _ := unstructured.NestedSlice(obj.Object, "rules")
		for _, rule := range rules {
			if everything(rule.(map[string]any)) {
				t.Errorf("%s lets do everything: %v", manifest.IDOf(obj), rule)
			}
		}
		role, _, _ := unstructured.NestedString(obj.Object, "roleRef", "name")
		if role != "cluster-admin" {
			continue
		}
		subjects, _, _ := unstructured.NestedSlice(obj.Object, "subjects")
		want := []any{map[string]any{"kind": "ServiceAccount", "name": o.Reconciler(), "namespace": "flux-system"}}
		if diff := cmp.Diff(want, subjects); diff != "" {
			t.Errorf("%s (-want +got):\n%s", manifest.IDOf(obj), diff)
		}
	}
	if name := profile(t).Reconciler(); name != "" {
		t.Errorf("without a lockdown, Kustomizations must name %q", name)
	}
}

// TestTokens: nobody may make one of any ServiceAccount unless that is asked for.
func TestTokens(t *testing.T) {
	t.Parallel()
	for want, o := range map[bool]install.Options{false: profile(t, install.ProfileAll), true: options(func(o *install.Options) { o.WorkloadIdentity = true })} {
		got := false
		for _, obj := range objects(t, o) {
			rules, _, _ := unstructured.NestedSlice(obj.Object, "rules")
			got = got || slices.ContainsFunc(rules, func(r any) bool { return everything(r.(map[string]any)) })
		}
		if got != want {
			t.Errorf("asked for: %t; granted: %t", want, got)
		}
	}
	if _, err := install.Objects(options(func(o *install.Options) { o.WorkloadIdentity, o.Lockdown = true, true })); err == nil {
		t.Error("it is granted in a lockdown")
	}
}

// TestNarrow: controllers that get the objects of one namespace read the Secrets of no other.
func TestNarrow(t *testing.T) {
	t.Parallel()
	o := profile(t, install.ProfileAll, install.ProfileLockdown)
	o.WatchAllNamespaces = false
	for _, obj := range objects(t, o) {
		rules, _, _ := unstructured.NestedSlice(obj.Object, "rules")
		name := strings.TrimSuffix(obj.GetName(), "-flux-system")
		if obj.GetKind() != "ClusterRole" || name == "cluster-watcher" || strings.HasPrefix(name, "flux-") { // of who applies, and of people
			continue
		}
		for _, rule := range rules {
			if diff := cmp.Diff([]any{"namespaces"}, rule.(map[string]any)["resources"]); diff != "" {
				t.Errorf("%s is for all namespaces (-want +got):\n%s", manifest.IDOf(obj), diff)
			}
		}
	}
	role := find(t, objects(t, o), "Role", "source-controller")
	binding := find(t, objects(t, o), "RoleBinding", "source-controller")
	to, _, _ := unstructured.NestedString(binding.Object, "roleRef", "kind")
	if rules, _, _ := unstructured.NestedSlice(role.Object, "rules"); len(rules) < 4 || to != "Role" || role.GetNamespace() != "flux-system" {
		t.Errorf("the Role in %q has %d rules, and is bound as a %s", role.GetNamespace(), len(rules), to)
	}
}

// TestLeftovers: whatever rights an installation had, none is left that it should not have.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before, after func(*install.Options)
		gone          []string
	}{
		"the same": {before: func(*install.Options) {}, after: func(*install.Options) {}},
		"from all namespaces to one": {
			before: func(*install.Options) {}, after: func(o *install.Options) { o.WatchAllNamespaces = false },
			gone: []string{"ClusterRole/source-controller-flux-system", "ClusterRoleBinding/crd-controller-flux-system"},
		},
		"from one namespace to all": {
			before: func(o *install.Options) { o.WatchAllNamespaces = false }, after: func(*install.Options) {},
			gone: []string{"Role/flux-system/source-controller", "RoleBinding/flux-system/crd-controller"},
		},
		"tokens": {
			before: func(o *install.Options) { o.WorkloadIdentity = true }, after: func(*install.Options) {},
			gone: []string{"ClusterRole/workload-identity-flux-system"},
		},
		"the end of a lockdown": {
			before: func(o *install.Options) { o.Lockdown = true }, after: func(*install.Options) {},
			gone: []string{"ClusterRoleBinding/tenant-impersonator-flux-system", "ClusterRole/cluster-watcher-flux-system"},
		},
	}
	granted := func(objs []*unstructured.Unstructured) map[string]bool {
		out := make(map[string]bool)
		for _, obj := range objs {
			if strings.Contains(obj.GetKind(), "Role") {
				out[manifest.IDOf(obj).String()] = true
			}
		}
		return out
	}
	for name, tc := range tests {
		before, after := granted(objects(t, options(tc.before))), granted(objects(t, options(tc.after)))
		left, err := install.LeftoversOf(install.Installed{}, options(tc.after))
		if err != nil {
			t.Fatal(err)
		}
		gone := granted(left.Rest)
		for id := range gone {
			if after[id] {
				t.Errorf("%s: %s goes, and is needed", name, id)
			}
		}
		for id := range before {
			if !after[id] && !gone[id] {
				t.Errorf("%s: %s stays", name, id)
			}
		}
		for _, id := range tc.gone {
			if !before[id] || !gone[id] {
				t.Errorf("%s: %s was there: %t, goes: %t", name, id, before[id], gone[id])
			}
		}
	}
}
