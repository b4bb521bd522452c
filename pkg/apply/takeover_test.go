package apply_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/testplane"
)

// created makes an object as manager does who creates it.
func (c *cluster) created(manager, text string) *unstructured.Unstructured {
	c.t.Helper()
	obj := c.read(text)[0]
	if err := c.Client.Create(c.t.Context(), obj, client.FieldOwner(manager)); err != nil {
		c.t.Fatal(err)
	}
	return obj
}

// applied makes or changes an object as manager does who applies it on the server.
func (c *cluster) applied(manager, text string) *unstructured.Unstructured {
	c.t.Helper()
	obj := c.read(text)[0]
	data, err := obj.MarshalJSON()
	if err != nil {
		c.t.Fatal(err)
	}
	patch := client.RawPatch(types.ApplyPatchType, data)
	if err := c.Client.Patch(c.t.Context(), obj, patch, client.FieldOwner(manager), client.ForceOwnership); err != nil {
		c.t.Fatal(err)
	}
	return obj
}

// owners tells who owns anything in an object, sorted.
func owners(obj *unstructured.Unstructured) []string {
	var out []string
	for _, e := range obj.GetManagedFields() {
		s := e.Manager + " " + string(e.Operation)
		if e.Subresource != "" {
			s += " " + e.Subresource
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

const (
	wanted = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {key: value}}"
	theirs = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {key: value, more: theirs}}"
	merges = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, annotations: {kustomize.toolkit.fluxcd.io/ssa: merge}}, data: {key: value}}"
)

// Fields that the source does not have go if it is kubectl that has set them, or
// something else that is overridden, and stay otherwise.
func TestTakeover(t *testing.T) {
	t.Parallel()
	noFields := "metadata: {managedFields: [{}]}"
	tests := map[string]struct {
		why      string
		given    func(*cluster)
		override []string
		want     string // data.more afterwards
		owners   []string
		requests int
	}{
		"kubectl apply":                {why: "kubectl would keep them", given: func(c *cluster) { c.created("kubectl-client-side-apply", theirs) }, owners: []string{"engine Apply"}, requests: 3},
		"kubectl apply, on the server": {why: "it is kubectl all the same", given: func(c *cluster) { c.applied("kubectl", theirs) }, owners: []string{"engine Apply"}, requests: 3},
		"an age before managed fields": {why: "nobody would ever remove them", given: func(c *cluster) { c.Patch(c.created("old", theirs), "old", noFields) }, owners: []string{"engine Apply"}, requests: 3},
		"ourselves, before we applied": {why: "it was we, in an older version", given: func(c *cluster) { c.created("engine", theirs) }, owners: []string{"engine Apply"}, requests: 3},
		"a manager that is overridden": {why: "whoever runs us has said so", given: func(c *cluster) { c.created("tool", theirs) }, override: []string{"other", "tool"}, owners: []string{"engine Apply"}, requests: 3},
		"the same, by apply":           {why: "either operation will do", given: func(c *cluster) { c.applied("tool", theirs) }, override: []string{"tool"}, owners: []string{"engine Apply"}, requests: 3},
		"any other manager":            {why: "it is theirs", given: func(c *cluster) { c.created("tool", theirs) }, want: "theirs", owners: []string{"engine Apply", "tool Update"}, requests: 1},
		"one that applies":             {why: "it is theirs", given: func(c *cluster) { c.applied("tool", theirs) }, want: "theirs", owners: []string{"engine Apply", "tool Apply"}, requests: 1},
		"one that only sounds like it": {why: "people are told to use such a name", given: func(c *cluster) { c.created("flux-client-side-apply", theirs) }, want: "theirs", owners: []string{"engine Apply", "flux-client-side-apply Update"}, requests: 1},
		"several":                      {why: "all of them are kubectl", given: func(c *cluster) { c.Patch(c.created("kubectl-create", theirs), "kubectl-edit", "data: {even: more}") }, owners: []string{"engine Apply"}, requests: 3},
		"nobody":                       {why: "a new object costs nothing more", given: func(*cluster) {}, owners: []string{"engine Apply"}, requests: 1},
		"kubectl, of merged fields": {why: "the object asks for them to be kept", given: func(c *cluster) {
			c.created("kubectl-create", strings.Replace(theirs, "namespace: NS", "namespace: NS, annotations: {kustomize.toolkit.fluxcd.io/ssa: Merge}", 1))
		}, want: "theirs", owners: []string{"engine Apply", "kubectl-create Update"}, requests: 1},
		"kubectl, with a request to us": {why: "the request stays with it", given: func(c *cluster) {
			c.Patch(c.created("tool", wanted), "kubectl-annotate", "metadata: {annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}}")
		}, owners: []string{"engine Apply", "kubectl-annotate Update", "tool Update"}, requests: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.with.Override = tc.override
			c.restart()
			tc.given(c)
			git := c.read(wanted)[0]
			c.apply(apply.Request{}, git)
			if got := len(c.Traffic.Requests()); got != tc.requests {
				t.Errorf("%d requests: %q; want %d (%s)", got, c.requests(), tc.requests, tc.why)
			}
			live := c.live(git)
			if got, _, _ := unstructured.NestedString(live.Object, "data", "more"); got != tc.want {
				t.Errorf("the field is %q; want %q (%s)", got, tc.want, tc.why)
			}
			if got, _, _ := unstructured.NestedString(live.Object, "data", "key"); got != "value" {
				t.Errorf("the field that the source has is %q", got)
			}
			if diff := cmp.Diff(tc.owners, owners(live)); diff != "" {
				t.Errorf("owners differ (-want +got), %s:\n%s", tc.why, diff)
			}
			c.tracker.change(c.id("ConfigMap", "a"), touched)
			if c.apply(apply.Request{}, git); len(c.Traffic.Requests()) != 2 {
				t.Errorf("the next apply costs %q; want a look and a write", c.requests())
			}
		})
	}
}

// What was taken over goes when it leaves the source, as all that is ours.
func TestWhatWasTakenOverCanBeRemoved(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.created("kubectl-client-side-apply", theirs)
	c.apply(apply.Request{}, c.read(theirs)[0])
	c.apply(apply.Request{}, c.read(wanted)[0])
	if _, there, _ := unstructured.NestedString(c.live(c.read(wanted)[0]).Object, "data", "more"); there {
		t.Error("a field that left the source is still there")
	}
}

// An object that the source says to merge keeps what others have set.
func TestMergedInTheSource(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.created("kubectl-create", theirs)
	git := c.read(merges)[0]
	c.apply(apply.Request{}, git)
	if got, _, _ := unstructured.NestedString(c.live(git).Object, "data", "more"); got != "theirs" || len(c.Traffic.Requests()) != 1 {
		t.Errorf("the field is %q, after %q", got, c.requests())
	}
}

// Books that other tools kept go, whoever wrote them, unless they are in the source.
func TestLeftoversGo(t *testing.T) {
	t.Parallel()
	const books = "kubectl.kubernetes.io/last-applied-configuration: '{}', kustomize.toolkit.fluxcd.io/checksum: x, fluxcd.io/sync-checksum: x"
	c := newCluster(t)
	obj := strings.Replace(theirs, "namespace: NS", "namespace: NS, annotations: {note: x, "+books+"}, labels: {keep: x, fluxcd.io/sync-gc-mark: x}", 1)
	c.created("tool", obj)
	git := c.read(wanted)[0]
	c.apply(apply.Request{}, git)
	live := c.live(git)
	if diff := cmp.Diff(map[string]string{"note": "x"}, live.GetAnnotations()); diff != "" {
		t.Errorf("annotations differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"keep": "x", keyOwner: c.Namespace}, live.GetLabels()); diff != "" {
		t.Errorf("labels differ (-want +got):\n%s", diff)
	}
	if got := len(c.Traffic.Requests()); got != 3 {
		t.Errorf("%d requests: %q", got, c.requests())
	}

	own := c.read(strings.Replace(strings.Replace(wanted, "name: a", "name: b", 1), "namespace: NS", "namespace: NS, annotations: {"+books+"}", 1))[0]
	c.apply(apply.Request{}, own)
	if got := c.live(own).GetAnnotations(); len(got) != 3 || len(c.Traffic.Requests()) != 1 {
		t.Errorf("what the source has is %v, after %q", got, c.requests())
	}
}

// Nothing is written before the siblings are validated, and what validation finds to be
// taken over costs one request less.
func TestTakeoverWaitsForValidation(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	b := strings.Replace(theirs, "name: a", "name: b", 1)
	before := c.created("kubectl-create", b)
	bad := c.read(strings.Replace(wanted, "name: a", "name: c", 1) + "\n---\n" + strings.Replace(wanted, "{key: value}", "{no/key: value}", 1))
	git := c.read(strings.Replace(wanted, "name: a", "name: b", 1))[0]
	c.refused(apply.Request{}, git, bad[0], bad[1])
	if got := c.live(git).GetResourceVersion(); got != before.GetResourceVersion() {
		t.Error("the object was written although its sibling is refused")
	}
	c.apply(apply.Request{}, c.configMaps("a")[0], git, bad[0])
	want := []string{"PATCH a", "PATCH b", "PATCH b", "PATCH b (dry run)", "PATCH c", "PATCH c (dry run)"}
	if diff := cmp.Diff(want, c.requests()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"engine Apply"}, owners(c.live(git))); diff != "" {
		t.Errorf("owners differ (-want +got):\n%s", diff)
	}
}

// What a subresource set is not taken over: it is how others are meant to work with us.
func TestSubresourcesAreNotTakenOver(t *testing.T) {
	t.Parallel()
	const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: NS}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {nodeSelector: {no: where}, containers: [{name: a, image: a}]}}}}`
	c := newCluster(t)
	git := c.read(deployment)[0]
	c.apply(apply.Request{}, git)
	scale := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":3}}`))
	if err := c.Client.SubResource("scale").Patch(t.Context(), c.live(git), scale, client.FieldOwner("kubectl")); err != nil {
		t.Fatal(err)
	}
	c.tracker.change(c.tracker.applied[0], touched)
	c.apply(apply.Request{}, git)
	if got, _, _ := unstructured.NestedInt64(c.live(git).Object, "spec", "replicas"); got != 3 {
		t.Errorf("%d replicas; want the 3 that were asked for", got)
	}
}

// Fields that were set in another version of the API are converted by the API server,
// whether we have applied the object before or not.
func TestTakeoverOfAnotherVersion(t *testing.T) {
	t.Parallel()
	scaler := func(version, more string) string {
		return "{apiVersion: autoscaling/" + version + ", kind: HorizontalPodAutoscaler, metadata: {name: a, namespace: NS" + more + "}, spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}"
	}
	const note, more = ", annotations: {note: x}", ", minReplicas: 2}}"
	tests := map[string]func(*cluster){
		"before we have applied": func(c *cluster) { c.created("kubectl-create", scaler("v1", note)+more) },
		"after we have": func(c *cluster) {
			c.apply(apply.Request{}, c.read(scaler("v2", "")+"}}")...)
			c.applied("kubectl", scaler("v1", note)+more)
		},
		"in two versions at once": func(c *cluster) {
			c.created("kubectl-create", scaler("v1", note)+more)
			c.applied("kubectl", scaler("v2", "")+", minReplicas: 2}}")
		},
	}
	for name, given := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			given(c)
			git, known := c.read(scaler("v2", "") + "}}")[0], slices.Collect(maps.Keys(c.tracker.known))
			for _, id := range known { // of which a restoration begins by a look
				c.tracker.change(id, touched)
			}
			c.apply(apply.Request{}, git)
			// The status may move between a look and a patch; then both are repeated.
			looks := c.Traffic.Count(func(r testplane.Request) bool { return r.Method == http.MethodGet })
			if got, want := len(c.requests())-2*looks, 4-2*len(known); got != want {
				t.Errorf("%q; want 4 requests, but for a look and a patch that are repeated", c.requests())
			}
			live := c.live(git)
			got := slices.DeleteFunc(owners(live), func(owner string) bool { return strings.HasSuffix(owner, " status") })
			if diff := cmp.Diff([]string{"engine Apply"}, got); diff != "" {
				t.Errorf("owners differ (-want +got):\n%s", diff)
			}
			if n, _, _ := unstructured.NestedInt64(live.Object, "spec", "minReplicas"); n != 1 || len(live.GetAnnotations()) > 0 {
				t.Errorf("minReplicas is %d, annotations are %v; want the default and none", n, live.GetAnnotations())
			}
		})
	}
}

// Somebody else may write between the look at managedFields and the takeover.
func TestTakeoverOfAnObjectThatChanges(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	obj := c.created("kubectl-create", theirs)
	n := 0
	c.before = func(req *http.Request) error {
		if req.Header.Get("Content-Type") == string(types.JSONPatchType) && n < 2 {
			n++
			c.Patch(obj, "tool", fmt.Sprintf("data: {tool: %q}", fmt.Sprint(n)))
		}
		return nil
	}
	git := c.read(wanted)[0]
	c.apply(apply.Request{}, git)
	live := c.live(git)
	data, _, _ := unstructured.NestedStringMap(live.Object, "data")
	if diff := cmp.Diff(map[string]string{"key": "value", "tool": "2"}, data); diff != "" {
		t.Errorf("data differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"engine Apply", "tool Update"}, owners(live)); diff != "" {
		t.Errorf("owners differ (-want +got):\n%s", diff)
	}
}

// Wherever the connection breaks, the next run finishes the takeover.
func TestTakeoverWithoutConnection(t *testing.T) {
	t.Parallel()
	for name, cut := range cuts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			for k := int64(1); ; k++ {
				c.restart()
				rename := strings.NewReplacer("name: a", fmt.Sprint("name: a-", k))
				c.created("kubectl-create", rename.Replace(theirs))
				git := c.read(rename.Replace(wanted))[0]
				p := c.plan(git)
				n := cut(c, k)
				_, err := c.engine.Apply(t.Context(), p, apply.Request{})
				c.mend()
				if done := n.Load() < k; done == (err != nil) {
					t.Errorf("cut at request %d, Apply() fails by %v", k, err)
				} else if done {
					return
				}
				c.restart()
				c.apply(apply.Request{}, git)
				live := c.live(git)
				if data, _, _ := unstructured.NestedStringMap(live.Object, "data"); len(data) != 1 || len(owners(live)) != 1 {
					t.Errorf("cut at request %d, the object has %v of %q", k, data, owners(live))
				}
			}
		})
	}
}

// What kubectl made of the same manifest stays as it is, with all that the API server
// has added: defaults, addresses, labels.
func TestTakeoverOfTheSameContent(t *testing.T) {
	t.Parallel()
	const pods = "template: {metadata: {labels: {a: b}}, spec: {nodeSelector: {no: where}, restartPolicy: RESTART, containers: [{name: a, image: a, ports: [{containerPort: 80, protocol: TCP}]}]}}"
	tests := map[string]string{
		"Namespace":   "{apiVersion: v1, kind: Namespace, metadata: {name: NS-more}}",
		"Service":     "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: NS}, spec: {type: NodePort, selector: {a: b}, ports: [{port: 80, protocol: TCP}]}}",
		"headless":    "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: NS}, spec: {clusterIP: None, selector: {a: b}, ports: [{port: 80, protocol: TCP}]}}",
		"Deployment":  "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: NS}, spec: {selector: {matchLabels: {a: b}}, " + strings.Replace(pods, "RESTART", "Always", 1) + "}}",
		"StatefulSet": "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, namespace: NS}, spec: {serviceName: a, replicas: 0, selector: {matchLabels: {a: b}}, " + strings.Replace(pods, "RESTART", "Always", 1) + "}}",
		"Job":         "{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: NS}, spec: {suspend: true, " + strings.Replace(pods, "RESTART", "Never", 1) + "}}",
		"claim":       "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: NS}, spec: {storageClassName: none, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
		"Secret":      "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}, data: {a: Yg==}}",
		"Role":        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: a, namespace: NS}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}",
		"Ingress":     "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a, namespace: NS}, spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}}",
		"definition":  definition(""),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			before := c.live(c.created("kubectl-client-side-apply", text))
			git := c.read(text)[0]
			c.apply(apply.Request{}, git)
			now := c.live(git)
			got := slices.DeleteFunc(owners(now), func(owner string) bool { return !strings.Contains(owner, "kubectl") })
			if len(got) > 0 {
				t.Errorf("%q own some of it", got)
			}
			for _, part := range []string{"spec", "data", "rules"} {
				if diff := cmp.Diff(before.Object[part], now.Object[part]); diff != "" {
					t.Errorf("its %s has changed (-before +now):\n%s", part, diff)
				}
			}
			if diff := cmp.Diff(before.GetLabels(), now.GetLabels()); diff != "" {
				t.Errorf("its labels have changed (-before +now):\n%s", diff)
			}
		})
	}
}
