package cluster

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

// Inventory returns the identities of the objects of the manifest of a release, as they are
// in the cluster. Of kinds that are not served, not yet or no more, it cannot be told whether
// they have a namespace: their objects count as if they had, and unserved tells the kinds.
func Inventory(at *tenant.Place, rel types.NamespacedName, text string) (set inventory.Set, unserved []string, err error) {
	objs, err := decode(strings.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	set = make(inventory.Set, len(objs))
	for _, obj := range objs {
		gvk := obj.GroupVersionKind()
		var scope meta.RESTScope = meta.RESTScopeNamespace
		mapping, err := at.Mapper().RESTMapping(gvk.GroupKind()) // of whichever version
		switch {
		case meta.IsNoMatchError(err):
			unserved = append(unserved, fmt.Sprintf("kind %q of %q", gvk.Kind, gvk.GroupVersion()))
		case err != nil:
			return nil, nil, fmt.Errorf("%s %q: %w", gvk.Kind, obj.GetName(), err)
		default:
			scope = mapping.Scope
		}
		place(obj, scope, rel.Namespace)
		set[manifest.IDOf(obj)] = gvk.Version
	}
	slices.Sort(unserved)
	return set, slices.Compact(unserved), nil
}
