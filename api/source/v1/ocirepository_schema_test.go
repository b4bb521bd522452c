package v1_test

import (
	"testing"

	"weir.dev/api/internal/crdtest"
	sourcev1 "weir.dev/api/source/v1"
)

func TestOCIRepositoryDefaults(t *testing.T) {
	checkDefaults(t, sourcev1.OCIRepositoryKind, map[string]defaults{
		"fills in a minimal object": {
			why:  "observedGeneration -1 tells that the controller has not seen the object yet",
			in:   `{spec: {url: "oci://registry.example.com/app", interval: 10m}}`,
			want: `{spec: {url: "oci://registry.example.com/app", interval: 10m, timeout: 60s, provider: generic}, status: {observedGeneration: -1}}`,
		},
		"verifies with cosign": {
			why:  "the provider is optional where verification is not",
			in:   `{spec: {timeout: 5s, provider: gcp, verify: {}}}`,
			want: `{spec: {timeout: 5s, provider: gcp, verify: {provider: cosign}}, status: {observedGeneration: -1}}`,
		},
		"does not fill in an operation": {
			why:  "what is observed is compared with the spec as the user wrote it",
			in:   `{spec: {timeout: 5s, provider: aws, ref: {}, layerSelector: {}}}`,
			want: `{spec: {timeout: 5s, provider: aws, ref: {}, layerSelector: {}}, status: {observedGeneration: -1}}`,
		},
		"leaves a status as it is": {
			why:  "the default is for the whole status",
			in:   `{spec: {timeout: 5s, provider: aws}, status: {}}`,
			want: `{spec: {timeout: 5s, provider: aws}, status: {}}`,
		},
	})
}

func TestOCIRepositoryValidation(t *testing.T) {
	rows := map[string]crdtest.Row{
		"spec.url pattern": {
			Why:    "there is one protocol; what follows it is for the controller to judge",
			Accept: []string{`spec: {url: "oci://h/r"}`, `spec: {url: "oci://h:5000/org/r"}`, `spec: {url: "oci://h/r:tag"}`},
			Refuse: []string{`spec: {url: "https://h/r"}`, `spec: {url: "h/r"}`, `spec: {url: "OCI://h/r"}`, `spec: {url: ""}`},
		},
		"spec.provider enum": {
			Accept: []string{
				"spec: {provider: generic}", "spec: {provider: aws}", "spec: {provider: azure}", "spec: {provider: gcp}",
				"spec: {provider: null}",
			},
			Refuse: []string{"spec: {provider: github}", `spec: {provider: ""}`, "spec: {provider: AWS}"},
		},
		"spec.layerSelector.operation enum": {
			Accept: []string{
				"spec: {layerSelector: {operation: extract}}", "spec: {layerSelector: {operation: copy}}",
				"spec: {layerSelector: {operation: null}}",
			},
			Refuse: []string{"spec: {layerSelector: {operation: unpack}}", `spec: {layerSelector: {operation: ""}}`},
		},
		"status.observedLayerSelector.operation enum": {
			Accept: []string{"status: {observedLayerSelector: {operation: copy}}", "status: {observedLayerSelector: {operation: null}}"},
			Refuse: []string{"status: {observedLayerSelector: {operation: unpack}}"},
		},
	}
	checkRows(t, sourcev1.OCIRepositoryKind, rows, intervalRows(), timeoutRows(), identityRows(), requiredRows(
		"spec.url", "spec.interval", "spec.secretRef.name", "spec.certSecretRef.name", "spec.proxySecretRef.name",
		"spec.verify.trustedRootSecretRef.name",
	))
}
