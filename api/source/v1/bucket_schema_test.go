package v1_test

import (
	"testing"

	"weir.dev/api/internal/crdtest"
	sourcev1 "weir.dev/api/source/v1"
)

func TestBucketDefaults(t *testing.T) {
	checkDefaults(t, sourcev1.BucketKind, map[string]defaults{
		"fills in a minimal object": {
			why: "observedGeneration -1 tells that the controller has not seen the object yet",
			in:  `{spec: {bucketName: fleet, endpoint: storage.example.com, interval: 10m}}`,
			want: `{spec: {bucketName: fleet, endpoint: storage.example.com, interval: 10m, timeout: 60s, provider: generic},
				status: {observedGeneration: -1}}`,
		},
		"leaves a status as it is": {
			why:  "the default is for the whole status",
			in:   `{spec: {timeout: 5s, provider: aws}, status: {}}`,
			want: `{spec: {timeout: 5s, provider: aws}, status: {}}`,
		},
	})
}

func TestBucketValidation(t *testing.T) {
	const (
		anonymousSTS = "sts: {provider: aws, secretRef: null, certSecretRef: null}"
		account      = "secretRef: null, serviceAccountName: fleet-reader"
	)
	rows := map[string]crdtest.Row{
		"spec.provider enum": {
			Accept: []string{
				"spec: {provider: generic}", "spec: {provider: null}", "spec: {provider: aws, sts: null}",
				"spec: {provider: gcp, sts: null}", "spec: {provider: azure, sts: null}",
			},
			Refuse: []string{"spec: {provider: minio}", `spec: {provider: ""}`, "spec: {provider: AWS}"},
		},
		"spec.sts.provider enum": {
			Accept: []string{"spec: {sts: {provider: ldap}}", "spec: {provider: aws, " + anonymousSTS + "}"},
			Refuse: []string{"spec: {sts: {provider: gcp}}", `spec: {sts: {provider: ""}}`},
		},
		"spec.sts.endpoint pattern": {
			Accept: []string{`spec: {sts: {endpoint: "http://h"}}`, `spec: {sts: {endpoint: "https://h:8443/sts"}}`},
			Refuse: []string{`spec: {sts: {endpoint: "sts.example.com"}}`, `spec: {sts: {endpoint: "ldap://h"}}`, `spec: {sts: {endpoint: ""}}`},
		},
		"spec rule 0": {
			Why:     "the others have no service with this protocol",
			Accept:  []string{"spec: {provider: gcp, sts: null}", "spec: {provider: azure, sts: null}"},
			Refuse:  []string{"spec: {provider: gcp}", "spec: {provider: azure}"},
			Message: "STS configuration is only supported for the 'aws' and 'generic' Bucket providers",
		},
		"spec rule 1": {
			Accept:  []string{"spec: {provider: aws, " + anonymousSTS + "}"},
			Refuse:  []string{"spec: {provider: aws}"},
			Message: "'aws' is the only supported STS provider for the 'aws' Bucket provider",
		},
		"spec rule 2": {
			Why:     "an absent provider is generic",
			Accept:  []string{"spec: {provider: generic}", "spec: {provider: null}"},
			Refuse:  []string{"spec: {" + anonymousSTS + "}", "spec: {provider: null, " + anonymousSTS + "}"},
			Message: "'ldap' is the only supported STS provider for the 'generic' Bucket provider",
		},
		"spec rule 3": {
			Why:     "the service trades the identity of the controller",
			Accept:  []string{"spec: {sts: {certSecretRef: null}}"},
			Refuse:  []string{"spec: {provider: aws, sts: {provider: aws, certSecretRef: null}}"},
			Message: "spec.sts.secretRef is not required for the 'aws' STS provider",
		},
		"spec rule 4": {
			Accept:  []string{"spec: {sts: {secretRef: null}}"},
			Refuse:  []string{"spec: {provider: aws, sts: {provider: aws, secretRef: null}}"},
			Message: "spec.sts.certSecretRef is not required for the 'aws' STS provider",
		},
		"spec rule 5": {
			Why: "a generic storage has no workload identity",
			Accept: []string{
				"spec: {provider: aws, " + anonymousSTS + ", " + account + "}",
				"spec: {provider: gcp, sts: null, " + account + "}", "spec: {provider: azure, sts: null, " + account + "}",
			},
			Refuse:  []string{"spec: {" + account + "}", "spec: {provider: null, " + account + "}"},
			Message: "ServiceAccountName is not supported for the 'generic' Bucket provider",
		},
		"spec rule 6": {
			Why:     "one of them would have no effect",
			Accept:  []string{"spec: {provider: gcp, sts: null, serviceAccountName: null}", "spec: {provider: gcp, sts: null, " + account + "}"},
			Refuse:  []string{"spec: {provider: gcp, sts: null, serviceAccountName: fleet-reader}"},
			Message: "cannot set both .spec.secretRef and .spec.serviceAccountName",
		},
	}
	checkRows(t, sourcev1.BucketKind, rows, intervalRows(), timeoutRows(), requiredRows(
		"spec.bucketName", "spec.endpoint", "spec.interval", "spec.secretRef.name", "spec.certSecretRef.name",
		"spec.proxySecretRef.name", "spec.sts.provider", "spec.sts.endpoint", "spec.sts.secretRef.name",
		"spec.sts.certSecretRef.name",
	))
}
