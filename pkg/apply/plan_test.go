package apply_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

const (
	keyReconcile = "kustomize.toolkit.fluxcd.io/reconcile"
	keySSA       = "kustomize.toolkit.fluxcd.io/ssa"
	keyPrune     = "kustomize.toolkit.fluxcd.io/prune"
	keyForce     = "kustomize.toolkit.fluxcd.io/force"
)

// state is all that the decision about an object depends on.
type state struct {
	tracked     bool // this process has applied it
	sameContent bool // as it is to be applied now
	sameOwner   bool // on whose behalf it is to be applied now
	intact      bool // and nobody has touched it since
	proven      bool // an earlier process has applied all this
	leftAlone   bool // the manifest asks to leave it alone
}

// states are all combinations.
func states() []state {
	var out []state
	for n := range 1 << 6 {
		bit := func(i int) bool { return n>>i&1 == 1 }
		out = append(out, state{bit(0), bit(1), bit(2), bit(3), bit(4), bit(5)})
	}
	return out
}

// decide returns what a plan does about an object in the state.
func (s state) decide(t *testing.T) apply.Action {
	t.Helper()
	obj := configMap("ns", "a", "value")
	if s.leftAlone {
		obj.SetAnnotations(map[string]string{keyReconcile: "disabled"})
	}
	owner := types.NamespacedName{Namespace: "ns", Name: "owner"}
	r := newRecorder()
	if s.tracked {
		last := apply.Applied{Owner: owner, Content: contentOf(t, obj)}
		if !s.sameContent {
			last.Content = "other"
		}
		if !s.sameOwner {
			last.Owner.Name = "other"
		}
		r.known[manifest.IDOf(obj)] = apply.Known{Last: last, Intact: s.intact}
	}
	p, err := newPlan([]*unstructured.Unstructured{obj}, r, apply.Options{Owner: owner, Proven: s.proven})
	if err != nil {
		t.Fatal(err)
	}
	return p.Stages[0].Items[0].Action
}

// newPlan prepares objects for one plan.
func newPlan(objs []*unstructured.Unstructured, tracker apply.Tracker, opts apply.Options) (apply.Plan, error) {
	set, err := apply.Prepare(objs, opts)
	if err != nil {
		return apply.Plan{}, err
	}
	return set.Plan(tracker, opts), nil
}

// What is kept are the objects, not what somebody makes of them later.
func TestPreparedKeepsTheObjects(t *testing.T) {
	t.Parallel()
	objs := []*unstructured.Unstructured{configMap("ns", "b", "value"), object("v1", "Namespace", "", "ns")}
	objs[0].Object["number"], objs[0].Object["fraction"] = int64(1)<<53+1, 0.5
	want := []*unstructured.Unstructured{objs[1].DeepCopy(), objs[0].DeepCopy()}
	set, err := apply.Prepare(objs, apply.Options{})
	if err != nil {
		t.Fatal(err)
	}
	objs[0].SetName("changed")
	got, err := set.Objects()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Objects() fails by %v, or differs (-want +got):\n%s", err, diff)
	}
}

// contentOf returns the digest that a plan has of an object.
func contentOf(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	p, err := newPlan([]*unstructured.Unstructured{obj}, newRecorder(), apply.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Stages[0].Items[0].Content
}

// Each invariant is about all states that it applies to.
func TestDecision(t *testing.T) {
	t.Parallel()
	ours := func(s state) bool { return s.tracked && s.sameContent && s.sameOwner }
	sends := func(a apply.Action) bool { return a != apply.Keep && a != apply.Skip }
	invariants := map[string]struct {
		why   string
		holds func(state, apply.Action) bool
	}{
		"left alone wins":           {why: "the user has said so, whatever else is the case", holds: func(s state, a apply.Action) bool { return s.leftAlone == (a == apply.Skip) }},
		"kept only if intact":       {why: "no request only if none could change anything", holds: func(s state, a apply.Action) bool { return a != apply.Keep || ours(s) && s.intact }},
		"intact is kept":            {why: "a steady state costs nothing", holds: func(s state, a apply.Action) bool { return s.leftAlone || !ours(s) || !s.intact || a == apply.Keep }},
		"changed content is sent":   {why: "it must go live", holds: func(s state, a apply.Action) bool { return s.leftAlone || s.sameContent || sends(a) }},
		"never applied is sent":     {why: "it may not exist", holds: func(s state, a apply.Action) bool { return s.leftAlone || s.tracked || sends(a) }},
		"another's is sent":         {why: "its labels name the other owner", holds: func(s state, a apply.Action) bool { return s.leftAlone || s.sameOwner || sends(a) }},
		"new content is validated":  {why: "nobody knows that the API server takes it", holds: func(s state, a apply.Action) bool { return s.leftAlone || ours(s) || s.proven || a == apply.Write }},
		"known content is not":      {why: "the API server has taken it before", holds: func(s state, a apply.Action) bool { return a != apply.Write || !ours(s) && !s.proven }},
		"restored only if touched":  {why: "it is told as somebody's deed", holds: func(s state, a apply.Action) bool { return a != apply.Restore || ours(s) && !s.intact }},
		"touched is restored":       {why: "somebody's deed is told", holds: func(s state, a apply.Action) bool { return s.leftAlone || !ours(s) || s.intact || a == apply.Restore }},
		"renewed only if proven":    {why: "no earlier process has applied it otherwise", holds: func(s state, a apply.Action) bool { return a != apply.Renew || s.proven && !ours(s) }},
		"what is known of no state": {why: "what was never applied cannot have been touched", holds: func(s state, a apply.Action) bool { return s.tracked || a != apply.Keep && a != apply.Restore }},
	}
	for name, invariant := range invariants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, s := range states() {
				if a := s.decide(t); !invariant.holds(s, a) {
					t.Errorf("in %+v the plan is to %s (%s)", s, a, invariant.why)
				}
			}
		})
	}
}

func TestActionString(t *testing.T) {
	t.Parallel()
	want := "Keep Skip Write Renew Restore Action(5) Action(-1)"
	if got := fmt.Sprint(apply.Keep, apply.Skip, apply.Write, apply.Renew, apply.Restore, apply.Action(5), apply.Action(-1)); got != want {
		t.Errorf("actions are called %q, want %q", got, want)
	}
}

func TestEffectString(t *testing.T) {
	t.Parallel()
	want := "unchanged created configured recreated deleted skipped Effect(6) Effect(-1)"
	got := fmt.Sprint(apply.Unchanged, apply.Created, apply.Configured, apply.Recreated, apply.Deleted, apply.Skipped, apply.Effect(6), apply.Effect(-1))
	if got != want {
		t.Errorf("effects are called %q, want %q", got, want)
	}
}

// TestPlanRefusesNamesThatLeadElsewhere: they would be recorded, and pruning would
// follow them.
func TestPlanRefusesNamesThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "../secrets/x", "a/status", "a%2fb"} {
		for _, obj := range []*unstructured.Unstructured{configMap("ns", name, "value"), configMap(name, "a", "value")} {
			if obj.GetNamespace() == "" {
				continue // a cluster scoped kind, or an error that the API server tells
			}
			_, err := newPlan([]*unstructured.Unstructured{obj}, newRecorder(), apply.Options{})
			if err == nil || !strings.Contains(err.Error(), "name") {
				t.Errorf("a plan of %q in %q fails by %v; want it to name the field", obj.GetName(), obj.GetNamespace(), err)
			}
		}
	}
}

func TestPlanOrder(t *testing.T) {
	t.Parallel()
	objs := []*unstructured.Unstructured{
		object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.com"),
		object("v1", "Namespace", "", "ns"),
		object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "reader"),
		object("storage.k8s.io/v1", "StorageClass", "", "fast"),
		object("example.com/v1", "WidgetClass", "", "plain"),
		object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", "reader"),
		object("v1", "ServiceAccount", "ns", "robot"),
		object("v1", "ConfigMap", "ns", "a"), object("v1", "ConfigMap", "ns", "b"),
		object("apps/v1", "Deployment", "ns", "app"),
		object("example.com/v1", "Widget", "ns", "w"),
		object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "hook"),
	}
	want := map[manifest.Stage][]string{
		manifest.Definitions: {"CustomResourceDefinition/widgets.example.com", "Namespace/ns", "ClusterRole/reader"},
		manifest.Classes:     {"StorageClass/fast", "WidgetClass/plain"},
		manifest.Everything: {
			"ClusterRoleBinding/reader", "ServiceAccount/ns/robot", "ConfigMap/ns/a", "ConfigMap/ns/b", "Deployment/ns/app",
			"Widget/ns/w", "ValidatingWebhookConfiguration/hook",
		},
	}
	for range 10 {
		rand.Shuffle(len(objs), func(i, j int) { objs[i], objs[j] = objs[j], objs[i] })
		p := plan(t, objs...)
		got := make(map[manifest.Stage][]string)
		for i, s := range p.Stages {
			if i > 0 && s.Stage <= p.Stages[i-1].Stage {
				t.Errorf("stage %s is behind stage %s", s.Stage, p.Stages[i-1].Stage)
			}
			for _, item := range s.Items {
				got[s.Stage] = append(got[s.Stage], item.ID.String())
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("stages differ (-want +got):\n%s", diff)
		}
	}
}

func TestPlanHasNoEmptyStage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		objs []*unstructured.Unstructured
		want []manifest.Stage
	}{
		"nothing":     {},
		"definitions": {objs: []*unstructured.Unstructured{object("v1", "Namespace", "", "ns")}, want: []manifest.Stage{manifest.Definitions}},
		"classes":     {objs: []*unstructured.Unstructured{object("storage.k8s.io/v1", "StorageClass", "", "fast")}, want: []manifest.Stage{manifest.Classes}},
		"the rest":    {objs: []*unstructured.Unstructured{object("v1", "Secret", "ns", "a")}, want: []manifest.Stage{manifest.Everything}},
		"first and last": {
			objs: []*unstructured.Unstructured{object("v1", "Secret", "ns", "a"), object("v1", "Namespace", "", "ns")},
			want: []manifest.Stage{manifest.Definitions, manifest.Everything},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []manifest.Stage
			for _, s := range plan(t, tc.objs...).Stages {
				got = append(got, s.Stage)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("stages are %v, want %v", got, tc.want)
			}
		})
	}
}

func TestPlanInventory(t *testing.T) {
	t.Parallel()
	left := configMap("ns", "left", "value")
	left.SetAnnotations(map[string]string{keyReconcile: "disabled"})
	kept := configMap("ns", "kept", "value")
	r := newRecorder()
	r.known[manifest.IDOf(kept)] = apply.Known{Last: apply.Applied{Content: contentOf(t, kept)}, Intact: true}
	p, err := newPlan([]*unstructured.Unstructured{left, kept, object("apps/v1beta1", "Deployment", "ns", "new")}, r, apply.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := inventory.Set{
		{Kind: "ConfigMap", Namespace: "ns", Name: "left"}:                "v1",
		{Kind: "ConfigMap", Namespace: "ns", Name: "kept"}:                "v1",
		{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "new"}: "v1beta1",
	}
	if diff := cmp.Diff(want, p.Inventory); diff != "" {
		t.Errorf("the inventory must have every object, whatever is done about it (-want +got):\n%s", diff)
	}
}

func TestPlanRefusesTwoOfOneIdentity(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		a, b *unstructured.Unstructured
		err  string
	}{
		"equal":               {why: "a mistake, if a harmless one", a: configMap("ns", "a", "x"), b: configMap("ns", "a", "x"), err: "ConfigMap/ns/a is defined twice"},
		"different":           {why: "one of the two would be lost", a: configMap("ns", "a", "x"), b: configMap("ns", "a", "y"), err: "ConfigMap/ns/a is defined twice"},
		"another version":     {why: "it is one object all the same", a: object("apps/v1", "Deployment", "ns", "a"), b: object("apps/v1beta1", "Deployment", "ns", "a"), err: "Deployment/ns/a is defined twice"},
		"another group":       {why: "two objects", a: object("a.example.com/v1", "Widget", "ns", "a"), b: object("b.example.com/v1", "Widget", "ns", "a")},
		"another namespace":   {why: "two objects", a: configMap("ns", "a", "x"), b: configMap("other", "a", "x")},
		"another kind":        {why: "two objects", a: configMap("ns", "a", "x"), b: object("v1", "Secret", "ns", "a")},
		"one to be let alone": {why: "which of the two is meant?", a: configMap("ns", "a", "x"), b: annotated(configMap("ns", "a", "x"), keyReconcile, "disabled"), err: "ConfigMap/ns/a is defined twice"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newPlan([]*unstructured.Unstructured{tc.a, tc.b}, newRecorder(), apply.Options{})
			if got := text(err); got != tc.err {
				t.Errorf("a plan fails by %q, want %q (%s)", got, tc.err, tc.why)
			}
		})
	}
}

func TestPlanIdle(t *testing.T) {
	t.Parallel()
	kept, left, lost := configMap("ns", "kept", "x"), annotated(configMap("ns", "left", "x"), keySSA, "Ignore"), configMap("ns", "lost", "x")
	r := newRecorder()
	r.known[manifest.IDOf(kept)] = apply.Known{Last: apply.Applied{Content: contentOf(t, kept)}, Intact: true}
	r.known[manifest.IDOf(lost)] = apply.Known{Last: apply.Applied{Content: contentOf(t, lost)}}
	tests := map[string]struct {
		objs []*unstructured.Unstructured
		want bool
	}{
		"nothing":                  {want: true},
		"kept and left alone":      {objs: []*unstructured.Unstructured{kept, left}, want: true},
		"one to be restored":       {objs: []*unstructured.Unstructured{kept, left, lost}},
		"one in an early stage":    {objs: []*unstructured.Unstructured{kept, object("v1", "Namespace", "", "ns")}},
		"nothing but what is new":  {objs: []*unstructured.Unstructured{configMap("ns", "new", "x")}},
		"one with another content": {objs: []*unstructured.Unstructured{configMap("ns", "kept", "y")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := newPlan(tc.objs, r, apply.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if p.Idle() != tc.want {
				t.Errorf("Idle() = %t, want %t", p.Idle(), tc.want)
			}
		})
	}
}

func TestContentIsStable(t *testing.T) {
	t.Parallel()
	big := configMap("ns", "a", "x")
	data := map[string]any{}
	for i := range 50 {
		data[fmt.Sprint("key", i)] = fmt.Sprint(i)
	}
	big.Object["data"] = data
	want := contentOf(t, big)
	for range 20 {
		if got := contentOf(t, big.DeepCopy()); got != want {
			t.Fatalf("the digest of equal content is %s, then %s", want, got)
		}
	}
	changed := big.DeepCopy()
	changed.SetLabels(map[string]string{"x": "y"})
	if contentOf(t, changed) == want {
		t.Error("a label more is no other content")
	}
}

func annotated(obj *unstructured.Unstructured, key, value string) *unstructured.Unstructured {
	obj.SetAnnotations(map[string]string{key: value})
	return obj
}

// Kinds that are named for it have a stage of their own, unless they have one anyway.
func TestCustomStage(t *testing.T) {
	t.Parallel()
	objs := []*unstructured.Unstructured{
		object("v1", "ConfigMap", "ns", "a"), object("rbac.authorization.k8s.io/v1", "Role", "ns", "r"),
		object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "c"), object("example.com/v1", "Role", "ns", "other"),
	}
	kinds, err := manifest.ParseKinds("rbac.authorization.k8s.io/Role,rbac.authorization.k8s.io/ClusterRole")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlan(objs, newRecorder(), apply.Options{CustomStage: kinds.Has})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Stages {
		for _, item := range s.Items {
			got = append(got, s.Stage.String()+" "+item.ID.String())
		}
	}
	want := []string{"Definitions ClusterRole/c", "Custom Role/ns/r", "Everything Role/ns/other", "Everything ConfigMap/ns/a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stages differ (-want +got):\n%s", diff)
	}
}
