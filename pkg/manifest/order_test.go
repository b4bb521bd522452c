package manifest_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/manifest"
)

// firstKinds and lastKinds are the order of kinds as users know it, "" the place
// of all other kinds.
func kindOrder() []string {
	return []string{
		"CustomResourceDefinition", "Namespace", "ClusterRole", "ClusterClass", "RuntimeClass", "PriorityClass",
		"StorageClass", "VolumeSnapshotClass", "IngressClass", "GatewayClass", "ClusterRoleBinding", "ResourceQuota",
		"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret", "Service", "LimitRange", "Deployment",
		"StatefulSet", "CronJob", "PodDisruptionBudget",
		"",
		"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
	}
}

func TestRank(t *testing.T) {
	for i, a := range kindOrder() {
		for j, b := range kindOrder() {
			got := sign(manifest.Rank(schema.GroupKind{Kind: a}) - manifest.Rank(schema.GroupKind{Group: "example.com", Kind: b}))
			if want := sign(i - j); got != want {
				t.Errorf("rank of %q against that of %q is %d, want %d", a, b, got, want)
			}
		}
	}
	for _, kind := range []string{"Ingress", "Job", "DaemonSet", "HelmRelease", "DeviceClass", "configmap"} {
		if got := manifest.Rank(schema.GroupKind{Kind: kind}); got != 0 {
			t.Errorf("rank of %q is %d, want that of all other kinds, 0", kind, got)
		}
	}
}

func TestStageOf(t *testing.T) {
	tests := map[string]struct {
		why  string
		kind schema.GroupKind
		want manifest.Stage
	}{
		"definition":        {why: "objects of its kind need it", kind: schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, want: manifest.Definitions},
		"namespace":         {why: "objects live in it", kind: schema.GroupKind{Kind: "Namespace"}, want: manifest.Definitions},
		"cluster role":      {why: "bindings refer to it, and aggregation takes time", kind: schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}, want: manifest.Definitions},
		"class":             {why: "claims refer to it", kind: schema.GroupKind{Group: "storage.k8s.io", Kind: "StorageClass"}, want: manifest.Classes},
		"class of anybody":  {why: "custom resources have classes, too", kind: schema.GroupKind{Group: "example.com", Kind: "WidgetClass"}, want: manifest.Classes},
		"class, the word":   {why: "it ends by itself", kind: schema.GroupKind{Group: "example.com", Kind: "Class"}, want: manifest.Classes},
		"no class":          {why: "only the end of the name tells", kind: schema.GroupKind{Group: "example.com", Kind: "ClassRoom"}, want: manifest.Everything},
		"subclass":          {why: "as it is written only", kind: schema.GroupKind{Group: "example.com", Kind: "Subclass"}, want: manifest.Everything},
		"binding":           {why: "nothing refers to it", kind: schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}, want: manifest.Everything},
		"role":              {why: "it is in a namespace", kind: schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "Role"}, want: manifest.Everything},
		"webhook":           {why: "the rank puts it last", kind: schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}, want: manifest.Everything},
		"object of no kind": {why: "it is refused elsewhere", want: manifest.Everything},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := manifest.StageOf(tc.kind); got != tc.want {
				t.Errorf("StageOf(%q) = %s, want %s (%s)", tc.kind, got, tc.want, tc.why)
			}
		})
	}
}

// Within the order of kinds, stages never go back: what an earlier stage has is
// before what a later one has, but for classes that no rank is known of.
func TestStagesFollowRanks(t *testing.T) {
	last := manifest.Definitions
	for _, kind := range kindOrder() {
		stage := manifest.StageOf(schema.GroupKind{Kind: kind})
		if stage < last {
			t.Errorf("%q is of stage %s, behind a kind of stage %s", kind, stage, last)
		}
		last = stage
	}
}

func TestStageString(t *testing.T) {
	want := []string{"Definitions", "Classes", "Custom", "Everything", "Stage(?)", "Stage(?)"}
	var got []string
	for _, s := range []manifest.Stage{manifest.Definitions, manifest.Classes, manifest.Custom, manifest.Everything, 4, -1} {
		got = append(got, s.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("String() differs (-want +got):\n%s", diff)
	}
}

func TestSort(t *testing.T) {
	want := []string{
		"CustomResourceDefinition/widgets.example.com", "Namespace/a", "Namespace/b", "ServiceAccount/a", "ConfigMap/z", "Service/a", "Service/b",
		"Deployment/a", "Job/a", "Widget/b", "Zebra/a", "Widget/a", "ValidatingWebhookConfiguration/a",
	}
	objs := []*unstructured.Unstructured{
		object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.com"),
		object("v1", "Namespace", "", "a"), object("v1", "Namespace", "", "b"),
		object("v1", "ServiceAccount", "ns", "a"), object("v1", "ConfigMap", "ns", "z"),
		object("v1", "Service", "ns", "a"), object("v1", "Service", "ns", "b"), object("apps/v1", "Deployment", "ns", "a"),
		// Ties: by group, kind, namespace and name.
		object("batch/v1", "Job", "ns", "a"), object("example.com/v1", "Widget", "a", "b"), object("example.com/v1", "Zebra", "a", "a"),
		object("other.example.com/v1", "Widget", "a", "a"),
		object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "a"),
	}
	for range 20 {
		shuffled := slices.Clone(objs)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		manifest.Sort(shuffled)
		if diff := cmp.Diff(want, names(shuffled)); diff != "" {
			t.Fatalf("Sort() differs (-want +got):\n%s", diff)
		}
	}
}

func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetAPIVersion(apiVersion)
	obj.SetKind(kind)
	obj.SetNamespace(namespace)
	obj.SetName(name)
	return obj
}

func TestWave(t *testing.T) {
	t.Parallel()
	// Kinds of one row go together, and after those of the rows before.
	rows := [][]string{
		{"PriorityClass", "ClusterRoleBinding", "ResourceQuota", "ServiceAccount", "Role"},
		{"RoleBinding", "ConfigMap", "Secret", "Service", "LimitRange"},
		{"Deployment", "StatefulSet", "CronJob", "PodDisruptionBudget", "Ingress", "Database"},
		{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"},
	}
	for want, kinds := range rows {
		for _, kind := range kinds {
			if got := manifest.Wave(schema.GroupKind{Kind: kind}); got != want {
				t.Errorf("%s is applied in wave %d; want %d", kind, got, want)
			}
		}
	}
}
