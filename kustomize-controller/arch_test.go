package main

import (
	"strings"
	"testing"

	"weir.dev/pkg/depcheck"
)

const module = "weir.dev/kustomize-controller"

// TestLinks keeps this program to what it is for: it takes artifacts, wherever they
// come from.
func TestLinks(t *testing.T) {
	t.Parallel()
	depcheck.Module(t, ".").Check(t, map[string]depcheck.Rule{
		"no git": {
			Why: "sources are fetched by source-controller",
			Not: []string{"github.com/go-git/...", "weir.dev/pkg/git", "weir.dev/pkg/gitserver/..."},
		},
		"no Helm": {
			Why: "releases are helm-controller's",
			Not: []string{"helm.sh/..."},
		},
		"no other program": {
			Why: "controllers meet through API objects and artifact URLs only",
			Not: []string{"weir.dev/source-controller/...", "weir.dev/helm-controller/...", "weir.dev/image-controller/...", "weir.dev/deploy/..."},
		},
		"no test support": {
			Why: "a test plane is no part of a program", // the package testing is, by SOPS
			Not: []string{"weir.dev/pkg/testplane", "weir.dev/pkg/depcheck", "weir.dev/pkg/gitserver/...", "weir.dev/pkg/oci/ocitest", "weir.dev/pkg/creds/credstest"},
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
