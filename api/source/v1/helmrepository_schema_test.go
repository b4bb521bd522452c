package v1_test

import (
	"testing"

	"weir.dev/api/internal/crdtest"
	sourcev1 "weir.dev/api/source/v1"
)

func TestHelmRepositoryDefaults(t *testing.T) {
	checkDefaults(t, sourcev1.HelmRepositoryKind, map[string]defaults{
		"fills in a minimal object": {
			why:  "type, interval and timeout have defaults in code only",
			in:   `{spec: {url: "https://charts.example.com"}}`,
			want: `{spec: {url: "https://charts.example.com", provider: generic}, status: {observedGeneration: -1}}`,
		},
		"leaves an empty status as it is": {
			why:  "that is the status of a repository in a registry, which is never observed",
			in:   `{spec: {url: "oci://registry.example.com/charts", type: oci, provider: aws}, status: {}}`,
			want: `{spec: {url: "oci://registry.example.com/charts", type: oci, provider: aws}, status: {}}`,
		},
	})
}

func TestHelmRepositoryValidation(t *testing.T) {
	rows := map[string]crdtest.Row{
		"spec.url pattern": {
			Why:    "whether the protocol suits the type is for the controller to judge",
			Accept: []string{`spec: {url: "http://h/charts"}`, `spec: {url: "https://h:8443/"}`, `spec: {url: "oci://h/charts"}`},
			Refuse: []string{`spec: {url: "ftp://h/charts"}`, `spec: {url: "h/charts"}`, `spec: {url: ""}`},
		},
		"spec.type enum": {
			Accept: []string{"spec: {type: default}", "spec: {type: oci}", "spec: {type: null}"},
			Refuse: []string{"spec: {type: git}", `spec: {type: ""}`, "spec: {type: OCI}"},
		},
		"spec.provider enum": {
			Accept: []string{
				"spec: {provider: generic}", "spec: {provider: aws}", "spec: {provider: azure}", "spec: {provider: gcp}",
				"spec: {provider: null}",
			},
			Refuse: []string{"spec: {provider: github}", `spec: {provider: ""}`},
		},
		"spec.accessFrom.namespaceSelectors required": {
			Why:    "an empty list is a list",
			Accept: []string{"spec: {accessFrom: {namespaceSelectors: []}}", "spec: {accessFrom: null}"},
			Refuse: []string{"spec: {accessFrom: {namespaceSelectors: null}}"},
		},
	}
	checkRows(t, sourcev1.HelmRepositoryKind, rows, intervalRows(), timeoutRows(), requiredRows(
		"spec.url", "spec.secretRef.name", "spec.certSecretRef.name",
	))
}
