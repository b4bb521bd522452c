package main

import (
	"strings"
	"testing"

	"weir.dev/pkg/depcheck"
)

const module = "weir.dev/image-controller"

// TestLinks keeps this program to what it is for: it asks registries, and edits files.
func TestLinks(t *testing.T) {
	t.Parallel()
	depcheck.Module(t, ".").Check(t, map[string]depcheck.Rule{
		"no kustomize": {
			Why: "files are edited where they are marked, and built by kustomize-controller",
			Not: []string{"sigs.k8s.io/kustomize/api/...", "weir.dev/pkg/build"},
		},
		"no Helm": {
			Why: "values are text here; releases are helm-controller's",
			Not: []string{"helm.sh/..."},
		},
		"no decryption": {
			Why: "what is marked is not encrypted",
			Not: []string{"github.com/getsops/...", "weir.dev/pkg/decrypt"},
		},
		"no engine": {
			Why: "this program applies nothing",
			Not: []string{"weir.dev/pkg/apply", "weir.dev/pkg/drift"},
		},
		"no other program": {
			Why: "controllers meet through API objects and artifact URLs only",
			Not: []string{"weir.dev/source-controller/...", "weir.dev/kustomize-controller/...", "weir.dev/helm-controller/...", "weir.dev/deploy/..."},
		},
		"no test support": {
			Why: "a test plane is no part of a program; of package testing, a library has some",
			Of:  []string{module},
			Not: []string{"weir.dev/pkg/testplane", "weir.dev/pkg/depcheck", "weir.dev/pkg/gitserver/...", "weir.dev/pkg/oci/ocitest", "weir.dev/pkg/creds/credstest", "weir.dev/pkg/pullrequest/hosttest"},
		},
		"policies and setters are pure": {
			Why: "tags in, tag out; a file in, a file out: nothing that could ask anybody",
			Of:  []string{module + "/internal/policy", module + "/internal/setters"},
			Not: []string{"sigs.k8s.io/controller-runtime/...", "k8s.io/client-go/...", "github.com/go-git/...", "weir.dev/pkg/oci", "weir.dev/pkg/git"},
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
