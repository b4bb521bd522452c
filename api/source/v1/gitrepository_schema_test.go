package v1_test

import (
	"testing"

	"weir.dev/api/internal/crdtest"
	sourcev1 "weir.dev/api/source/v1"
)

func TestGitRepositoryDefaults(t *testing.T) {
	checkDefaults(t, sourcev1.GitRepositoryKind, map[string]defaults{
		"fills in a minimal object": {
			why:  "observedGeneration -1 tells that the controller has not seen the object yet",
			in:   `{spec: {url: "https://git.example.com/fleet.git", interval: 10m}}`,
			want: `{spec: {url: "https://git.example.com/fleet.git", interval: 10m, timeout: 60s}, status: {observedGeneration: -1}}`,
		},
		"verifies the commit": {
			why:  "the mode is optional where verification is not",
			in:   `{spec: {verify: {secretRef: {name: keys}}}}`,
			want: `{spec: {timeout: 60s, verify: {mode: HEAD, secretRef: {name: keys}}}, status: {observedGeneration: -1}}`,
		},
		"does not fill in a provider": {
			why:  "objects of before the field existed must not change",
			in:   `{spec: {timeout: 5s, ref: {}}}`,
			want: `{spec: {timeout: 5s, ref: {}}, status: {observedGeneration: -1}}`,
		},
		"leaves a status as it is": {
			why:  "the default is for the whole status",
			in:   `{spec: {timeout: 5s}, status: {}}`,
			want: `{spec: {timeout: 5s}, status: {}}`,
		},
	})
}

func TestGitRepositoryValidation(t *testing.T) {
	rows := map[string]crdtest.Row{
		"spec.url pattern": {
			Why:    "there must be a protocol, and one of three",
			Accept: []string{`spec: {url: "http://h/r"}`, `spec: {url: "https://user:pass@h:8443/r.git"}`, `spec: {url: "ssh://git@h:22/r"}`},
			Refuse: []string{`spec: {url: "git@github.com:org/repo"}`, `spec: {url: "git://h/r"}`, `spec: {url: "file:///r"}`, `spec: {url: ""}`},
		},
		"spec.provider enum": {
			Accept: []string{
				"spec: {provider: aws}", "spec: {provider: azure}", "spec: {provider: null, serviceAccountName: null}",
				"spec: {provider: generic, serviceAccountName: null}", "spec: {provider: github, serviceAccountName: null}",
			},
			Refuse: []string{"spec: {provider: gcp}", `spec: {provider: ""}`, "spec: {provider: GitHub}"},
		},
		"spec rule 0": {
			Why:     "other providers have no workload identity",
			Accept:  []string{"spec: {provider: aws}", "spec: {provider: azure}", "spec: {provider: github, serviceAccountName: null}"},
			Refuse:  []string{"spec: {provider: generic}", "spec: {provider: github}", "spec: {provider: null}"},
			Message: "serviceAccountName can only be set when provider is 'azure' or 'aws'",
		},
		"spec.verify.mode enum": {
			Why:    "head is an older spelling of HEAD",
			Accept: []string{"spec: {verify: {mode: head}}", "spec: {verify: {mode: HEAD}}", "spec: {verify: {mode: Tag}}", "spec: {verify: {mode: TagAndHEAD}}", "spec: {verify: {mode: null}}"},
			Refuse: []string{"spec: {verify: {mode: tag}}", "spec: {verify: {mode: Commit}}", `spec: {verify: {mode: ""}}`},
		},
	}
	checkRows(t, sourcev1.GitRepositoryKind, rows, intervalRows(), timeoutRows(), requiredRows(
		"spec.url", "spec.interval", "spec.secretRef.name", "spec.proxySecretRef.name",
		"spec.verify.secretRef", "spec.verify.secretRef.name",
		"spec.include[].repository", "spec.include[].repository.name",
		"status.observedInclude[].repository", "status.observedInclude[].repository.name",
	), artifactRows("status.includedArtifacts[]", func(fragment string) string {
		return "status: {includedArtifacts: [{" + fragment + "}]}"
	}))
}
