package manifest

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Stage is a batch of objects that is validated and applied as a whole.
type Stage int

const (
	// Definitions are the kinds and namespaces that other objects live in.
	Definitions Stage = iota
	// Classes are the kinds that others refer to as their class.
	Classes
	// Custom are the kinds that whoever runs the program has named; see Kinds.
	Custom
	// Everything is the rest.
	Everything
)

// String returns the name of the stage.
func (s Stage) String() string {
	names := [...]string{"Definitions", "Classes", "Custom", "Everything"}
	if s < 0 || int(s) >= len(names) {
		return "Stage(?)"
	}
	return names[s]
}

// StageOf returns the stage that objects of a kind belong to unless they are named for
// the custom one.
func StageOf(gk schema.GroupKind) Stage {
	switch gk.Kind {
	case "CustomResourceDefinition", "Namespace", "ClusterRole":
		return Definitions
	}
	if strings.HasSuffix(gk.Kind, "Class") {
		return Classes
	}
	return Everything
}

// ranks places the kinds that others depend on before, and those that intercept
// others behind, all kinds that it does not name.
var ranks = rank(
	[]string{
		"CustomResourceDefinition", "Namespace", "ClusterRole", "ClusterClass", "RuntimeClass", "PriorityClass",
		"StorageClass", "VolumeSnapshotClass", "IngressClass", "GatewayClass", "ClusterRoleBinding", "ResourceQuota",
		"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret", "Service", "LimitRange", "Deployment",
		"StatefulSet", "CronJob", "PodDisruptionBudget",
	},
	[]string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"},
)

func rank(first, last []string) map[string]int {
	m := make(map[string]int, len(first)+len(last))
	for i, kind := range first {
		m[kind] = i - len(first)
	}
	for i, kind := range last {
		m[kind] = i + 1
	}
	return m
}

// Rank returns the place of a kind in the order of application.
func Rank(gk schema.GroupKind) int { return ranks[gk.Kind] }

// Wave returns which of the objects of a stage may be applied together: none depends
// on another of its wave. Roles come before what binds them, and workloads after all
// that their Pods start with.
func Wave(gk schema.GroupKind) int {
	switch r := Rank(gk); {
	case r <= ranks["Role"]:
		return 0
	case r <= ranks["LimitRange"]:
		return 1
	case r <= 0:
		return 2
	default:
		return 3
	}
}

// CompareApply orders identities as they are applied: by rank, then by group,
// kind, namespace and name.
func CompareApply(a, b ID) int {
	return cmp.Or(cmp.Compare(Rank(a.GroupKind()), Rank(b.GroupKind())), a.Compare(b))
}

// Sort orders objects as they are applied.
func Sort(objs []*unstructured.Unstructured) {
	slices.SortStableFunc(objs, func(a, b *unstructured.Unstructured) int { return CompareApply(IDOf(a), IDOf(b)) })
}
