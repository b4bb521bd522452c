package install

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// identityGate is the feature of controllers that needs tokens of ServiceAccounts.
const identityGate = "ObjectLevelWorkloadIdentity"

// openIdentities has the controllers use the tokens that they may make.
func openIdentities(objs []*unstructured.Unstructured) {
	for _, obj := range objs {
		if obj.GetKind() == "Deployment" {
			addFlags(obj, "--feature-gates="+identityGate+"=true")
		}
	}
}

// wide are the roles that are for all namespaces wherever the controllers look: who applies
// may apply anywhere, the installation itself included, and has to see what becomes of it.
var wide = []string{"cluster-reconciler", "cluster-watcher", "flux-edit", "flux-view", notification, sourceWatcher}

// narrow has roles be of the namespace of the controllers, but for what is in no namespace.
func narrow(objs []*unstructured.Unstructured) []*unstructured.Unstructured {
	left := make(map[string]bool) // the roles that have something for the whole cluster
	var out []*unstructured.Unstructured
	for _, obj := range objs {
		if obj.GetKind() != "ClusterRole" || slices.Contains(wide, obj.GetName()) {
			continue
		}
		cluster, namespaced := split(list(obj.Object, "rules"))
		if len(namespaced) > 0 {
			out = append(out, inNamespace(obj, "Role", namespaced))
		}
		if left[obj.GetName()] = len(cluster) > 0; len(cluster) > 0 {
			obj.Object["rules"] = cluster
		}
	}
	for _, obj := range objs {
		stays, narrowed := left[obj.GetName()]
		if narrowed && obj.GetKind() == "ClusterRoleBinding" {
			out = append(out, inNamespace(obj, "RoleBinding", nil))
		}
		if narrowed && !stays && (obj.GetKind() == "ClusterRole" || obj.GetKind() == "ClusterRoleBinding") {
			continue
		}
		out = append(out, obj)
	}
	return out
}

// split tells the rules of objects without a namespace from the others.
func split(rules []map[string]any) (cluster, namespaced []any) {
	for _, rule := range rules {
		if resources, _ := rule["resources"].([]any); slices.Contains(resources, any("namespaces")) {
			cluster = append(cluster, rule)
		} else {
			namespaced = append(namespaced, rule)
		}
	}
	return cluster, namespaced
}

// inNamespace returns a role or binding as one of the namespace.
func inNamespace(obj *unstructured.Unstructured, kind string, rules []any) *unstructured.Unstructured {
	obj = obj.DeepCopy()
	obj.SetKind(kind)
	obj.SetNamespace(Namespace)
	if rules != nil {
		obj.Object["rules"] = rules
	}
	if role := nested(obj.Object, "roleRef"); role != nil {
		role["kind"] = "Role"
	}
	return obj
}
