package apply_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
)

func TestWishesOf(t *testing.T) {
	t.Parallel()
	alone, keep := apply.Wishes{LeaveAlone: true, Keep: true}, apply.Wishes{Keep: true}
	tests := map[string]struct {
		why   string
		key   string
		value string
		want  apply.Wishes
	}{
		"reconcile disabled":     {why: "the user has said so", key: keyReconcile, value: "disabled", want: alone},
		"in any case":            {why: "people write both", key: keyReconcile, value: "Disabled", want: alone},
		"reconcile enabled":      {why: "that is the rule anyway", key: keyReconcile, value: "enabled"},
		"reconcile, no value":    {why: "that says nothing", key: keyReconcile, value: ""},
		"key in another case":    {why: "keys are exact in Kubernetes", key: strings.ToUpper(keyReconcile), value: "disabled"},
		"ignored":                {why: "the user has said so", key: keySSA, value: "Ignore", want: alone},
		"ignored, in any case":   {why: "people write both", key: keySSA, value: "ignore", want: alone},
		"only to be created":     {why: "what is there is somebody else's to change", key: keySSA, value: "IfNotPresent", want: apply.Wishes{CreateOnly: true}},
		"merged":                 {why: "fields of others survive", key: keySSA, value: "Merge", want: apply.Wishes{Merge: true}},
		"not to be pruned":       {why: "it is applied all the same", key: keyPrune, value: "disabled", want: keep},
		"to be forced":           {why: "the user has said so", key: keyForce, value: "enabled", want: apply.Wishes{Recreate: true}},
		"to be forced, disabled": {why: "no such thing", key: keyForce, value: "disabled"},
		"something else at all":  {why: "no business of ours", key: "example.com/reconcile", value: "disabled"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for place, set := range places() {
				obj := configMap("ns", "a", "value")
				set(obj, map[string]string{tc.key: tc.value})
				if got := apply.WishesOf(obj); got != tc.want {
					t.Errorf("WishesOf() with %s %s=%s is %+v, want %+v (%s)", place, tc.key, tc.value, got, tc.want, tc.why)
				}
			}
		})
	}
}

func TestWishesOfTheLiveObject(t *testing.T) {
	t.Parallel()
	live := func(w apply.Wishes) apply.Live { return apply.Live{UID: "uid", ResourceVersion: "1", Wishes: w} }
	tests := map[string]struct {
		why     string
		desired string // value of the ssa annotation
		live    apply.Live
		skip    bool
	}{
		"left alone":              {why: "a user has annotated it in the cluster", live: live(apply.Wishes{LeaveAlone: true}), skip: true},
		"only to be created":      {why: "it exists", desired: "IfNotPresent", live: live(apply.Wishes{}), skip: true},
		"only to be created, not": {why: "it does not exist", desired: "IfNotPresent"},
		"a wish of the live one":  {why: "only the source can say that", live: live(apply.Wishes{CreateOnly: true})},
		"not to be pruned":        {why: "it is applied all the same", live: live(apply.Wishes{Keep: true})},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := configMap("ns", "a", "value")
			obj.SetAnnotations(map[string]string{keySSA: tc.desired})
			r := newRecorder()
			r.known[manifest.IDOf(obj)] = apply.Known{Live: tc.live}
			p, err := newPlan([]*unstructured.Unstructured{obj}, r, apply.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if a := p.Stages[0].Items[0].Action; (a == apply.Skip) != tc.skip {
				t.Errorf("the plan is to %s; want to skip: %t (%s)", a, tc.skip, tc.why)
			}
		})
	}
}

// places are where an object may ask for an exception.
func places() map[string]func(*unstructured.Unstructured, map[string]string) {
	return map[string]func(*unstructured.Unstructured, map[string]string){
		"label":      (*unstructured.Unstructured).SetLabels,
		"annotation": (*unstructured.Unstructured).SetAnnotations,
	}
}
