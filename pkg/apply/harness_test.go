package apply_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
)

// keyOwner is the label by which a test knows its own objects.
const keyOwner = "example.com/owner"

// recorder is a Tracker that remembers what it is told, and takes every object for
// intact unless a test says otherwise.
type recorder struct {
	mu      sync.Mutex
	known   map[manifest.ID]apply.Known
	applied []manifest.ID
	forgot  []manifest.ID
	spared  []manifest.ID

	there     map[manifest.ID]apply.Live // what Expect finds
	expecting map[schema.GroupVersionResource]schema.GroupKind
	blind     map[schema.GroupVersionResource]bool
}

func newRecorder() *recorder { return &recorder{known: make(map[manifest.ID]apply.Known)} }

// Expect implements apply.Tracker: what is there is seen by then.
func (r *recorder) Expect(_ context.Context, kinds map[schema.GroupVersionResource]schema.GroupKind) (blind map[schema.GroupVersionResource]bool, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, live := range r.there {
		k := r.known[id]
		k.Live = live
		r.known[id] = k
	}
	r.expecting = kinds
	return r.blind, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.expecting = nil
	}
}

// Recall implements apply.Tracker.
func (r *recorder) Recall(id manifest.ID) apply.Known {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[id]
}

// Applied implements apply.Tracker.
func (r *recorder) Applied(a apply.Applied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = append(r.applied, a.ID)
	if a.Object == nil {
		r.known[a.ID] = apply.Known{Last: a, Intact: a.Expires}
		return
	}
	a.UID, a.Version = a.Object.GetUID(), a.Object.GetResourceVersion()
	a.Object = nil
	r.known[a.ID] = apply.Known{Last: a, Intact: a.Noticed == nil, Live: apply.Live{UID: a.UID, ResourceVersion: a.Version}}
}

// Spare implements apply.Tracker.
func (r *recorder) Spare(id manifest.ID, once bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spared = append(r.spared, id)
	if k := r.known[id]; once {
		k.Last.Once = true
		r.known[id] = k
	} else {
		delete(r.known, id)
	}
}

// Forget implements apply.Tracker.
func (r *recorder) Forget(id manifest.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgot = append(r.forgot, id)
	delete(r.known, id)
}

// change lets a test say what is known of an object.
func (r *recorder) change(id manifest.ID, how func(*apply.Known)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.known[id]
	how(&k)
	r.known[id] = k
}

// touched says that somebody has touched an object.
func touched(k *apply.Known) { k.Intact = false }

// gone says that somebody has deleted an object.
func gone(k *apply.Known) { k.Intact, k.Live = false, apply.Live{} }

// cluster is a plane with an engine whose requests the test sees and may disturb.
type cluster struct {
	*testplane.Plane
	t       *testing.T
	config  *rest.Config
	http    *http.Client
	mapper  meta.RESTMapper
	tracker *recorder
	engine  *apply.Engine
	with    apply.Config // of the next engine, but for the manager
	// before is called with each request before it is sent, and after with each
	// that was answered; an error is what the engine gets instead of the answer.
	before, after func(*http.Request) error
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Plane: testplane.Start(t), t: t}
	c.config = c.Config()
	c.config.Wrap(c.disturb)
	var err error
	if c.http, err = rest.HTTPClientFor(c.config); err != nil {
		t.Fatal(err)
	}
	if c.mapper, err = apiutil.NewDynamicRESTMapper(c.config, c.http); err != nil {
		t.Fatal(err)
	}
	c.restart()
	return c
}

// restart makes a new engine, which remembers nothing, as in a new process.
func (c *cluster) restart() {
	c.t.Helper()
	c.tracker = newRecorder()
	c.with.Manager = "engine"
	c.with.OwnerName, c.with.OwnerNamespace = "owner.example.com/name", "owner.example.com/namespace"
	var err error
	if c.engine, err = apply.New(c.config, c.http, c.mapper, c.tracker, c.with); err != nil {
		c.t.Fatal(err)
	}
	c.Traffic.Reset()
}

// disturb lets the test interfere with requests about objects.
func (c *cluster) disturb(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		about := strings.Contains(req.URL.Path, c.Namespace)
		if about && c.before != nil {
			if err := c.before(req); err != nil {
				return nil, err
			}
		}
		res, err := next.RoundTrip(req)
		if about && err == nil && c.after != nil {
			if err := c.after(req); err != nil {
				res.Body.Close()
				return nil, err
			}
		}
		return res, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// read reads objects from YAML in which NS stands for the namespace of the test,
// and labels them as the test's own. Cluster scoped ones go with the test.
func (c *cluster) read(text string) []*unstructured.Unstructured {
	c.t.Helper()
	objs, err := manifest.Read([]byte(strings.ReplaceAll(text, "NS", c.Namespace)))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, obj := range objs {
		labels := obj.GetLabels()
		if labels == nil {
			labels = make(map[string]string)
		}
		labels[keyOwner] = c.Namespace
		obj.SetLabels(labels)
		if obj.GetNamespace() == "" {
			c.removeLater(obj)
		}
	}
	return objs
}

// removeLater deletes a cluster scoped object when the test ends.
func (c *cluster) removeLater(obj *unstructured.Unstructured) {
	doomed := object(obj.GetAPIVersion(), obj.GetKind(), "", obj.GetName())
	ctx := c.t.Context()
	c.t.Cleanup(func() {
		// The context of the test has ended by now.
		if err := c.Client.Delete(context.WithoutCancel(ctx), doomed); client.IgnoreNotFound(err) != nil {
			c.t.Logf("removing %s: %v", manifest.IDOf(doomed), err)
		}
	})
}

// configMaps are small objects of the test's namespace.
func (c *cluster) configMaps(names ...string) []*unstructured.Unstructured {
	c.t.Helper()
	var out []*unstructured.Unstructured
	for _, name := range names {
		out = append(out, c.read("{apiVersion: v1, kind: ConfigMap, metadata: {name: "+name+", namespace: NS}, data: {key: value}}")...)
	}
	return out
}

// id is the identity of an object of the test's namespace.
func (c *cluster) id(kind, name string) manifest.ID {
	return manifest.ID{Kind: kind, Namespace: c.Namespace, Name: name}
}

// plan decides by what is known of the objects.
func (c *cluster) plan(objs ...*unstructured.Unstructured) apply.Plan {
	c.t.Helper()
	return c.planWith(apply.Options{}, objs...)
}

func (c *cluster) planWith(opts apply.Options, objs ...*unstructured.Unstructured) apply.Plan {
	c.t.Helper()
	opts.Owner = types.NamespacedName{Namespace: c.Namespace, Name: "owner"}
	p, err := newPlan(objs, c.tracker, opts)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// apply applies objects, which must succeed, and forgets the requests before.
func (c *cluster) apply(req apply.Request, objs ...*unstructured.Unstructured) []apply.Change {
	c.t.Helper()
	p := c.plan(objs...)
	c.Traffic.Reset()
	changes, err := c.engine.Apply(c.t.Context(), p, req)
	if err != nil {
		c.t.Fatalf("Apply() fails: %v", err)
	}
	return changes
}

// refused applies objects, which must fail, and returns why.
func (c *cluster) refused(req apply.Request, objs ...*unstructured.Unstructured) string {
	c.t.Helper()
	p := c.plan(objs...)
	c.Traffic.Reset()
	changes, err := c.engine.Apply(c.t.Context(), p, req)
	if err == nil {
		c.t.Fatalf("Apply() succeeds with %q", effects(changes))
	}
	return strings.ReplaceAll(err.Error(), c.Namespace, "NS")
}

// live reads an object, nil if there is none.
func (c *cluster) live(obj *unstructured.Unstructured) *unstructured.Unstructured {
	c.t.Helper()
	out := object(obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace(), obj.GetName())
	if !c.Get(out) {
		return nil
	}
	return out
}

// existing are the names of the objects of a kind that the test has made.
func (c *cluster) existing(apiVersion, kind string) []string {
	c.t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(apiVersion)
	list.SetKind(kind + "List")
	if err := c.Client.List(c.t.Context(), list, client.InNamespace(c.Namespace), client.HasLabels{keyOwner}); err != nil {
		c.t.Fatal(err)
	}
	out := []string{}
	for _, item := range list.Items {
		out = append(out, item.GetName())
	}
	slices.Sort(out)
	return out
}

// isOurs tells by the label whether an object is the test's own.
func (c *cluster) isOurs(obj metav1.Object) bool { return obj.GetLabels()[keyOwner] == c.Namespace }

// requests tells what was asked since the last Reset in short, sorted.
func (c *cluster) requests() []string {
	out := []string{}
	for _, r := range c.Traffic.Requests() {
		s := r.Method + " " + r.Path[strings.LastIndexByte(r.Path, '/')+1:]
		if r.DryRun {
			s += " (dry run)"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// effects tells what became of the objects in short.
func effects(changes []apply.Change) []string {
	out := []string{}
	for _, c := range changes {
		s := fmt.Sprintf("%s %s", c.ID.Name, c.Effect)
		if c.Restored {
			s += ", restored"
		}
		out = append(out, s)
	}
	return out
}

// sorted returns identities in a definite order.
func sorted(ids []manifest.ID) []manifest.ID {
	return slices.SortedFunc(slices.Values(ids), func(a, b manifest.ID) int { return cmp.Compare(a.String(), b.String()) })
}

// plan is one of new objects, without a cluster.
func plan(t *testing.T, objs ...*unstructured.Unstructured) apply.Plan {
	t.Helper()
	p, err := newPlan(objs, newRecorder(), apply.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetAPIVersion(apiVersion)
	obj.SetKind(kind)
	obj.SetNamespace(namespace)
	obj.SetName(name)
	return obj
}

func configMap(namespace, name, value string) *unstructured.Unstructured {
	obj := object("v1", "ConfigMap", namespace, name)
	obj.Object["data"] = map[string]any{"key": value}
	return obj
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
