package v2_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/api/internal/crdtest"
)

const (
	helmReleaseCRD  = "../../../deploy/crds/helm.toolkit.fluxcd.io_helmreleases.yaml"
	helmReleaseFull = "testdata/helmrelease-full.yaml"
)

func TestHelmReleaseDefinition(t *testing.T) {
	want := &apiextensionsv1.CustomResourceDefinition{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        "helmreleases.helm.toolkit.fluxcd.io",
			Annotations: map[string]string{"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: helmv2.GroupName,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Kind:       helmv2.HelmReleaseKind,
				ListKind:   "HelmReleaseList",
				Plural:     "helmreleases",
				Singular:   "helmrelease",
				ShortNames: []string{"hr"},
				Categories: []string{"all", "fluxcd", "fluxcd-appliers"},
			},
			Scope: apiextensionsv1.NamespaceScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name:         "v2",
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
	d := crdtest.Load(t, helmReleaseCRD)
	if diff := cmp.Diff(want, d.Surface()); diff != "" {
		t.Errorf("definition (-want +got):\n%s", diff)
	}
	if fields := d.Undocumented(); len(fields) > 0 {
		t.Errorf("fields without a description: %v", fields)
	}
}

func TestHelmReleaseFields(t *testing.T) {
	d := crdtest.Load(t, helmReleaseCRD)
	objects := crdtest.Read(t, helmReleaseFull)
	d.CheckFields(t, objects...)
	for _, obj := range objects {
		crdtest.CheckRoundTrip[helmv2.HelmRelease](t, d, obj)
	}
}

func TestHelmReleaseTakesRecordedObjects(t *testing.T) {
	d := crdtest.Load(t, helmReleaseCRD)
	paths, err := filepath.Glob("testdata/recorded/helmrelease-*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("recorded objects: %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, obj := range crdtest.Read(t, path) {
				crdtest.CheckRoundTrip[helmv2.HelmRelease](t, d, obj)
			}
		})
	}
}

func TestHelmReleaseDefaults(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   string
		want string
	}{
		"fills in a minimal object": {
			why: "observedGeneration -1 tells that the controller has not seen the object yet",
			in:  `{spec: {interval: 10m, chart: {spec: {chart: demo, sourceRef: {kind: HelmRepository, name: charts}}}}}`,
			want: `{spec: {interval: 10m, chart: {spec: {chart: demo, sourceRef: {kind: HelmRepository, name: charts},
			  version: "*", reconcileStrategy: ChartVersion}}}, status: {observedGeneration: -1}}`,
		},
		"fills in what is optional within": {
			in: `{spec: {chartRef: {kind: HelmChart, name: demo}, uninstall: {}, chart: {spec: {verify: {}}}}, status: {}}`,
			want: `{spec: {chartRef: {kind: HelmChart, name: demo}, uninstall: {deletionPropagation: background},
			  chart: {spec: {verify: {provider: cosign}, version: "*", reconcileStrategy: ChartVersion}}}, status: {}}`,
		},
		"leaves actions as they are": {
			why:  "their defaults depend on the controller, and on each other",
			in:   `{spec: {install: {}, upgrade: {remediation: {}}, test: {}, rollback: {}, driftDetection: {}}, status: {}}`,
			want: `{spec: {install: {}, upgrade: {remediation: {}}, test: {}, rollback: {}, driftDetection: {}}, status: {}}`,
		},
	}
	d := crdtest.Load(t, helmReleaseCRD)
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

// TestHelmReleaseValues keeps the constants and the values that the API server takes the
// same.
func TestHelmReleaseValues(t *testing.T) {
	strategies := values(helmv2.StrategyRemediateOnFailure, helmv2.StrategyRetryOnFailure)
	policies := values(helmv2.Skip, helmv2.Create, helmv2.CreateReplace)
	modes := values(helmv2.ServerSideApplyEnabled, helmv2.ServerSideApplyDisabled, helmv2.ServerSideApplyAuto)
	tests := map[string][]string{
		"spec.driftDetection.mode":             values(helmv2.DriftDetectionEnabled, helmv2.DriftDetectionWarn, helmv2.DriftDetectionDisabled),
		"spec.postRenderStrategy":              values(helmv2.PostRenderStrategyNoHooks, helmv2.PostRenderStrategyCombined, helmv2.PostRenderStrategySeparate),
		"spec.waitStrategy.name":               values(helmv2.WaitStrategyPoller, helmv2.WaitStrategyLegacy),
		"spec.install.crds":                    policies,
		"spec.install.strategy.name":           strategies,
		"spec.upgrade.crds":                    policies,
		"spec.upgrade.strategy.name":           strategies,
		"spec.upgrade.serverSideApply":         modes,
		"spec.upgrade.chartNameChangeStrategy": values(helmv2.ChartNameChangeInPlaceUpdate, helmv2.ChartNameChangeReinstall),
		"spec.upgrade.remediation.strategy":    values(helmv2.RollbackRemediationStrategy, helmv2.UninstallRemediationStrategy),
		"spec.rollback.serverSideApply":        modes,
		"status.lastAttemptedReleaseAction":    values(helmv2.ReleaseActionInstall, helmv2.ReleaseActionUpgrade),
		"spec.chart.spec.reconcileStrategy":    {"ChartVersion", "Revision"},
		"spec.uninstall.deletionPropagation":   {"background", "foreground", "orphan"},
		"spec.chart.spec.sourceRef.kind":       {"HelmRepository", "GitRepository", "Bucket"},
		"spec.chartRef.kind":                   {"OCIRepository", "HelmChart", "ExternalArtifact"},
		"spec.chart.spec.verify.provider":      {"cosign", "notation"},
	}
	d := crdtest.Load(t, helmReleaseCRD)
	for path, want := range tests {
		schema := *d.CRD.Spec.Versions[0].Schema.OpenAPIV3Schema
		for field := range strings.SplitSeq(path, ".") {
			schema = schema.Properties[field]
		}
		var got []string
		for _, value := range schema.Enum {
			got = append(got, strings.Trim(string(value.Raw), `"`))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("values of %s, constants (-) and schema (+):\n%s", path, diff)
		}
	}
}

func values[S ~string](all ...S) []string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return out
}

func TestHelmReleaseValidation(t *testing.T) {
	rows := map[string]crdtest.Row{
		"spec rule 0": {
			Why:     "a chart comes from one place",
			Accept:  []string{"spec: {chart: null, chartRef: {kind: HelmChart, name: shop}}"},
			Refuse:  []string{"spec: {chart: null}", "spec: {chartRef: {kind: HelmChart, name: shop}}"},
			Message: "either chart or chartRef must be set",
		},
		"spec.valuesFrom[].valuesKey pattern": {
			Accept: []string{"spec: {valuesFrom: [{valuesKey: values-eu_1.yaml}]}", "spec: {valuesFrom: [{valuesKey: null}]}"},
			Refuse: []string{`spec: {valuesFrom: [{valuesKey: "a b"}]}`, `spec: {valuesFrom: [{valuesKey: ""}]}`, "spec: {valuesFrom: [{valuesKey: a/b}]}"},
		},
		"spec.valuesFrom[].valuesKey maxLength": {
			Accept: []string{"spec: {valuesFrom: [{valuesKey: " + strings.Repeat("x", 253) + "}]}"},
			Refuse: []string{"spec: {valuesFrom: [{valuesKey: " + strings.Repeat("x", 254) + "}]}"},
		},
		"spec.valuesFrom[].targetPath pattern": {
			Accept: []string{`spec: {valuesFrom: [{targetPath: 'a.b[0].c\.d/e'}]}`, "spec: {valuesFrom: [{targetPath: 'hosts[10]'}]}"},
			Refuse: []string{"spec: {valuesFrom: [{targetPath: 'a=b'}]}", "spec: {valuesFrom: [{targetPath: 'a[b]'}]}", "spec: {valuesFrom: [{targetPath: 'a,b'}]}", `spec: {valuesFrom: [{targetPath: ""}]}`},
		},
		"spec.valuesFrom[].targetPath maxLength": {
			Accept: []string{"spec: {valuesFrom: [{targetPath: " + strings.Repeat("x", 250) + "}]}"},
			Refuse: []string{"spec: {valuesFrom: [{targetPath: " + strings.Repeat("x", 251) + "}]}"},
		},
		"spec.kubeConfig.configMapRef.name required": {Refuse: []string{"spec: {kubeConfig: {secretRef: null, configMapRef: {}}}"}},
		"status.inventory.entries required":          {Accept: []string{"status: {inventory: {entries: []}}"}, Refuse: []string{"status: {inventory: {entries: null}}"}},
	}
	for i, fragment := range []string{"secretRef: null", "configMapRef: {name: remote}"} {
		rows["spec.kubeConfig rule "+string('0'+rune(i))] = crdtest.Row{
			Accept:  []string{"spec: {kubeConfig: {secretRef: null, configMapRef: {name: remote}}}"},
			Refuse:  []string{"spec: {kubeConfig: {" + fragment + "}}"},
			Message: "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
		}
	}
	for action, message := range map[string]string{
		"install": ".retryInterval cannot be set when .name is 'RemediateOnFailure'",
		"upgrade": ".retryInterval can only be set when .name is 'RetryOnFailure'",
	} {
		rows["spec."+action+".strategy rule 0"] = crdtest.Row{
			Why:     "the interval would do nothing",
			Accept:  []string{"spec: {" + action + ": {strategy: {name: RemediateOnFailure, retryInterval: null}}}", "spec: {" + action + ": {strategy: {retryInterval: null}}}"},
			Refuse:  []string{"spec: {" + action + ": {strategy: {name: RemediateOnFailure}}}"},
			Message: message,
		}
	}
	for _, more := range []map[string]crdtest.Row{requiredRows(), durationRows(), enumRows(), lengthRows(), timeRows(), crdtest.ConditionRows()} {
		for name, row := range more {
			if _, ok := rows[name]; ok {
				t.Errorf("constraint %q has two rows", name)
			}
			rows[name] = row
		}
	}
	crdtest.Load(t, helmReleaseCRD).Check(t, crdtest.Read(t, helmReleaseFull)[0], rows)
}

// at returns a fragment that has value at a path; a list on the way has one element. One
// of a chartRef has no chart beside it.
func at(path, value string) string {
	if strings.HasPrefix(path, "spec.chartRef.") {
		path = strings.TrimPrefix(path, "spec.chartRef.")
		for name, given := range map[string]string{"kind": "HelmChart", "name": "shop"} {
			if name != path {
				value += ", " + name + ": " + given
			}
		}
		return "spec: {chart: null, chartRef: {" + path + ": " + value + "}}"
	}
	for _, field := range slices.Backward(strings.Split(path, ".")) {
		name, list := strings.CutSuffix(field, "[]")
		if list {
			value = "[" + value + "]"
		}
		value = "{" + name + ": " + value + "}"
	}
	return value
}

func requiredRows() map[string]crdtest.Row {
	rows := map[string]crdtest.Row{}
	for _, path := range []string{
		"spec.interval", "spec.chart.spec", "spec.chart.spec.chart", "spec.chart.spec.sourceRef", "spec.chart.spec.sourceRef.kind",
		"spec.chart.spec.sourceRef.name", "spec.chart.spec.verify.secretRef.name", "spec.chartRef.kind",
		"spec.chartRef.name", "spec.dependsOn[].name", "spec.kubeConfig.secretRef.name", "spec.driftDetection.ignore[].paths",
		"spec.install.strategy.name", "spec.upgrade.strategy.name", "spec.test.filters[].name", "spec.valuesFrom[].kind",
		"spec.valuesFrom[].name", "spec.postRenderers[].kustomize.patches[].patch", "spec.postRenderers[].kustomize.images[].name",
		"spec.waitStrategy.name", "spec.healthCheckExprs[].apiVersion", "spec.healthCheckExprs[].current",
		"status.history[].digest", "status.history[].name", "status.history[].namespace", "status.history[].version",
		"status.history[].status", "status.history[].chartName", "status.history[].chartVersion", "status.history[].configDigest",
		"status.history[].firstDeployed", "status.history[].lastDeployed", "status.inventory.entries[].id", "status.inventory.entries[].v",
	} {
		rows[path+" required"] = crdtest.Row{Refuse: []string{at(path, "null")}}
	}
	rows["spec.chart.spec.verify.provider required"] = crdtest.Row{
		Why:    "it is defaulted, so only a value that is none could be refused",
		Refuse: []string{at("spec.chart.spec.verify.provider", `""`)},
	}
	return rows
}

func durationRows() map[string]crdtest.Row {
	rows := map[string]crdtest.Row{}
	for _, path := range []string{
		"spec.interval", "spec.timeout", "spec.chart.spec.interval", "spec.install.timeout", "spec.install.strategy.retryInterval",
		"spec.upgrade.timeout", "spec.upgrade.strategy.retryInterval", "spec.test.timeout", "spec.rollback.timeout", "spec.uninstall.timeout",
	} {
		var row crdtest.Row
		for _, value := range []string{"10m", "1h30m", "0.5h", "500ms", "0s"} {
			row.Accept = append(row.Accept, at(path, value))
		}
		for _, value := range []string{`"10"`, "-1m", "1d", `""`, "10 m"} {
			row.Refuse = append(row.Refuse, at(path, value))
		}
		rows[path+" pattern"] = row
	}
	return rows
}

func enumRows() map[string]crdtest.Row {
	rows := map[string]crdtest.Row{}
	for path, accepted := range map[string][]string{
		"spec.chart.spec.sourceRef.kind":       {"HelmRepository", "GitRepository", "Bucket"},
		"spec.chart.spec.reconcileStrategy":    {"ChartVersion", "Revision"},
		"spec.chart.spec.verify.provider":      {"cosign", "notation"},
		"spec.chartRef.kind":                   {"OCIRepository", "HelmChart", "ExternalArtifact"},
		"spec.driftDetection.mode":             {"enabled", "warn", "disabled"},
		"spec.install.crds":                    {"Skip", "Create", "CreateReplace"},
		"spec.install.strategy.name":           {"RetryOnFailure"},
		"spec.upgrade.crds":                    {"Skip", "Create", "CreateReplace"},
		"spec.upgrade.strategy.name":           {"RetryOnFailure"},
		"spec.upgrade.remediation.strategy":    {"rollback", "uninstall"},
		"spec.upgrade.serverSideApply":         {"enabled", "disabled", "auto"},
		"spec.upgrade.chartNameChangeStrategy": {"InPlaceUpdate", "Reinstall"},
		"spec.rollback.serverSideApply":        {"enabled", "disabled", "auto"},
		"spec.uninstall.deletionPropagation":   {"background", "foreground", "orphan"},
		"spec.valuesFrom[].kind":               {"Secret", "ConfigMap"},
		"spec.postRenderStrategy":              {"nohooks", "combined", "separate"},
		"spec.waitStrategy.name":               {"poller", "legacy"},
		"status.lastAttemptedReleaseAction":    {"install", "upgrade"},
	} {
		var row crdtest.Row
		for _, value := range accepted {
			row.Accept = append(row.Accept, at(path, value))
		}
		for _, value := range []string{`""`, "other", strings.ToUpper(accepted[0])} {
			row.Refuse = append(row.Refuse, at(path, value))
		}
		rows[path+" enum"] = row
	}
	return rows
}

func lengthRows() map[string]crdtest.Row {
	rows := map[string]crdtest.Row{}
	for path, most := range map[string]int{
		"spec.chart.spec.chart":               2048,
		"spec.chart.spec.sourceRef.name":      253,
		"spec.chart.spec.sourceRef.namespace": 63,
		"spec.chartRef.name":                  253,
		"spec.chartRef.namespace":             63,
		"spec.releaseName":                    53,
		"spec.targetNamespace":                63,
		"spec.storageNamespace":               63,
		"spec.serviceAccountName":             253,
		"spec.test.filters[].name":            253,
		"spec.valuesFrom[].name":              253,
		"status.storageNamespace":             63,
	} {
		rows[path+" minLength"] = crdtest.Row{Accept: []string{at(path, "x")}, Refuse: []string{at(path, `""`)}}
		rows[path+" maxLength"] = crdtest.Row{Accept: []string{at(path, strings.Repeat("x", most))}, Refuse: []string{at(path, strings.Repeat("x", most+1))}}
	}
	return rows
}

func timeRows() map[string]crdtest.Row {
	rows := map[string]crdtest.Row{}
	for _, name := range []string{"firstDeployed", "lastDeployed", "deleted"} {
		path := "status.history[]." + name
		rows[path+" format"] = crdtest.Row{Accept: []string{at(path, `"2026-11-23T20:41:39Z"`)}, Refuse: []string{at(path, "yesterday")}}
	}
	for _, name := range []string{"lastStarted", "lastCompleted"} {
		// The key of a map is a field to nobody but its element.
		with := func(value string) string { return at("status.history[].testHooks.smoke."+name, value) }
		rows["status.history[].testHooks{}."+name+" format"] = crdtest.Row{Accept: []string{with(`"2026-11-23T20:41:39Z"`)}, Refuse: []string{with("yesterday")}}
	}
	return rows
}
