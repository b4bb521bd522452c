package main

import (
	"strings"
	"testing"

	"weir.dev/pkg/depcheck"
)

const module = "weir.dev/helm-controller"

// TestLinks keeps this program to what it is for: it releases charts, wherever they
// come from.
func TestLinks(t *testing.T) {
	t.Parallel()
	depcheck.Module(t, ".").Check(t, map[string]depcheck.Rule{
		"no git": {
			Why: "sources are fetched by source-controller",
			Not: []string{"github.com/go-git/...", "weir.dev/pkg/git", "weir.dev/pkg/gitserver/..."},
		},
		"no build": {
			Why: "kustomizations are kustomize-controller's; what is laid over a release uses kustomize itself",
			Not: []string{"weir.dev/pkg/build", "weir.dev/pkg/decrypt"},
		},
		"no other Helm": {
			Why: "releases are written as Helm 3 does",
			Not: []string{"helm.sh/helm/v4/..."},
		},
		"no other program": {
			Why: "controllers meet through API objects and artifact URLs only",
			Not: []string{"weir.dev/source-controller/...", "weir.dev/kustomize-controller/...", "weir.dev/image-controller/...", "weir.dev/deploy/..."},
		},
		"no test support": {
			Why: "a test plane is no part of a program",
			Not: []string{"weir.dev/pkg/testplane", "weir.dev/pkg/depcheck", "weir.dev/pkg/gitserver/...", "weir.dev/pkg/oci/ocitest", "weir.dev/pkg/creds/credstest", module + "/internal/charttest"},
		},
		"decisions are pure": {
			Why: "a test must be able to try every state",
			Of:  []string{module + "/internal/state", module + "/internal/plan"},
			Not: []string{"sigs.k8s.io/controller-runtime/pkg/client", "k8s.io/client-go/...", "helm.sh/..."},
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
