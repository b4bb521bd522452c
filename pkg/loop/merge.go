package loop

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ours are the conditions that follow from the outcome of a run alone, in the
// order in which they come before all others.
var ours = []string{meta.StalledCondition, meta.ReconcilingCondition, meta.ReadyCondition}

// mergeConditions returns the conditions of obj, which a run that began with base
// ended with, on top of those of fresh, which somebody else has written meanwhile.
// A merge patch replaces a list whole, so that each must be decided here: what the
// run has changed counts, and so does what every run decides; of the rest, fresh
// knows better.
func mergeConditions(base, obj, fresh []metav1.Condition) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range obj {
		if before, ok := find(base, c.Type); slices.Contains(ours, c.Type) || !ok || !equality.Semantic.DeepEqual(before, c) {
			out = append(out, c)
		}
	}
	for _, c := range fresh {
		_, decided := find(out, c.Type)
		_, before := find(base, c.Type)
		_, after := find(obj, c.Type)
		removed := before && !after
		if !decided && !removed && !slices.Contains(ours, c.Type) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, compareConditions)
	return out
}

func find(list []metav1.Condition, conditionType string) (metav1.Condition, bool) {
	i := slices.IndexFunc(list, func(c metav1.Condition) bool { return c.Type == conditionType })
	if i < 0 {
		return metav1.Condition{}, false
	}
	return list[i], true
}

// compareConditions is the order in which conditions are set: ours, then the
// latest generation first, then by type.
func compareConditions(a, b metav1.Condition) int {
	return cmp.Or(
		cmp.Compare(place(a), place(b)),
		cmp.Compare(b.ObservedGeneration, a.ObservedGeneration),
		strings.Compare(a.Type, b.Type),
	)
}

func place(c metav1.Condition) int {
	if i := slices.Index(ours, c.Type); i >= 0 {
		return i
	}
	return len(ours)
}
