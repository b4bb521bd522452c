package loop

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMergeConditions(t *testing.T) {
	t.Parallel()
	cond := func(name, reason string) metav1.Condition { return condition(name, "True", reason, "") }
	later := cond("Z", "A")
	later.ObservedGeneration = 2
	type list = []metav1.Condition
	tests := map[string]struct {
		why              string
		base, obj, fresh list
		want             list
	}{
		"takes what the run set":           {why: "nobody else did", obj: list{cond("A", "ours")}, want: list{cond("A", "ours")}},
		"keeps what somebody added":        {why: "we know nothing of it", fresh: list{cond("A", "theirs")}, want: list{cond("A", "theirs")}},
		"keeps what somebody changed":      {why: "we did not touch it", base: list{cond("A", "old")}, obj: list{cond("A", "old")}, fresh: list{cond("A", "theirs")}, want: list{cond("A", "theirs")}},
		"drops what somebody removed":      {why: "we did not touch it", base: list{cond("A", "old")}, obj: list{cond("A", "old")}},
		"drops what the run removed":       {why: "nobody else touched it", base: list{cond("A", "old")}, fresh: list{cond("A", "old")}},
		"prefers the run":                  {why: "it is the controller of the object", base: list{cond("A", "old")}, obj: list{cond("A", "ours")}, fresh: list{cond("A", "theirs")}, want: list{cond("A", "ours")}},
		"prefers the run in what it added": {why: "it is the controller of the object", obj: list{cond("A", "ours")}, fresh: list{cond("A", "theirs")}, want: list{cond("A", "ours")}},
		"decides on Ready alone":           {why: "it follows from the run", base: list{cond("Ready", "old")}, obj: list{cond("Ready", "old")}, fresh: list{cond("Ready", "theirs")}, want: list{cond("Ready", "old")}},
		"decides that none is Stalled":     {why: "it follows from the run", fresh: list{cond("Stalled", "theirs")}},
		"is in the order of conditions": {
			why: "or the next run would write it again", obj: list{cond("Ready", "A"), cond("B", "A")},
			fresh: list{cond("A", "A"), later, cond("Reconciling", "A")},
			want:  list{cond("Ready", "A"), later, cond("A", "A"), cond("B", "A")},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sameConditions(t, mergeConditions(tc.base, tc.obj, tc.fresh), tc.want...)
			if t.Failed() {
				t.Log(tc.why)
			}
		})
	}
}
