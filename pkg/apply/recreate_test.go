package apply_test

import (
	"testing"

	"weir.dev/pkg/apply"
)

// TestForceKnowsEveryRefusal: the API server says in many ways that it never makes a
// change in place.
func TestForceKnowsEveryRefusal(t *testing.T) {
	t.Parallel()
	class := func(value string) string {
		return "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: NS}, value: " + value + "}"
	}
	pod := func(more string) string {
		return "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: NS}, spec: {containers: [{name: a, image: a}]" + more + "}}"
	}
	for name, tc := range map[string]struct{ from, to string }{
		"value of a PriorityClass": {from: class("10"), to: class("11")},
		"network of a Pod":         {from: pod(""), to: pod(", hostNetwork: true")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			from, to := c.read(tc.from)[0], c.read(tc.to)[0]
			c.apply(apply.Request{}, from)
			if got := c.apply(apply.Request{Force: true}, to)[0].Effect; got != apply.Recreated {
				t.Errorf("with Force, the object is %s", got)
			}
		})
	}
}

// TestForceDeletesNothingThatCannotComeBack: what is wrong with the change would be
// wrong with a new object.
func TestForceDeletesNothingThatCannotComeBack(t *testing.T) {
	t.Parallel()
	deployment := func(selector, label string) string {
		return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: NS}, spec: {replicas: 0, selector: {matchLabels: {app: " + selector + "}}, template: {metadata: {labels: {app: " + label + "}}, spec: {containers: [{name: a, image: a}]}}}}"
	}
	for name, tc := range map[string]struct{ why, from, to string }{
		"immutable and invalid": {
			why:  "as a new object it would be refused as well, and then nothing is left",
			from: deployment("a", "a"), to: deployment("b", "a"),
		},
		"immutable Secret and invalid": {
			why:  "as a new object it would be refused as well",
			from: "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}}",
			to:   "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}, type: kubernetes.io/ssh-auth, data: {x: aHVudGVy}}",
		},
		"called immutable": {
			why:  "a name says nothing",
			from: "{apiVersion: v1, kind: ConfigMap, metadata: {name: immutable, namespace: NS}}",
			to:   "{apiVersion: v1, kind: ConfigMap, metadata: {name: immutable, namespace: NS}, data: {no/key: x}}",
		},
		"value that says immutable": {
			why:  "a value says nothing",
			from: "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: NS}, spec: {ports: [{port: 80}]}}",
			to:   "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: NS}, spec: {type: Immutable, ports: [{port: 80}]}}",
		},
		"value that talks of immutable": {
			why:  "a value says nothing",
			from: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}}",
			to:   "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {'x: immutable/y': x}}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			from, to := c.read(tc.from)[0], c.read(tc.to)[0]
			c.apply(apply.Request{}, from)
			before := c.live(from)
			err := c.refused(apply.Request{Force: true}, to)
			if after := c.live(from); after == nil || after.GetUID() != before.GetUID() {
				t.Fatalf("the object was deleted because of %s (%s)", err, tc.why)
			}
		})
	}
}

// What a policy denies is denied to a new object, too.
func TestForceAgainstPolicy(t *testing.T) {
	t.Parallel()
	for message, reason := range map[string]string{
		"images must be immutable, use a digest": "Invalid",
		"updates to this object are forbidden":   "Forbidden",
		"it is just not allowed":                 "Invalid",
	} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			obj := c.configMaps("a")[0]
			c.apply(apply.Request{}, obj)
			before := c.live(obj)
			for _, p := range c.read(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NS}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  validations: [{expression: "!has(object.data.deny)", message: "` + message + `", reason: ` + reason + `}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NS}
spec: {policyName: NS, validationActions: [Deny]}
`) {
				c.Create(p)
			}
			probe := configMap(c.Namespace, "probe", "x")
			probe.Object["data"] = map[string]any{"deny": "x"}
			c.Eventually("the policy is in force", func() bool {
				err := c.Client.Create(t.Context(), probe.DeepCopy())
				if err == nil {
					_ = c.Client.Delete(t.Context(), probe.DeepCopy())
				}
				return err != nil
			})
			bad := obj.DeepCopy()
			bad.Object["data"] = map[string]any{"deny": "x"}
			err := c.refused(apply.Request{Force: true}, bad)
			if after := c.live(obj); after == nil || after.GetUID() != before.GetUID() {
				t.Fatalf("the object was deleted because of %s", err)
			}
		})
	}
}
