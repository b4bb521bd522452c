package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"weir.dev/pkg/depcheck"
)

const module = "weir.dev/deploy/"

// libraries are what users take without a program: files, and what makes manifests of them.
var libraries = []string{"crds", "install"}

// TestProgramsStandAlone: what two programs share lives in internal/ or is a library, and
// is not in one of them.
func TestProgramsStandAlone(t *testing.T) {
	t.Parallel()
	g := depcheck.Module(t, ".")
	var programs []string
	for _, p := range g.Packages() {
		first, _, _ := strings.Cut(strings.TrimPrefix(p, module), "/")
		if program := module + first + "/..."; first != "internal" && !slices.Contains(libraries, first) && !slices.Contains(programs, program) {
			programs = append(programs, program)
		}
	}
	if len(programs) == 0 {
		t.Fatalf("no programs among %v", g.Packages())
	}
	rules := make(map[string]depcheck.Rule)
	for _, p := range programs {
		rules[strings.TrimSuffix(strings.TrimPrefix(p, module), "/...")] = depcheck.Rule{
			Why: "programs meet through the API only",
			Of:  []string{p}, Not: programs, But: []string{p},
		}
	}
	g.Check(t, rules)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	depcheck.Module(t, ".").Check(t, map[string]depcheck.Rule{
		"no controller": {
			Why: "controllers are run as the programs that they are",
			Not: []string{"weir.dev/source-controller/...", "weir.dev/kustomize-controller/...", "weir.dev/helm-controller/...", "weir.dev/image-controller/..."},
		},
		"definitions link nothing": {
			Why: "they are files",
			Of:  []string{module + "crds"}, Not: []string{"weir.dev/...", "k8s.io/...", "sigs.k8s.io/..."},
		},
		"manifests are made without a cluster": {
			Why: "they are made for Git as well",
			Of:  []string{module + "install"}, Not: []string{"weir.dev/...", "k8s.io/client-go/rest/...", "sigs.k8s.io/controller-runtime/..."},
			But: []string{module + "install", module + "crds", "weir.dev/pkg/manifest"},
		},
		"the command logs in to no cloud": {
			Why: "their libraries would make it twice as large, and what they give is the controllers'",
			Of:  []string{module + "cli/..."}, Not: []string{"github.com/aws/...", "github.com/Azure/azure-sdk-for-go/...", "github.com/AzureAD/...", "cloud.google.com/..."},
		},
		"what is shared knows no program": {
			Why: "arrows point down only",
			Of:  []string{module + "internal/..."}, Not: []string{module + "demo/...", module + "bench/...", module + "e2e/..."},
		},
	})
}
