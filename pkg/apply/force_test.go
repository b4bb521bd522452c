package apply_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/testplane"
)

// immutables are objects, and changes of them that no API server makes in place.
func immutables() map[string]struct{ from, to string } {
	workload := func(apiVersion, kind, spec string) string {
		return "{apiVersion: " + apiVersion + ", kind: " + kind + ", metadata: {name: a, namespace: NS}, spec: {" + spec + "}}"
	}
	pods := func(app string) string {
		return "selector: {matchLabels: {app: " + app + "}}, template: {metadata: {labels: {app: " + app + "}}, spec: {nodeSelector: {no: where}, containers: [{name: a, image: a}]}}"
	}
	claims := func(size string) string {
		return ", volumeClaimTemplates: [{metadata: {name: d}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: " + size + "}}}}]"
	}
	job := func(image string) string {
		return "suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: a, image: " + image + "}]}}"
	}
	binding := func(role string) string {
		return "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: " + role + "}}"
	}
	claim := func(mode string) string {
		return "accessModes: [" + mode + "], storageClassName: none, resources: {requests: {storage: 1Gi}}"
	}
	class := func(more string) string {
		return "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: NS}, provisioner: example.com/none" + more + "}"
	}
	attributes := func(value string) string {
		return "{apiVersion: storage.k8s.io/v1, kind: VolumeAttributesClass, metadata: {name: NS}, driverName: example.com/none, parameters: {a: " + value + "}}"
	}
	frozen := func(kind, field, value string) string {
		return "{apiVersion: v1, kind: " + kind + ", metadata: {name: a, namespace: NS}, immutable: true, " + field + ": {key: " + value + "}}"
	}
	return map[string]struct{ from, to string }{
		"immutable ConfigMap":          {from: frozen("ConfigMap", "data", "a"), to: frozen("ConfigMap", "data", "b")},
		"immutable Secret":             {from: frozen("Secret", "data", "YQ=="), to: frozen("Secret", "data", "Yg==")},
		"type of a Secret":             {from: "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}}", to: "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}, type: example.com/x}"},
		"address of a Service":         {from: workload("v1", "Service", "ports: [{port: 80}]"), to: workload("v1", "Service", "clusterIP: None, ports: [{port: 80}]")},
		"selector of a Deployment":     {from: workload("apps/v1", "Deployment", "replicas: 0, "+pods("a")), to: workload("apps/v1", "Deployment", "replicas: 0, "+pods("b"))},
		"selector of a DaemonSet":      {from: workload("apps/v1", "DaemonSet", pods("a")), to: workload("apps/v1", "DaemonSet", pods("b"))},
		"claims of a StatefulSet":      {from: workload("apps/v1", "StatefulSet", "replicas: 0, "+pods("a")+claims("1Gi")), to: workload("apps/v1", "StatefulSet", "replicas: 0, "+pods("a")+claims("2Gi"))},
		"template of a Job":            {from: workload("batch/v1", "Job", job("a")), to: workload("batch/v1", "Job", job("b"))},
		"role of a RoleBinding":        {from: binding("view"), to: binding("edit")},
		"mode of a claim":              {from: workload("v1", "PersistentVolumeClaim", claim("ReadWriteOnce")), to: workload("v1", "PersistentVolumeClaim", claim("ReadWriteMany"))},
		"scopes of a quota":            {from: workload("v1", "ResourceQuota", "hard: {pods: 9}"), to: workload("v1", "ResourceQuota", "hard: {pods: 9}, scopes: [BestEffort]")},
		"parameters of a StorageClass": {from: class(""), to: class(", parameters: {a: b}")},
		"reclaim of a StorageClass":    {from: class(""), to: class(", reclaimPolicy: Retain")},
		"parameters of a volume class": {from: attributes("a"), to: attributes("b")},
	}
}

// What cannot be changed in place is deleted and created anew, if that is asked for.
func TestForce(t *testing.T) {
	t.Parallel()
	for name, tc := range immutables() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			from, to := c.read(tc.from)[0], c.read(tc.to)[0]
			c.apply(apply.Request{}, from)
			before := c.live(from)

			if err := c.refused(apply.Request{}, to); !strings.Contains(err, " apply failed (Invalid): ") {
				t.Errorf("without Force, Apply() fails by %s", err)
			}
			if c.live(from).GetUID() != before.GetUID() {
				t.Fatal("the object was recreated without Force")
			}
			changes := c.apply(apply.Request{Force: true}, to)
			after := c.live(to)
			if changes[0].Effect != apply.Recreated || after == nil || after.GetUID() == before.GetUID() {
				t.Errorf("with Force, the object is %s", changes[0].Effect)
			}
			if changes[0].Live.GetUID() != after.GetUID() || !c.plan(to).Idle() {
				t.Error("the tracker was not told of the new object")
			}
		})
	}
}

func TestForceOfACustomResource(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	widget := func(fixed string) string {
		return "{apiVersion: NS.example.com/v1, kind: Widget, metadata: {name: w, namespace: NS}, spec: {fixed: " + fixed + "}}"
	}
	c.apply(apply.Request{}, c.read(definition("")+"---\n"+widget("a"))...)
	from, to := c.read(widget("a"))[0], c.read(widget("b"))[0]
	before := c.live(from)
	if err := c.refused(apply.Request{}, to); !strings.HasSuffix(err, "Value is immutable") {
		t.Errorf("without Force, Apply() fails by %s", err)
	}
	if got := c.apply(apply.Request{Force: true}, to)[0].Effect; got != apply.Recreated || c.live(to).GetUID() == before.GetUID() {
		t.Errorf("with Force, the widget is %s", got)
	}
}

// By far not everything that is refused would be accepted as a new object.
func TestForceDeletesNothingInVain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ why, from, to string }{
		"key that is none": {
			why:  "it is invalid, new or not",
			from: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}}",
			to:   "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {no/key: x}}",
		},
		"label that is none": {
			why:  "it is invalid, new or not",
			from: "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: NS}}",
			to:   "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: NS, labels: {a: 'no label'}}}",
		},
		"value of another type": {
			why:  "the API server does not even look at the rules",
			from: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}}",
			to:   "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {x: 1}}",
		},
		"field that is none": {
			why:  "the API server does not even look at the rules",
			from: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}}",
			to:   "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, immutible: true}",
		},
		"value that is none": {
			why:  "it is invalid, new or not",
			from: "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: NS}, spec: {ports: [{port: 80}]}}",
			to:   "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: NS}, spec: {type: Nonsense, ports: [{port: 80}]}}",
		},
		"version of the object": {
			why:  "the manifest is a copy of the live object, which has changed",
			from: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}}",
			to:   "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, resourceVersion: '1'}, data: {x: y}}",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			from, to := c.read(tc.from)[0], c.read(tc.to)[0]
			c.apply(apply.Request{}, from)
			before := c.live(from)
			for _, others := range []int{0, 1} { // alone, and in a stage that is validated
				objs := append(c.configMaps("other")[:others], to)
				err := c.refused(apply.Request{Force: true}, objs...)
				if after := c.live(from); after == nil || after.GetUID() != before.GetUID() {
					t.Fatalf("the object was deleted because of %s (%s)", err, tc.why)
				}
				if n := c.Traffic.Count(func(r testplane.Request) bool { return r.Method == http.MethodDelete }); n != 0 {
					t.Errorf("%d deletions were asked for: %q (%s)", n, c.requests(), tc.why)
				}
			}
		})
	}
}

// An object is deleted only if everything else of its stage is valid.
func TestForceWaitsForTheStage(t *testing.T) {
	t.Parallel()
	frozen := func(value string) string {
		return "{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: NS}, immutable: true, data: {key: " + value + "}}"
	}
	for _, other := range []string{"a", "z"} { // before and behind the object
		for _, annotation := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s annotation=%t", other, annotation), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t)
				from, to := c.read(frozen("a"))[0], c.read(frozen("b"))[0]
				if annotation {
					annotated(to, keyForce, "enabled")
				}
				req := apply.Request{Force: !annotation}
				c.apply(apply.Request{}, from)
				before := c.live(from)

				neighbour := c.configMaps(other)[0]
				neighbour.Object["data"] = map[string]any{"no/key": "x"}
				err := c.refused(req, to, neighbour)
				if strings.Contains(err, "immutable") || !strings.Contains(err, "no/key") {
					t.Errorf("Apply() fails by %s, want the neighbour's mistake alone", err)
				}
				if after := c.live(from); after == nil || after.GetUID() != before.GetUID() {
					t.Fatal("the object was deleted though its stage is invalid")
				}
				neighbour.Object["data"] = map[string]any{"key": "x"}
				got := effects(c.apply(req, to, neighbour))
				want := []string{"m recreated", other + " created"}
				slices.Sort(got)
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("effects differ (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// An object may ask to be recreated by itself.
func TestForceByTheObject(t *testing.T) {
	t.Parallel()
	for place, set := range places() {
		for _, value := range []string{"enabled", "Enabled", "disabled", ""} {
			t.Run(place+" "+value, func(t *testing.T) {
				t.Parallel()
				c := newCluster(t)
				frozen := func(name, value string) string {
					return "{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + ", namespace: NS}, immutable: true, data: {key: " + value + "}}"
				}
				c.apply(apply.Request{}, c.read(frozen("asks", "a")+"\n---\n"+frozen("does-not", "a"))...)
				asks, doesNot := c.read(frozen("asks", "b"))[0], c.read(frozen("does-not", "b"))[0]
				before := c.live(asks)
				labels := asks.GetLabels()
				if place != "label" {
					labels = map[string]string{}
				}
				labels[keyForce] = value
				set(asks, labels)
				if !strings.EqualFold(value, "enabled") {
					c.refused(apply.Request{}, asks)
					if c.live(asks).GetUID() != before.GetUID() {
						t.Error("the object was recreated")
					}
					return
				}
				c.refused(apply.Request{}, asks, doesNot)
				if c.live(asks).GetUID() != before.GetUID() {
					t.Error("the object was recreated though its stage is invalid")
				}
				if got := c.apply(apply.Request{}, asks)[0].Effect; got != apply.Recreated {
					t.Errorf("the object is %s, want recreated", got)
				}
			})
		}
	}
}

// An object that is gone already, or goes by itself meanwhile, is simply created.
func TestForceOfWhatIsGone(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	frozen := func(value string) string {
		return "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, immutable: true, data: {key: " + value + "}}"
	}
	from, to := c.read(frozen("a"))[0], c.read(frozen("b"))[0]
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		c.apply(apply.Request{Force: true}, from)
		once := true
		c.before = func(req *http.Request) error {
			if req.Method == method && once {
				once = false
				return c.Client.Delete(t.Context(), from.DeepCopy())
			}
			return nil
		}
		if got := c.apply(apply.Request{Force: true}, to)[0].Effect; got != apply.Recreated || once {
			t.Errorf("the object, gone before %s, is %s", method, got)
		}
		c.before = nil
	}
}

// Another object of the same name, made between look and delete, is not ours to
// delete without having been looked at.
func TestForceDeletesWhatItSaw(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	frozen := func(value string) string {
		return "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, immutable: true, data: {key: " + value + "}}"
	}
	from, to := c.read(frozen("a"))[0], c.read(frozen("b"))[0]
	c.apply(apply.Request{}, from)
	other := from.DeepCopy()
	c.before = func(req *http.Request) error {
		if req.Method != http.MethodDelete {
			return nil
		}
		c.before = nil
		if err := c.Client.Delete(t.Context(), from.DeepCopy()); err != nil {
			return err
		}
		return c.Client.Create(t.Context(), other)
	}
	c.refused(apply.Request{Force: true}, to)
	if live := c.live(to); live == nil || live.GetUID() != other.GetUID() {
		t.Error("the other object is gone")
	}
}
