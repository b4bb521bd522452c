package v1_test

import (
	"strings"
	"testing"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/api/internal/crdtest"
)

func TestImageRepositoryValidation(t *testing.T) {
	patterns := func(n int) string {
		return "spec: {exclusionList: [" + strings.TrimSuffix(strings.Repeat("x, ", n), ", ") + "]}"
	}
	checkRows(t, imagev1.ImageRepositoryKind, map[string]crdtest.Row{
		"spec.interval pattern": intervals(),
		"spec.timeout pattern": {
			Why:    "a timeout has no hours",
			Accept: []string{"spec: {timeout: 60s}", "spec: {timeout: 1m30s}", "spec: {timeout: 500ms}"},
			Refuse: []string{"spec: {timeout: 1h}", `spec: {timeout: "60"}`, "spec: {timeout: -1s}"},
		},
		"spec.provider enum": {
			Accept: []string{"spec: {provider: generic}", "spec: {provider: aws}", "spec: {provider: azure}", "spec: {provider: gcp}", "spec: {provider: null}"},
			Refuse: []string{"spec: {provider: github}", `spec: {provider: ""}`},
		},
		"spec.serviceAccountName maxLength": {
			Accept: []string{"spec: {serviceAccountName: " + strings.Repeat("x", 253) + "}"},
			Refuse: []string{"spec: {serviceAccountName: " + strings.Repeat("x", 254) + "}"},
		},
		"spec.exclusionList maxItems": {
			Accept: []string{patterns(25), "spec: {exclusionList: []}"},
			Refuse: []string{patterns(26)},
		},
		"status.lastScanResult.scanTime format": times("lastScanResult: {scanTime: $}"),
	}, required(
		"spec.image", "spec.interval", "spec.secretRef.name", "spec.certSecretRef.name", "spec.proxySecretRef.name",
		"spec.accessFrom.namespaceSelectors", "status.lastScanResult.tagCount",
	))
}

func TestImagePolicyValidation(t *testing.T) {
	order := func(policy string) crdtest.Row {
		return crdtest.Row{
			Accept: []string{"spec: {policy: {" + policy + ": {order: asc}}}", "spec: {policy: {" + policy + ": {order: desc}}}"},
			Refuse: []string{"spec: {policy: {" + policy + ": {order: ASC}}}", "spec: {policy: {" + policy + `: {order: ""}}}`},
		}
	}
	checkRows(t, imagev1.ImagePolicyKind, map[string]crdtest.Row{
		"spec.interval pattern":               intervals(),
		"spec.policy.alphabetical.order enum": order("alphabetical"),
		"spec.policy.numerical.order enum":    order("numerical"),
		"spec.digestReflectionPolicy enum": {
			Accept: []string{"spec: {digestReflectionPolicy: Always}", "spec: {digestReflectionPolicy: IfNotPresent, interval: null}", "spec: {digestReflectionPolicy: Never, interval: null}"},
			Refuse: []string{"spec: {digestReflectionPolicy: always}", `spec: {digestReflectionPolicy: ""}`},
		},
		"spec rule 0": {
			Why:     "an interval that does nothing would mislead",
			Accept:  []string{"spec: {digestReflectionPolicy: Never, interval: null}"},
			Refuse:  []string{"spec: {digestReflectionPolicy: Never}", "spec: {digestReflectionPolicy: IfNotPresent}", "spec: {digestReflectionPolicy: null}"},
			Message: "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'",
		},
		"spec rule 1": {
			Accept:  []string{"spec: {digestReflectionPolicy: Always, interval: 1m}"},
			Refuse:  []string{"spec: {interval: null}"},
			Message: "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'",
		},
	}, required(
		"spec.imageRepositoryRef", "spec.imageRepositoryRef.name", "spec.policy", "spec.policy.semver.range",
		"status.latestRef.name", "status.latestRef.tag", "status.observedPreviousRef.name", "status.observedPreviousRef.tag",
	))
}

func TestImageUpdateAutomationValidation(t *testing.T) {
	rows := required(
		"spec.sourceRef", "spec.sourceRef.name", "spec.interval", "spec.git.checkout.ref", "spec.git.commit", "spec.git.commit.author",
		"spec.git.commit.author.email", "spec.git.commit.signingKey.secretRef", "spec.git.commit.signingKey.secretRef.name",
		"spec.policySelector.matchExpressions[].key", "spec.policySelector.matchExpressions[].operator",
	)
	// The key of a map is a field to nobody but its element.
	for _, name := range []string{"name", "tag"} {
		rows["status.observedPolicies{}."+name+" required"] = crdtest.Row{Refuse: []string{"status: {observedPolicies: {app: {" + name + ": null}}}"}}
	}
	checkRows(t, imagev1.ImageUpdateAutomationKind, map[string]crdtest.Row{
		"spec.interval pattern": intervals(),
		"spec.sourceRef.kind enum": {
			Why:    "there is one kind that can be written to, and it is the default",
			Accept: []string{"spec: {sourceRef: {kind: GitRepository}}", "spec: {sourceRef: {kind: null}}"},
			Refuse: []string{"spec: {sourceRef: {kind: OCIRepository}}", `spec: {sourceRef: {kind: ""}}`},
		},
		"spec.sourceRef.kind required": {
			Why:    "it is defaulted, so only null with a default that is gone could be refused",
			Refuse: []string{`spec: {sourceRef: {kind: ""}}`},
		},
		"spec.update.strategy enum": {
			Accept: []string{"spec: {update: {strategy: Setters}}", "spec: {update: {strategy: null}}"},
			Refuse: []string{"spec: {update: {strategy: Kustomize}}", `spec: {update: {strategy: ""}}`},
		},
		"spec.git.commit.signingKey.type enum": {
			Accept: []string{"spec: {git: {commit: {signingKey: {type: gpg}}}}", "spec: {git: {commit: {signingKey: {type: ssh}}}}"},
			Refuse: []string{"spec: {git: {commit: {signingKey: {type: x509}}}}"},
		},
		"status.lastAutomationRunTime format": times("lastAutomationRunTime: $"),
		"status.lastPushTime format":          times("lastPushTime: $"),
	}, rows)
}
