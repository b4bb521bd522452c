package drift

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/watch"
)

const us = "kustomize-controller"

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// entry is one entry of managedFields.
type entry struct {
	manager, fields string // fields is YAML
	at              time.Time
	update          bool // not an apply
	subresource     string
}

// object makes a Deployment of which content, in YAML, is the rest.
func deployment(t *testing.T, version int, content string, entries ...entry) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(content), &obj.Object); err != nil {
		t.Fatal(err)
	}
	obj.SetAPIVersion("apps/v1")
	if obj.GetKind() == "" {
		obj.SetKind("Deployment")
	}
	obj.SetNamespace("shop")
	obj.SetName("web")
	obj.SetUID("uid-1")
	obj.SetResourceVersion(strconv.Itoa(version))
	if obj.GetLabels() == nil {
		obj.SetLabels(map[string]string{"owner": "app", "owner-ns": "flux-system"})
	}
	var list []metav1.ManagedFieldsEntry
	for _, e := range entries {
		raw, err := yaml.YAMLToJSON([]byte(e.fields))
		if err != nil {
			t.Fatal(err)
		}
		m := metav1.ManagedFieldsEntry{
			Manager: e.manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "apps/v1", Subresource: e.subresource,
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(string(raw)),
		}
		if e.update {
			m.Operation = metav1.ManagedFieldsOperationUpdate
		}
		if !e.at.IsZero() {
			m.Time = &metav1.Time{Time: e.at}
		}
		list = append(list, m)
	}
	obj.SetManagedFields(list)
	return obj
}

// watched is a Watcher whose events the test makes up.
type watched struct {
	*Watcher
	t     *testing.T
	owner types.NamespacedName

	mu    sync.Mutex
	wakes int
}

func newWatched(t *testing.T) *watched {
	w := &watched{t: t, owner: types.NamespacedName{Namespace: "flux-system", Name: "app"}}
	open := func(schema.GroupVersionResource) watch.Source {
		t.Error("nothing is watched unless Start runs")
		return nil
	}
	w.Watcher = New(open, Options{Manager: us, Override: []string{"legacy"}, OwnerName: "owner", OwnerNamespace: "owner-ns", Wake: func(owner types.NamespacedName) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if owner != w.owner {
			t.Errorf("woke %s; want %s", owner, w.owner)
		}
		w.wakes++
	}})
	return w
}

// apply tells that content was applied and left as obj.
func (w *watched) apply(content string, obj *unstructured.Unstructured) {
	w.Applied(apply.Applied{ID: manifest.IDOf(obj), Resource: deployments, Owner: w.owner, Content: content, Object: obj})
}

// pass lets time go by, and everything happen that is due then.
func (w *watched) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// expect fails the test unless the owner was woken so often since the last time, and
// the object counts as intact or not.
func (w *watched) expect(what string, wakes int, intact bool) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wakes != wakes {
		w.t.Errorf("%s: the owner was woken %d times; want %d", what, w.wakes, wakes)
	}
	w.wakes = 0
	if got := w.Recall(webID).Intact; got != intact {
		w.t.Errorf("%s: the object counts as intact: %t; want %t", what, got, intact)
	}
}

var webID = manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}

// ours is what we own after an apply.
const oursFields = "f:spec: {f:replicas: {}, f:paused: {}}"

func content(replicas int) string {
	return fmt.Sprintf("spec: {replicas: %d, paused: false}", replicas)
}
