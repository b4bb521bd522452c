package install

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// lockDown takes from objects what an installation for tenants that do not trust each other
// does not give.
func lockDown(objs []*unstructured.Unstructured) {
	for _, obj := range objs {
		switch {
		case obj.GetKind() == "ClusterRoleBinding" && obj.GetName() == reconciler:
			obj.Object["subjects"] = []any{map[string]any{"kind": "ServiceAccount", "name": reconciler, "namespace": Namespace}}
		case obj.GetKind() == "Deployment":
			addFlags(obj, lockdownFlags(obj.GetLabels()[LabelComponent])...)
		}
	}
}

// lockdownFlags are those of a controller. Sources and charts know no other namespaces.
func lockdownFlags(component string) []string {
	switch component {
	case KustomizeController:
		return []string{"--no-cross-namespace-refs=true", "--no-remote-bases=true", "--default-service-account=default"}
	case HelmController:
		return []string{"--no-cross-namespace-refs=true", "--default-service-account=default"}
	case ImageController:
		return []string{"--no-cross-namespace-refs=true"}
	}
	return nil
}
