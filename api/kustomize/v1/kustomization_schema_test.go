package v1_test

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/api/internal/crdtest"
	kustomizev1 "weir.dev/api/kustomize/v1"
)

const (
	kustomizationCRD  = "../../../deploy/crds/kustomize.toolkit.fluxcd.io_kustomizations.yaml"
	kustomizationFull = "testdata/kustomization-full.yaml"
)

func TestKustomizationDefinition(t *testing.T) {
	want := &apiextensionsv1.CustomResourceDefinition{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        "kustomizations.kustomize.toolkit.fluxcd.io",
			Annotations: map[string]string{kustomizev1.KeySubstitute: kustomizev1.ValueDisabled},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: kustomizev1.GroupName,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Kind:       kustomizev1.KustomizationKind,
				ListKind:   "KustomizationList",
				Plural:     "kustomizations",
				Singular:   "kustomization",
				ShortNames: []string{"ks"},
				Categories: []string{"all", "fluxcd", "fluxcd-appliers"},
			},
			Scope: apiextensionsv1.NamespaceScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name:         "v1",
				Served:       true,
				Storage:      true,
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{
					{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"},
					{Name: "Ready", Type: "string", JSONPath: `.status.conditions[?(@.type=="Ready")].status`},
					{Name: "Status", Type: "string", JSONPath: `.status.conditions[?(@.type=="Ready")].message`},
				},
			}},
		},
	}
	d := crdtest.Load(t, kustomizationCRD)
	if diff := cmp.Diff(want, d.Surface()); diff != "" {
		t.Errorf("definition (-want +got):\n%s", diff)
	}
	if fields := d.Undocumented(); len(fields) > 0 {
		t.Errorf("fields without a description: %v", fields)
	}
}

func TestKustomizationFields(t *testing.T) {
	d := crdtest.Load(t, kustomizationCRD)
	objects := crdtest.Read(t, kustomizationFull)
	d.CheckFields(t, objects...)
	for _, obj := range objects {
		crdtest.CheckRoundTrip[kustomizev1.Kustomization](t, d, obj)
	}
}

func TestKustomizationTakesRecordedObjects(t *testing.T) {
	d := crdtest.Load(t, kustomizationCRD)
	paths, err := filepath.Glob("testdata/recorded/kustomization-*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("recorded objects: %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, obj := range crdtest.Read(t, path) {
				crdtest.CheckRoundTrip[kustomizev1.Kustomization](t, d, obj)
			}
		})
	}
}

func TestKustomizationDefaults(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   string
		want string
	}{
		"fills in a minimal object": {
			why:  "observedGeneration -1 tells that the controller has not seen the object yet",
			in:   `{spec: {sourceRef: {kind: GitRepository, name: fleet}, interval: 10m, prune: true}}`,
			want: `{spec: {sourceRef: {kind: GitRepository, name: fleet}, interval: 10m, prune: true, force: false}, status: {observedGeneration: -1}}`,
		},
		"needs what variables come from": {
			why:  "a missing ConfigMap is an error unless the user says otherwise",
			in:   `{spec: {postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}}}`,
			want: `{spec: {force: false, postBuild: {substituteFrom: [{kind: ConfigMap, name: vars, optional: false}]}}, status: {observedGeneration: -1}}`,
		},
		"leaves a status as it is": {
			why:  "the default is for the whole status",
			in:   `{spec: {force: true}, status: {}}`,
			want: `{spec: {force: true}, status: {}}`,
		},
	}
	d := crdtest.Load(t, kustomizationCRD)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := crdtest.Parse(t, tc.in)
			d.Default(got)
			if diff := cmp.Diff(crdtest.Parse(t, tc.want), got); diff != "" {
				t.Errorf("defaulted %s (-want +got), %s:\n%s", tc.in, tc.why, diff)
			}
		})
	}
}

func TestKustomizationValidation(t *testing.T) {
	const oneCluster = "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified"
	rows := map[string]crdtest.Row{
		"spec.sourceRef required": {Refuse: []string{"spec: {sourceRef: null}"}},
		"spec.sourceRef.kind enum": {
			Accept: []string{
				"spec: {sourceRef: {kind: OCIRepository}}", "spec: {sourceRef: {kind: GitRepository}}",
				"spec: {sourceRef: {kind: Bucket}}", "spec: {sourceRef: {kind: ExternalArtifact}}",
			},
			Refuse: []string{"spec: {sourceRef: {kind: HelmRepository}}", `spec: {sourceRef: {kind: ""}}`},
		},
		"spec.sourceRef.kind required": {Refuse: []string{"spec: {sourceRef: {kind: null}}"}},
		"spec.sourceRef.name required": {
			Accept: []string{"spec: {sourceRef: {apiVersion: null, namespace: null}}"},
			Refuse: []string{"spec: {sourceRef: {name: null}}"},
		},
		"spec.interval required": {Refuse: []string{"spec: {interval: null}"}},
		"spec.prune required": {
			Why:    "deleting objects is for the user to decide",
			Accept: []string{"spec: {prune: false}"},
			Refuse: []string{"spec: {prune: null}"},
		},
		"spec.deletionPolicy enum": {
			Accept: []string{
				"spec: {deletionPolicy: MirrorPrune}", "spec: {deletionPolicy: Delete}",
				"spec: {deletionPolicy: WaitForTermination}", "spec: {deletionPolicy: Orphan}",
			},
			Refuse: []string{"spec: {deletionPolicy: orphan}", "spec: {deletionPolicy: Keep}", `spec: {deletionPolicy: ""}`},
		},
		"spec.ignore[].paths required": {
			Accept: []string{"spec: {ignore: [{target: null}]}"},
			Refuse: []string{"spec: {ignore: [{paths: null}]}"},
		},
		"spec.dependsOn[].name required": {
			Accept: []string{"spec: {dependsOn: [{namespace: null, readyExpr: null}]}"},
			Refuse: []string{"spec: {dependsOn: [{name: null}]}"},
		},
		"spec.healthChecks[].kind required": {Refuse: []string{"spec: {healthChecks: [{kind: null}]}"}},
		"spec.healthChecks[].name required": {
			Accept: []string{"spec: {healthChecks: [{apiVersion: null, namespace: null}]}"},
			Refuse: []string{"spec: {healthChecks: [{name: null}]}"},
		},
		"spec.healthCheckExprs[].apiVersion required": {Refuse: []string{"spec: {healthCheckExprs: [{apiVersion: null}]}"}},
		"spec.healthCheckExprs[].current required": {
			Why:    "without a kind, all kinds of the API version are meant",
			Accept: []string{"spec: {healthCheckExprs: [{kind: null, inProgress: null, failed: null}]}"},
			Refuse: []string{"spec: {healthCheckExprs: [{current: null}]}"},
		},
		"spec.patches[].patch required": {
			Accept: []string{"spec: {patches: [{target: null}]}"},
			Refuse: []string{"spec: {patches: [{patch: null}]}"},
		},
		"spec.images[].name required": {
			Accept: []string{"spec: {images: [{newName: null, newTag: null, digest: null}]}"},
			Refuse: []string{"spec: {images: [{name: null}]}"},
		},
		"spec.buildMetadata[] enum": {
			Accept: []string{"spec: {buildMetadata: [transformerAnnotations]}", "spec: {buildMetadata: [originAnnotations, transformerAnnotations]}", "spec: {buildMetadata: []}"},
			Refuse: []string{"spec: {buildMetadata: [managedByLabel]}"},
		},
		"spec.postBuild.substituteStrategy enum": {
			Accept: []string{"spec: {postBuild: {substituteStrategy: WithVariables}}", "spec: {postBuild: {substituteStrategy: Always}}"},
			Refuse: []string{"spec: {postBuild: {substituteStrategy: Never}}", `spec: {postBuild: {substituteStrategy: ""}}`},
		},
		"spec.postBuild.substituteFrom[].kind enum": {
			Accept: []string{"spec: {postBuild: {substituteFrom: [{kind: Secret}]}}", "spec: {postBuild: {substituteFrom: [{kind: ConfigMap}]}}"},
			Refuse: []string{"spec: {postBuild: {substituteFrom: [{kind: secret}]}}"},
		},
		"spec.postBuild.substituteFrom[].kind required": {Refuse: []string{"spec: {postBuild: {substituteFrom: [{kind: null}]}}"}},
		"spec.postBuild.substituteFrom[].name required": {Refuse: []string{"spec: {postBuild: {substituteFrom: [{name: null}]}}"}},
		"spec.decryption.provider enum":                 {Accept: []string{"spec: {decryption: {provider: sops}}"}, Refuse: []string{"spec: {decryption: {provider: vault}}"}},
		"spec.decryption.provider required": {
			Accept: []string{"spec: {decryption: {secretRef: null, serviceAccountName: null}}"},
			Refuse: []string{"spec: {decryption: {provider: null}}"},
		},
		"spec.decryption.secretRef.name required": {Refuse: []string{"spec: {decryption: {secretRef: {name: null}}}"}},
		"spec.kubeConfig rule 0": {
			Accept:  []string{"spec: {kubeConfig: {secretRef: null, configMapRef: {name: remote}}}"},
			Refuse:  []string{"spec: {kubeConfig: {secretRef: null}}"},
			Message: oneCluster,
		},
		"spec.kubeConfig rule 1": {
			Accept:  []string{"spec: {kubeConfig: {configMapRef: null}}"},
			Refuse:  []string{"spec: {kubeConfig: {configMapRef: {name: remote}}}"},
			Message: oneCluster,
		},
		"spec.kubeConfig.secretRef.name required": {
			Accept: []string{"spec: {kubeConfig: {secretRef: {key: null}}}"},
			Refuse: []string{"spec: {kubeConfig: {secretRef: {name: null}}}"},
		},
		"spec.kubeConfig.configMapRef.name required": {
			Refuse: []string{"spec: {kubeConfig: {secretRef: null, configMapRef: {}}}"},
		},
		"status.inventory.entries required":      {Accept: []string{"status: {inventory: {entries: []}}"}, Refuse: []string{"status: {inventory: {entries: null}}"}},
		"status.inventory.entries[].id required": {Refuse: []string{"status: {inventory: {entries: [{id: null}]}}"}},
		"status.inventory.entries[].v required":  {Refuse: []string{"status: {inventory: {entries: [{v: null}]}}"}},
	}
	for _, name := range []string{"digest", "firstReconciled", "lastReconciled", "lastReconciledDuration", "lastReconciledStatus", "totalReconciliations"} {
		rows["status.history[]."+name+" required"] = crdtest.Row{Refuse: []string{"status: {history: [{" + name + ": null}]}"}}
	}
	for _, name := range []string{"firstReconciled", "lastReconciled"} {
		rows["status.history[]."+name+" format"] = crdtest.Row{
			Accept: []string{"status: {history: [{" + name + `: "2026-11-23T20:41:39Z"}]}`},
			Refuse: []string{"status: {history: [{" + name + ": 453ms}]}"},
		}
	}
	for _, name := range []string{"interval", "retryInterval", "timeout"} {
		rows["spec."+name+" pattern"] = durationRow(name)
	}
	maps.Copy(rows, lengthRows("spec.targetNamespace", 63, func(s string) string { return "spec: {targetNamespace: " + s + "}" }))
	maps.Copy(rows, lengthRows("spec.namePrefix", 200, func(s string) string { return "spec: {namePrefix: " + s + "}" }))
	maps.Copy(rows, lengthRows("spec.nameSuffix", 200, func(s string) string { return "spec: {nameSuffix: " + s + "}" }))
	maps.Copy(rows, lengthRows("spec.postBuild.substituteFrom[].name", 253, func(s string) string {
		return "spec: {postBuild: {substituteFrom: [{name: " + s + "}]}}"
	}))
	maps.Copy(rows, crdtest.ConditionRows())
	crdtest.Load(t, kustomizationCRD).Check(t, crdtest.Read(t, kustomizationFull)[0], rows)
}

func durationRow(name string) crdtest.Row {
	var row crdtest.Row
	for _, value := range []string{"10m", "1h30m", "0.5h", "500ms", "0s"} {
		row.Accept = append(row.Accept, "spec: {"+name+": "+value+"}")
	}
	for _, value := range []string{`"10"`, "-1m", "1d", `""`, "10 m"} {
		row.Refuse = append(row.Refuse, "spec: {"+name+": "+value+"}")
	}
	return row
}

// lengthRows returns the rows for a string at a path that has 1 to most characters.
func lengthRows(path string, most int, with func(value string) string) map[string]crdtest.Row {
	return map[string]crdtest.Row{
		path + " minLength": {Accept: []string{with("x")}, Refuse: []string{with(`""`)}},
		path + " maxLength": {Accept: []string{with(strings.Repeat("x", most))}, Refuse: []string{with(strings.Repeat("x", most+1))}},
	}
}
