package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/manifest"
)

func TestNormalise(t *testing.T) {
	tests := map[string]struct{ why, in, want string }{
		"a Deployment gets what its Go type writes": {
			why:  "Flux owns f:strategy, f:resources and f:protocol",
			in:   `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, creationTimestamp: null}, spec: {selector: {}, template: {metadata: {creationTimestamp: null}, spec: {containers: [{name: a, ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP}]}]}}}, status: {replicas: 2}}`,
			want: `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {selector: {}, strategy: {}, template: {metadata: {}, spec: {containers: [{name: a, resources: {}, ports: [{containerPort: 80, protocol: TCP}, {containerPort: 53, protocol: UDP}]}]}}}}`,
		},
		"ports of a CronJob": {
			why:  "its Pods are three levels down",
			in:   `{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {initContainers: [{name: i, ports: [{containerPort: 1}]}], containers: []}}}}}}`,
			want: `{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {schedule: "@daily", jobTemplate: {metadata: {}, spec: {template: {metadata: {}, spec: {initContainers: [{name: i, resources: {}, ports: [{containerPort: 1, protocol: TCP}]}], containers: []}}}}}}`,
		},
		"ports of a Service": {
			why:  "the protocol is part of the key of a port",
			in:   `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80, targetPort: web}]}}`,
			want: `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80, targetPort: web, protocol: TCP}]}}`,
		},
		"stringData wins over data": {
			why:  "as in the API server",
			in:   `{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {a: b2xk, b: eA==}, stringData: {a: new}}`,
			want: `{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {a: bmV3, b: eA==}}`,
		},
		"a Secret that is refused anyway": {
			why:  "the API server says what is wrong with it",
			in:   `{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {a: 1}}`,
			want: `{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {a: 1}}`,
		},
		"a field that the Go type does not know": {
			why:  "a typo must reach the API server, and so must a field of a newer one",
			in:   `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicsa: 2}}`,
			want: `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicsa: 2}}`,
		},
		"rules of a ClusterRole": {
			why:  "its Go type writes null for none",
			in:   `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a}, aggregationRule: {}}`,
			want: `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a}, aggregationRule: {}}`,
		},
		"a custom resource": {
			why:  "only its status goes",
			in:   `{apiVersion: example.com/v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}], x: null}, status: {a: b}}`,
			want: `{apiVersion: example.com/v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}], x: null}}`,
		},
		"a definition keeps its status": {
			why:  "as Flux does",
			in:   `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}, status: {storedVersions: [v1]}}`,
			want: `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}, status: {storedVersions: [v1]}}`,
		},
		"ports that are no list": {
			why:  "nothing here may panic",
			in:   `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: {port: 80}}}`,
			want: `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: {port: 80}}}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			in := read(t, tc.in)
			untouched := in.DeepCopy()
			if diff := cmp.Diff(read(t, tc.want).Object, manifest.Normalise(in).Object); diff != "" {
				t.Errorf("Normalise() differs (-want +got), %s:\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(untouched.Object, in.Object); diff != "" {
				t.Errorf("the argument was changed:\n%s", diff)
			}
		})
	}
}

func read(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return obj
}
