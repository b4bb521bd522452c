package install_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/install"
	"weir.dev/pkg/manifest"
)

// TestLeftoversOf: what other options have brought goes, but for what objects of users are of,
// or name.
func TestLeftoversOf(t *testing.T) {
	t.Parallel()
	sharded := func(o *install.Options) { o.Shards = []string{"a", "b"} }
	shard := func(name string) []string {
		return []string{
			"Service/source-controller-" + name, "PodDisruptionBudget/source-controller-" + name, "PodDisruptionBudget/kustomize-controller-" + name,
			"Deployment/source-controller-" + name, "Deployment/kustomize-controller-" + name,
		}
	}
	tests := map[string]struct {
		why           string
		before, after func(*install.Options)
		controllers   []string
		rest          []string
	}{
		"the same": {before: sharded, after: sharded},
		"no shards": {
			why:    "two controllers would reconcile one object",
			before: sharded, after: func(*install.Options) {}, controllers: append(shard("a"), shard("b")...),
		},
		"a shard less": {before: sharded, after: func(o *install.Options) { o.Shards = []string{"a"} }, controllers: shard("b")},
		"no NetworkPolicies": {
			before: func(*install.Options) {}, after: func(o *install.Options) { o.NetworkPolicy = false },
			rest: []string{"NetworkPolicy/allow-egress", "NetworkPolicy/allow-scraping", "NetworkPolicy/allow-webhooks"},
		},
		"a controller less": {
			why:    "it has lost its rights, and its objects stay",
			before: func(o *install.Options) { o.Components = append(o.Components, install.HelmController) }, after: func(*install.Options) {},
			controllers: []string{"PodDisruptionBudget/helm-controller", "Deployment/helm-controller"},
			rest:        []string{"ClusterRole/helm-controller-flux-system", "ClusterRoleBinding/helm-controller-flux-system", "ServiceAccount/helm-controller"},
		},
		"no lockdown": {
			why:    "Kustomizations may name the ServiceAccount",
			before: func(o *install.Options) { o.Lockdown = true }, after: func(*install.Options) {},
			rest: []string{
				"ClusterRole/cluster-watcher-flux-system", "ClusterRoleBinding/cluster-watcher-flux-system",
				"ClusterRole/tenant-impersonator-flux-system", "ClusterRoleBinding/tenant-impersonator-flux-system",
			},
		},
	}
	for name, tc := range tests {
		with := func(change func(*install.Options)) install.Options {
			return options(func(o *install.Options) {
				o.Components = []string{install.SourceController, install.KustomizeController}
				change(o)
			})
		}
		before := objects(t, with(tc.before))
		was := make(map[manifest.ID]bool)
		for _, obj := range before {
			was[manifest.IDOf(obj)] = true
		}
		left, err := install.LeftoversOf(install.Describe(before), with(tc.after))
		if err != nil {
			t.Fatal(err)
		}
		there := func(objs []*unstructured.Unstructured) (names []string) {
			for _, obj := range objs {
				if was[manifest.IDOf(obj)] {
					names = append(names, obj.GetKind()+"/"+obj.GetName())
				}
			}
			return names
		}
		sorted := cmpopts.SortSlices(strings.Compare)
		if diff := cmp.Diff(tc.controllers, there(left.Controllers), sorted, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: controllers (-want +got):\n%s%s", name, diff, tc.why)
		}
		if diff := cmp.Diff(tc.rest, there(left.Rest), sorted, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: the rest (-want +got):\n%s%s", name, diff, tc.why)
		}
		last := false
		for _, obj := range left.Controllers {
			if is := obj.GetKind() == "Deployment"; last && !is {
				t.Errorf("%s: %s goes after a Deployment", name, manifest.IDOf(obj))
			} else {
				last = is
			}
		}
	}
}
