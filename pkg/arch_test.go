package pkg_test

import (
	"slices"
	"testing"

	"weir.dev/pkg/depcheck"
)

const root = "weir.dev/pkg/"

// TestLinks keeps the arrows of the architecture pointing down: scaffolds and
// engines stand on values and clients, and nothing here knows who uses it.
func TestLinks(t *testing.T) {
	t.Parallel()
	scaffolds := []string{root + "daemon", root + "loop"}
	engines := []string{root + "apply", root + "drift", root + "tenant"}
	kinds := []string{root + "gitaccess", root + "ociaccess", root + "dependency", root + "tenantaccess", root + "correction", root + "buildspec", root + "helmvalues"} // what they share
	testSupport := []string{root + "testplane", root + "depcheck", root + "gitserver/gitservertest", root + "oci/ocitest", root + "creds/credstest", root + "pullrequest/hosttest"}
	pure := []string{root + "artifact/...", root + "build", root + "inventory", root + "manifest", root + "mask"}
	clients := []string{root + "creds", root + "creds/registry", root + "creds/githubapp", root + "git/...", root + "gitserver", root + "oci", root + "pullrequest"}
	decrypting := []string{root + "decrypt"} // links the clouds, by SOPS
	watches := []string{root + "health", root + "watch", root + "followed"}
	ground := slices.Concat(pure, clients, watches, decrypting)
	clouds := []string{"github.com/aws/...", "github.com/Azure/azure-sdk-for-go/...", "github.com/AzureAD/...", "cloud.google.com/..."}
	depcheck.Module(t, ".").Check(t, map[string]depcheck.Rule{
		"nothing knows a program": {
			Why: "what two programs need must not need one of them",
			Not: []string{
				"weir.dev/source-controller/...", "weir.dev/kustomize-controller/...", "weir.dev/helm-controller/...",
				"weir.dev/image-controller/...", "weir.dev/deploy/...",
			},
		},
		"scaffolds know no domain": {
			Why: "every controller stands on them, whatever it is about",
			Of:  scaffolds, Not: []string{"weir.dev/..."}, But: scaffolds,
		},
		"engines stand on no scaffold": {
			Why: "the command line applies without a controller",
			Of:  engines, Not: scaffolds,
		},
		"the ground carries engines and scaffolds": {
			Why: "arrows point down only",
			Of:  ground, Not: slices.Concat(engines, scaffolds),
		},
		"what kinds share is at the top": {
			Why: "it knows the API of kinds, and how a run ends; nothing below needs to",
			Of:  slices.Concat(ground, engines, scaffolds), Not: kinds,
		},
		"values and builds reach no cluster": {
			Why: "they are pure: a test needs no server, a command line no kubeconfig",
			Of:  pure,
			Not: []string{
				"k8s.io/client-go/rest", "k8s.io/client-go/dynamic", "k8s.io/client-go/metadata", "k8s.io/client-go/kubernetes",
				"k8s.io/client-go/tools/...", "sigs.k8s.io/controller-runtime/...",
			},
		},
		"only cloud links the libraries of clouds": {
			Why: "they are large",
			Of:  slices.Concat(pure, clients, watches, engines, scaffolds, []string{root + "gitaccess"}),
			Not: clouds,
		},
		"credentials, git and registries reach no cluster": {
			Why: "who calls them reads the Secret",
			Of:  clients,
			Not: []string{"k8s.io/client-go/rest", "k8s.io/client-go/dynamic", "sigs.k8s.io/controller-runtime/..."},
		},
		"engines and the rest link no go-git": {
			Why: "only what speaks to a remote does; kustomize-controller does not",
			Of:  slices.Concat(pure, watches, engines, scaffolds),
			Not: []string{"github.com/go-git/go-git/..."},
		},
		"only build links kustomize": {
			Why: "source-controller must not, and kustomize keeps much in memory",
			Of:  slices.Concat([]string{root + "artifact/...", root + "inventory", root + "manifest"}, clients, watches, engines, scaffolds),
			Not: []string{"sigs.k8s.io/kustomize/..."},
		},
		"programs link no test support": {
			Why: "a test plane is no part of a program",
			Of:  slices.Concat(ground, engines, scaffolds, kinds), Not: testSupport,
		},
		"nor the package testing": {
			Why: "it adds flags to a program; SOPS does",
			Of:  slices.Concat(pure, clients, watches, engines, scaffolds), Not: []string{"testing"},
		},
	})
}
