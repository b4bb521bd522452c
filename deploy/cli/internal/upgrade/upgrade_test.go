package upgrade_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/upgrade"
)

// newest is what the tests take for the newest versions.
func newest(gk schema.GroupKind) string {
	return map[string]string{
		"Kustomization.kustomize.toolkit.fluxcd.io": "v1", "HelmRelease.helm.toolkit.fluxcd.io": "v2",
		"GitRepository.source.toolkit.fluxcd.io": "v1", "Alert.notification.toolkit.fluxcd.io": "v1beta3",
	}[gk.String()]
}

// TestFile: each line of a file is as it was, but for versions.
func TestFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ why, file, want, says string }{
		"an object": {
			file: "# ours\napiVersion: kustomize.toolkit.fluxcd.io/v1beta2 # old\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\n",
			want: "# ours\napiVersion: kustomize.toolkit.fluxcd.io/v1 # old\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\n",
			says: "2 Kustomization/flux-system/apps kustomize.toolkit.fluxcd.io/v1beta2 -> v1",
		},
		"of another group": {
			why: "a Kustomization of kustomize has another version", file: "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", want: "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
		},
		"newest, and newer": {
			file: "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n---\napiVersion: helm.toolkit.fluxcd.io/v3alpha1\nkind: HelmRelease\n---\napiVersion: helm.toolkit.fluxcd.io/mine\nkind: HelmRelease\n",
			want: "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n---\napiVersion: helm.toolkit.fluxcd.io/v3alpha1\nkind: HelmRelease\n---\napiVersion: helm.toolkit.fluxcd.io/mine\nkind: HelmRelease\n",
		},
		"quotes, and ends of lines of another system": {
			file: "kind: HelmRelease\r\napiVersion: \"helm.toolkit.fluxcd.io/v2beta1\"\r\nmetadata:\r\n  name: 'ä'\r\n",
			want: "kind: HelmRelease\r\napiVersion: \"helm.toolkit.fluxcd.io/v2\"\r\nmetadata:\r\n  name: 'ä'\r\n",
			says: "2 HelmRelease/ä helm.toolkit.fluxcd.io/v2beta1 -> v2",
		},
		"several, and a list": {
			file: "---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: helm.toolkit.fluxcd.io/v2beta2\n  kind: HelmRelease\n  metadata: {name: a}\n---\n{apiVersion: helm.toolkit.fluxcd.io/v2beta2, kind: HelmRelease}\n...\n",
			want: "---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: helm.toolkit.fluxcd.io/v2\n  kind: HelmRelease\n  metadata: {name: a}\n---\n{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease}\n...\n",
			says: "5 HelmRelease/a helm.toolkit.fluxcd.io/v2beta2 -> v2\n9 HelmRelease helm.toolkit.fluxcd.io/v2beta2 -> v2",
		},
		"a reference": {
			why:  "the object that it is about has the new version, too",
			file: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  healthChecks: [{apiVersion: helm.toolkit.fluxcd.io/v2beta1, kind: HelmRelease, name: db, namespace: db}, {apiVersion: apps/v1, kind: Deployment}]\n",
			want: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  healthChecks: [{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, name: db, namespace: db}, {apiVersion: apps/v1, kind: Deployment}]\n",
			says: "4 HelmRelease/db/db helm.toolkit.fluxcd.io/v2beta1 -> v2",
		},
		"patches": {
			why: "they would apply to nothing",
			file: `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
patches:
- target: {group: helm.toolkit.fluxcd.io, version: v2beta1, kind: HelmRelease}
  patch: |
    # more
    apiVersion: helm.toolkit.fluxcd.io/v2beta1
    kind: HelmRelease
    metadata: {name: a}
patchesStrategicMerge:
- |-
  apiVersion: helm.toolkit.fluxcd.io/v2beta1
  kind: HelmRelease
- app.yaml
`,
			want: `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
patches:
- target: {group: helm.toolkit.fluxcd.io, version: v2, kind: HelmRelease}
  patch: |
    # more
    apiVersion: helm.toolkit.fluxcd.io/v2
    kind: HelmRelease
    metadata: {name: a}
patchesStrategicMerge:
- |-
  apiVersion: helm.toolkit.fluxcd.io/v2
  kind: HelmRelease
- app.yaml
`,
			says: "4 HelmRelease helm.toolkit.fluxcd.io/v2beta1 -> v2\n7 HelmRelease/a helm.toolkit.fluxcd.io/v2beta1 -> v2\n12 HelmRelease helm.toolkit.fluxcd.io/v2beta1 -> v2",
		},
		"data": {
			why:  "what a ConfigMap has is not ours to change",
			file: "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.yaml: |\n    apiVersion: helm.toolkit.fluxcd.io/v2beta1\n    kind: HelmRelease\n",
			want: "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.yaml: |\n    apiVersion: helm.toolkit.fluxcd.io/v2beta1\n    kind: HelmRelease\n",
		},
		"nothing": {},
	}
	for name, tc := range tests {
		got, changes, err := upgrade.File([]byte(tc.file), newest)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got): %s\n%s", name, tc.why, diff)
		}
		if diff := cmp.Diff(tc.says, told(changes)); diff != "" {
			t.Errorf("%s tells (-want +got):\n%s", name, diff)
		}
		again, changes, err := upgrade.File(got, newest)
		if string(again) != string(got) || len(changes) > 0 || err != nil {
			t.Errorf("%s: the second time there are %d changes, %v", name, len(changes), err)
		}
	}
}

// told is what changes tell, a line each.
func told(changes []upgrade.Change) string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, fmt.Sprintf("%d %s", c.Line, c))
	}
	return strings.Join(lines, "\n")
}

// TestTemplate: nothing is changed in what cannot be read to its end.
func TestTemplate(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"apiVersion: helm.toolkit.fluxcd.io/v2beta1\nkind: HelmRelease\n---\n{{- if .Values.x }}\na: b\n{{- end }}\n", "a: [", "\tx"} {
		if got, changes, err := upgrade.File([]byte(bad), newest); err == nil || got != nil || changes != nil {
			t.Errorf("of %q it makes %q, and no error", bad, got)
		}
	}
}

// TestLost: somebody has to say in another way what the new version has no field for.
func TestLost(t *testing.T) {
	t.Parallel()
	types, err := session.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	_, changes, err := upgrade.File([]byte(`apiVersion: kustomize.toolkit.fluxcd.io/v1beta2
kind: Kustomization
metadata: {name: apps}
spec: {prune: true, validation: client, sourceRef: {kind: GitRepository, name: fleet}, postBuild: {substituteForm: []}}
---
apiVersion: notification.toolkit.fluxcd.io/v1beta1
kind: Alert
spec: {summary: x}
`), newest)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	if diff := cmp.Diff([]string{"spec.postBuild.substituteForm", "spec.validation"}, changes[0].Lost(types)); diff != "" {
		t.Errorf("fields that are lost (-want +got):\n%s", diff)
	}
	if lost := changes[1].Lost(types); lost != nil {
		t.Errorf("of a kind that nobody knows here, %v are lost", lost)
	}
}
