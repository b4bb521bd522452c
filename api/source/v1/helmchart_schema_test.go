package v1_test

import (
	"testing"

	"weir.dev/api/internal/crdtest"
	sourcev1 "weir.dev/api/source/v1"
)

func TestHelmChartDefaults(t *testing.T) {
	checkDefaults(t, sourcev1.HelmChartKind, map[string]defaults{
		"fills in a minimal object": {
			why: "observedGeneration -1 tells that the controller has not seen the object yet",
			in:  `{spec: {chart: shop, interval: 10m, sourceRef: {kind: HelmRepository, name: charts}}}`,
			want: `{spec: {chart: shop, interval: 10m, sourceRef: {kind: HelmRepository, name: charts},
				version: "*", reconcileStrategy: ChartVersion}, status: {observedGeneration: -1}}`,
		},
		"verifies with cosign": {
			why:  "the provider is optional where verification is not",
			in:   `{spec: {version: 1.x, reconcileStrategy: Revision, verify: {}}}`,
			want: `{spec: {version: 1.x, reconcileStrategy: Revision, verify: {provider: cosign}}, status: {observedGeneration: -1}}`,
		},
		"leaves a status as it is": {
			why:  "the default is for the whole status",
			in:   `{spec: {version: 1.x, reconcileStrategy: Revision}, status: {}}`,
			want: `{spec: {version: 1.x, reconcileStrategy: Revision}, status: {}}`,
		},
	})
}

func TestHelmChartValidation(t *testing.T) {
	rows := map[string]crdtest.Row{
		"spec.sourceRef.kind enum": {
			Accept: []string{
				"spec: {sourceRef: {kind: HelmRepository}}", "spec: {sourceRef: {kind: GitRepository}, verify: null}",
				"spec: {sourceRef: {kind: Bucket}, verify: null}",
			},
			Refuse: []string{"spec: {sourceRef: {kind: OCIRepository}}", `spec: {sourceRef: {kind: ""}}`},
		},
		"spec.reconcileStrategy enum": {
			Accept: []string{"spec: {reconcileStrategy: ChartVersion}", "spec: {reconcileStrategy: Revision}", "spec: {reconcileStrategy: null}"},
			Refuse: []string{"spec: {reconcileStrategy: Always}", `spec: {reconcileStrategy: ""}`},
		},
		"spec rule 0": {
			Why:     "other sources have signatures of their own",
			Accept:  []string{"spec: {verify: {provider: cosign}}", "spec: {sourceRef: {kind: GitRepository}, verify: null}"},
			Refuse:  []string{"spec: {sourceRef: {kind: GitRepository}}", "spec: {sourceRef: {kind: Bucket}}"},
			Message: "spec.verify is only supported when spec.sourceRef.kind is 'HelmRepository'",
		},
	}
	checkRows(t, sourcev1.HelmChartKind, rows, intervalRows(), identityRows(), requiredRows(
		"spec.chart", "spec.interval", "spec.sourceRef", "spec.sourceRef.kind", "spec.sourceRef.name",
	))
}

func TestHelmChartHasNoTrustedRoot(t *testing.T) {
	obj := full(t, sourcev1.HelmChartKind)[0]
	obj["spec"].(map[string]any)["verify"].(map[string]any)["trustedRootSecretRef"] = map[string]any{"name": "trusted-root"}
	if unknown := load(t, sourcev1.HelmChartKind).Prune(obj); len(unknown) == 0 {
		t.Error("trustedRootSecretRef of a HelmChart is kept: it would be believed to have an effect")
	}
}
