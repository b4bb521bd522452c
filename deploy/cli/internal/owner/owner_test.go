package owner_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/pkg/manifest"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

// configMap is one that a Kustomization has labelled.
func configMap(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	return object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: "+name+`
  namespace: shop
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}
`)
}

// kustomization is one with two ConfigMaps and a Service in its inventory.
func kustomization(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	return object(t, `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
status:
  inventory: {entries: [{id: shop_one__ConfigMap, v: v1}, {id: shop_two__ConfigMap, v: v1}, {id: shop_web__Service, v: v1}]}
  conditions: [{type: Ready, status: "True"}]
`+spec)
}

// cluster has objects, of which nobody may read those of a kind and name.
func cluster(hidden string, objects ...client.Object) owner.Cluster {
	refuse := func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if kind := obj.GetObjectKind().GroupVersionKind().Kind; hidden == kind+"/"+key.Name {
			return apierrors.NewForbidden(schema.GroupResource{Resource: kind}, key.Name, nil)
		}
		return c.Get(ctx, key, obj, opts...)
	}
	c := fake.NewClientBuilder().WithScheme(runtime.NewScheme()).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: refuse,
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return apierrors.NewForbidden(schema.GroupResource{}, "", nil)
		},
	}).Build()
	return owner.Cluster{Client: c}
}

// TestAbove: labels name who has applied an object, unless they are copies of its owner's.
func TestAbove(t *testing.T) {
	t.Parallel()
	service := object(t, `
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}
`)
	owned := func(obj *unstructured.Unstructured) *unstructured.Unstructured {
		obj.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "web", UID: "1", Controller: ptr.To(true)}})
		return obj
	}
	slice := func() *unstructured.Unstructured {
		obj := service.DeepCopy()
		obj.SetName("web-x")
		obj.SetGroupVersionKind(schema.GroupVersionKind{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"})
		return obj
	}
	noInventory := kustomization(t, "")
	unstructured.RemoveNestedField(noInventory.Object, "status", "inventory")
	const applied, made = "Kustomization/flux-system/apps", "Service/shop/web"
	tests := map[string]struct {
		why    string
		obj    *unstructured.Unstructured
		by     *unstructured.Unstructured
		hidden string
		want   string
		unread bool
	}{
		"what is applied":             {obj: service, by: kustomization(t, ""), want: applied},
		"what is in no inventory":     {why: "nothing else says where it is from", obj: slice(), by: kustomization(t, ""), want: applied},
		"what has copied its labels":  {obj: owned(slice()), by: kustomization(t, ""), want: made},
		"what is applied, with owner": {why: "the inventory has it", obj: owned(configMap(t, "one")), by: kustomization(t, ""), want: applied},
		"where nobody can tell":       {why: "the labels are all there is to go by", obj: owned(slice()), by: noInventory, want: applied},
		"an applier that is hidden":   {why: "its name is in the labels", obj: service, by: kustomization(t, ""), hidden: "Kustomization/apps", want: applied, unread: true},
		"a copy, and that is hidden":  {obj: owned(slice()), by: kustomization(t, ""), hidden: "Kustomization/apps", want: made},
		"an owner that is hidden":     {obj: owned(slice()), by: kustomization(t, ""), hidden: "Service/web", want: made, unread: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := cluster(tc.hidden, service.DeepCopy(), tc.by.DeepCopy()).Above(t.Context(), tc.obj)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID.String() != tc.want || (got.Err != nil) != tc.unread || (got.Object == nil) != tc.unread {
				t.Errorf("Above = %+v, want %s, hidden: %t (%s)", got, tc.want, tc.unread, tc.why)
			}
		})
	}
}

// TestAppliedIsNotAllToBeRead: what may be read is returned beside what may not be.
func TestAppliedIsNotAllToBeRead(t *testing.T) {
	t.Parallel()
	all := func(manifest.ID) bool { return true }
	c := cluster("ConfigMap/two", configMap(t, "one"), configMap(t, "two"))
	found, hidden, err := c.Applied(t.Context(), kustomization(t, ""), all)
	if err != nil || len(found) != 1 || found[0].GetName() != "one" {
		t.Errorf("Applied = %v, %v; want the ConfigMap one", found, err)
	}
	if len(hidden) != 1 || hidden[0].ID.Name != "two" || !apierrors.IsForbidden(hidden[0].Err) {
		t.Errorf("hidden are %v, want the ConfigMap two", hidden)
	}
}

// TestAnotherCluster: what is applied there is not looked for here, where there may be others of
// the same names.
func TestAnotherCluster(t *testing.T) {
	t.Parallel()
	c := cluster("", configMap(t, "one"), configMap(t, "two"))
	by := kustomization(t, "spec: {kubeConfig: {secretRef: {name: there}}}\n")
	found, hidden, err := c.Applied(t.Context(), by, func(manifest.ID) bool { return true })
	if len(found)+len(hidden) != 0 || err != nil {
		t.Errorf("Applied = %v, %v, %v; want nothing", found, hidden, err)
	}
	root, err := c.Tree(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, n := range root.Children {
		got[n.ID.String()] = n.Status.String() + ": " + n.Message
	}
	const there = "Unknown: it is in another cluster"
	want := map[string]string{"ConfigMap/shop/one": there, "ConfigMap/shop/two": there, "Service/shop/web": there}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}
