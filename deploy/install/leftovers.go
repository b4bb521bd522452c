package install

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/manifest"
)

// Leftovers are what other options would have brought to the installation that there is, and
// these do not. Some of it need not be there.
type Leftovers struct {
	// Controllers are Deployments, and before them what leads to these: they must not work
	// beside those that come.
	Controllers []*unstructured.Unstructured
	// Rest is what nothing needs any longer once the others have come, rights above all.
	Rest []*unstructured.Unstructured
}

// LeftoversOf returns what an installation need not have any longer: controllers that are left
// out, with all that they have, those of shards, and what other options give them. Definitions
// are none of it: objects would go with their kind.
func LeftoversOf(in Installed, o Options) (Leftovers, error) {
	now, err := o.objects()
	if err != nil {
		return Leftovers{}, err
	}
	known := make(map[manifest.ID]bool)
	for _, obj := range now {
		known[manifest.IDOf(obj)] = true
	}
	var left Leftovers
	for _, all := range []bool{true, false} {
		other := o
		other.WatchAllNamespaces, other.Lockdown, other.WorkloadIdentity, other.NetworkPolicy = all, true, true, true
		other.Components, other.Beside = All(), []string{notification, sourceWatcher}
		if in.Shape != nil {
			other.Shards = slices.Concat(o.Shards, in.Shape.Shards)
		}
		objs, err := other.objects()
		if err != nil {
			return Leftovers{}, err
		}
		for _, obj := range objs {
			if id := manifest.IDOf(obj); !known[id] {
				known[id] = true
				left.add(obj)
			}
		}
	}
	// Shards are known by their Deployments, which go last, so that what was interrupted is
	// finished.
	slices.SortStableFunc(left.Controllers, func(a, b *unstructured.Unstructured) int {
		return deployments(a) - deployments(b)
	})
	return left, nil
}

func deployments(obj *unstructured.Unstructured) int {
	if obj.GetKind() == "Deployment" {
		return 1
	}
	return 0
}

// add sorts an object in, unless it is one that stays wherever it is.
func (l *Leftovers) add(obj *unstructured.Unstructured) {
	ofController := slices.Contains(All(), obj.GetLabels()[LabelComponent])
	switch kind := obj.GetKind(); kind {
	case "Deployment", "Service", "PodDisruptionBudget":
		l.Controllers = append(l.Controllers, obj)
	case "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "NetworkPolicy":
		l.Rest = append(l.Rest, obj)
	case "ServiceAccount":
		if ofController { // others are named by objects of users
			l.Rest = append(l.Rest, obj)
		}
	}
}
