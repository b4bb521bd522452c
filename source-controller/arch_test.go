package main

import (
	"strings"
	"testing"

	"weir.dev/pkg/depcheck"
)

const module = "weir.dev/source-controller"

// TestLinks keeps this program to what it is for: it fetches, and leaves to others
// what is made of it.
func TestLinks(t *testing.T) {
	t.Parallel()
	depcheck.Module(t, ".").Check(t, map[string]depcheck.Rule{
		"no kustomize": {
			Why: "sources are published as they are",
			Not: []string{"sigs.k8s.io/kustomize/...", "weir.dev/pkg/build"},
		},
		"no releases": {
			Why: "charts are packaged here, and released elsewhere",
			Not: []string{"helm.sh/helm/v3/pkg/action", "helm.sh/helm/v3/pkg/kube", "helm.sh/helm/v3/pkg/storage/..."},
		},
		"no engine": {
			Why: "this program applies nothing",
			Not: []string{"weir.dev/pkg/apply", "weir.dev/pkg/drift"},
		},
		"no other program": {
			Why: "controllers meet through API objects and artifact URLs only",
			Not: []string{"weir.dev/kustomize-controller/...", "weir.dev/helm-controller/...", "weir.dev/image-controller/...", "weir.dev/deploy/..."},
		},
		"no test support": {
			Why: "a test plane is no part of a program; of package testing, a library has some",
			Of:  []string{module},
			Not: []string{
				"weir.dev/pkg/testplane", "weir.dev/pkg/depcheck", "weir.dev/pkg/gitserver/...", "weir.dev/pkg/oci/ocitest", "weir.dev/pkg/creds/credstest",
				module + "/internal/sourcetest", module + "/internal/helm/helmtest", module + "/internal/bucket/buckettest", module + "/internal/signature/signaturetest",
			},
		},
	})
}

// TestCodeIsInternal: nobody may begin to use a part of a program as a library.
func TestCodeIsInternal(t *testing.T) {
	t.Parallel()
	for _, p := range depcheck.Module(t, ".").Packages() {
		if p != module && !strings.HasPrefix(p, module+"/internal/") {
			t.Errorf("%s is not under internal/", p)
		}
	}
}
